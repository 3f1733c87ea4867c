/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_TREE_H
#define FS_TREE_TREE_H

/*
 * The mounted tree as tables. A kind of directory (struct dir_kind) says what it always contains (its entries: control
 * files, links, blobs, sub-directories) and how to find, list, make and remove what comes and goes in it (its
 * children). Lookup, getattr, readdir, open, the extended attributes and --print-tree follow from these tables; a new
 * control file is a row, its show and store functions, and a test.
 *
 * A node is (kind, row, oid), packed into its inode number: there is no inode table, forget does nothing, and numbers
 * survive a remount. oid is what the kind says it is (the id of an image, a region …) and belongs to the directory; row
 * 0 is the directory itself, row n its n-th entry, ROW_CHILD a child that is not a directory (oid is then the child's).
 */

#include <dirent.h>

#include "blobstore/export/export.h"
#include "fs/tree/fs.h"

enum node_kind {
        KIND_ROOT,
        KIND_INFO,
        KIND_REGIONS,
        KIND_TASKS,
        KIND_TASK,
        KIND_REGION,
        KIND_IMAGES, /* private/, public/ …: oid is region << 3 | class */
        KIND_IMAGE,
        KIND_IMAGE_DISKS, /* oid: the image; its children's: the disk */
        KIND_IMAGE_SNAPSHOTS, /* oid: the image; its children's: the disk */
        KIND_IMAGE_USED_BY, /* oid: the image; its children's: the task */
        KIND_COPIES, /* oid: the image */
        KIND_COPY, /* oid: the task */
        KIND_SNAPSHOTS, /* oid: the region */
        KIND_SNAPSHOT,
        KIND_SNAPSHOT_IMAGES, /* oid: the snapshot; its children's: the image */
        KIND_SNAPSHOT_USED_BY, /* likewise */
        KIND_SNAPSHOT_CHANGED, /* oid: the snapshot; its children's: two snapshots, see dir_snapshot.c */
        KIND_SNAPSHOT_VOLUMES, /* snapshots/<s>/disks: oid: the snapshot */
        KIND_SNAPSHOT_VOLUME, /* oid: the volume */
        KIND_VOLUMES, /* disks/ of a region: oid: the region */
        KIND_VOLUME,
        KIND_VOLUME_SNAPSHOTS, /* oid: the volume */
        KIND_VOLUME_SNAPSHOT, /* oid: the snapshot */
        KIND_IMAGE_INSTANCES, /* oid: the image */
        KIND_IMAGE_INSTANCE, /* oid: the instance */
        KIND_INSTANCES, /* oid: the region */
        KIND_INSTANCE,
        KIND_INSTANCE_DISKS, /* oid: the instance */
        KIND_INSTANCE_IMAGES, /* oid: the instance */
        KIND_INSTANCE_IMAGE, /* oid: the image */
        KIND_INSTANCE_USED_BY, /* oid: the instance; its children's: the task */
        KIND_DOWNLOADS, /* oid: the image */
        KIND_DOWNLOAD,
        KIND_SHARES, /* oid: the image */
        KIND_SHARE,
        KIND_SHARED, /* shared/ of a region: oid: the region */
        KIND_SHARED_IMAGE, /* oid: the image, as in the next three */
        KIND_SHARED_DISKS, /* its children's: the disk */
        KIND_SHARED_INSTANCES,
        KIND_SHARED_CLOSED, /* what only the owner may do: oid is image << 1 | which */
        KIND_SHARED_INSTANCE, /* oid: the instance */
        KIND_COUNT,
        KIND_NONE = KIND_COUNT,
};

#define ROW_BITS  10
#define KIND_BITS 6
#define OID_BITS  (64 - KIND_BITS - ROW_BITS)
#define ROW_CHILD ((1U << ROW_BITS) - 1)

struct node {
        enum node_kind kind;
        unsigned row;
        uint64_t oid;
};

static inline fuse_ino_t node_ino(struct node n)
{
        return (uint64_t)n.kind << (OID_BITS + ROW_BITS) | (uint64_t)n.row << OID_BITS | n.oid;
}

/* The root's number is fixed by the protocol: kind 0, row 0, oid 1. */
static inline struct node node_of(fuse_ino_t ino)
{
        return (struct node){
                .kind = (enum node_kind)(ino >> (OID_BITS + ROW_BITS)),
                .row = (unsigned)(ino >> OID_BITS) & ROW_CHILD,
                .oid = ino & ((UINT64_C(1) << OID_BITS) - 1),
        };
}

/* Bulk content that is a blob of the store, in one of the formats that blobs have outside. */
struct blob_file {
        struct blob_info blob;
        enum export_format format;
        int64_t time_us;
};

struct blob_ops {
        int (*info)(struct req *rq, uint64_t oid, struct blob_file *ret); /* from the database: listings open no blob */
        int (*open)(struct req *rq, uint64_t oid, struct export **ret);
};

enum entry_flags {
        ENTRY_UNLISTED = 1 << 0, /* there, but not for readdir */
        ENTRY_TEXT = 1 << 1, /* more than one line may be written */
        ENTRY_LINE = 1 << 2, /* one line: also an extended attribute of the directory */
        ENTRY_WAIT = 1 << 3, /* reading blocks until the work is done */
        ENTRY_UPLOAD = 1 << 4, /* takes a file in */
        ENTRY_ADMIN = 1 << 5, /* the administrator's to read, whoever owns the directory */
        ENTRY_DISK = 1 << 6, /* a writable disk: see disk_file.c; the directory is a volume's */
};

struct entry {
        const char *name;
        const char *help; /* one line, for --print-tree */
        mode_t mode; /* permission bits, narrowed by those of the object: 0666 is for whom that lets write */
        unsigned flags;
        enum node_kind dir; /* a fixed sub-directory of this kind when it is not KIND_ROOT */
        uint64_t (*dir_oid)(uint64_t oid, int arg); /* its oid from the directory's; NULL: the same */
        int arg;
        int (*show)(struct req *rq, struct strbuf *out); /* NULL: reads as empty */
        int (*store)(struct req *rq, const char *text); /* NULL: read-only */
        /* The text's size and mtime (0: the object's), where that takes less than showing it. */
        int (*measure)(struct req *rq, uint64_t *ret_size, int64_t *ret_changed_us);
        bool (*visible)(struct req *rq); /* NULL: always there */
        const struct blob_ops *blob;
        int64_t (*changed_us)(struct req *rq); /* mtime, where it is not the object's */
};

/* Found or listed: oid, type and, for directories, the object whose attributes it shows. */
struct child {
        const char *name; /* set in listings only */
        uint64_t oid;
        unsigned char type; /* DT_DIR, DT_LNK, DT_REG */
        const struct object *object; /* may be NULL: asked for when needed */
        bool elsewhere; /* it is NODE, a file that has its place elsewhere too, as a hard link has */
        struct node node;
};
typedef int child_fn(void *ctx, const struct child *c);

/*
 * All functions give 0 or a negative errno and leave a sentence in rq->diag when they refuse. OID is the directory's,
 * CHILD the child's.
 */
struct dir_kind {
        const char *name; /* for --print-tree */
        const char *help;
        mode_t mode; /* permission bits, or 0: the object's */
        const struct entry *entries; /* ends with a nameless one */
        enum node_kind child; /* kind of the children that are directories, or KIND_NONE */
        const char *child_name; /* for --print-tree: "<region>" */
        /* The object that a node of this kind belongs to: owner, times, last-error. */
        enum object_kind object_kind;
        int (*object)(struct req *rq, uint64_t oid, struct object *ret);
        int (*child_object)(struct req *rq, uint64_t child, struct object *ret); /* for ROW_CHILD; NULL: object() */
        /*
         * Where the mode cannot say who may enter: 0, or -EACCES. O is of a node of this kind. It is asked at every
         * request but for the lookup of directories (see ops_resolve()), and nothing of the answer is cached. NULL:
         * the mode says it.
         */
        int (*enter)(struct req *rq, const struct object *o);

        int (*list)(struct req *rq, uint64_t oid, child_fn *fn, void *ctx);
        int (*find)(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object);
        int (*make)(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child); /* mkdir */
        int (*create)(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_image); /* a file: the short form */
        int (*remove)(struct req *rq, uint64_t child); /* rmdir */
        int (*rename)(struct req *rq, uint64_t child, struct node to, const char *name);
        bool access; /* chmod and chown of it are the object's */
        int (*target)(struct req *rq, uint64_t child, struct strbuf *out); /* of children that are links */
        const struct blob_ops *blob; /* of children that are blobs */
        int (*show_child)(struct req *rq, uint64_t child, struct strbuf *out); /* of those that are generated files */
};

const struct dir_kind *tree_kind(enum node_kind kind); /* NULL for a number that is none */
const struct entry *tree_entry(struct node n); /* NULL unless n is an entry */

/* The node of a fixed sub-directory, E of the directory OID. */
struct node tree_subdir(const struct entry *e, uint64_t oid);

/* The node of a child of a directory. */
struct node tree_child(enum node_kind dir, const struct child *c);

/* Are the tables consistent? Aborts with a message when they are not; run at start. */
void tree_check(void);
/* The whole tree with its help lines. */
void tree_print(FILE *f);

/* One per family of directories. */
extern const struct dir_kind dir_root, dir_info, dir_regions;
extern const struct dir_kind dir_region, dir_images;
extern const struct dir_kind dir_image, dir_image_disks, dir_image_snapshots, dir_image_used_by;
extern const struct dir_kind dir_copies, dir_copy;
extern const struct dir_kind dir_downloads, dir_download;
extern const struct dir_kind dir_snapshots, dir_snapshot;
extern const struct dir_kind dir_snapshot_images, dir_snapshot_used_by, dir_snapshot_changed;
extern const struct dir_kind dir_shares, dir_share;
extern const struct dir_kind dir_shared, dir_shared_image, dir_shared_disks, dir_shared_instances, dir_shared_closed;
extern const struct dir_kind dir_tasks, dir_task;
extern const struct dir_kind dir_volumes, dir_volume, dir_volume_snapshots, dir_snapshot_volumes;
extern const struct dir_kind dir_instances, dir_instance, dir_instance_disks, dir_instance_images, dir_instance_used_by;
extern const struct dir_kind dir_image_instances;
/* dir_mirror.c */
extern const struct dir_kind dir_image_instance, dir_instance_image, dir_snapshot_volume, dir_volume_snapshot;
extern const struct dir_kind dir_shared_instance;

#endif
