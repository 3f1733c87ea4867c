/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_KIND_H
#define FS_TREE_KIND_H

/*
 * The mounted tree as tables. A kind of directory (struct dir_kind) says what it always contains (its entries: control
 * files, links, blobs, sub-directories) and how to find, list, make and remove what comes and goes in it (its
 * children). Lookup, getattr, readdir, open, the extended attributes and --print-tree follow from these tables; a new
 * control file is a row with a number of its own, its show and store functions, and a test.
 */

#include <dirent.h>

#include "blobstore/export/export.h"
#include "fs/tree/node.h"
#include "fs/tree/req.h"

/* Bulk content that is a blob of the store, in one of the forms that blobs have outside. */
struct blob_file {
        uint64_t size_bytes;
        uint64_t space_bytes; /* what is no hole */
        int64_t time_us;
};

static inline struct blob_file blob_file_of(const struct blob_info *blob, enum export_format format, int64_t time_us)
{
        return (struct blob_file){ .size_bytes = export_size(format, blob), .space_bytes = export_space(format, blob),
                                   .time_us = time_us };
}

struct draft;

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
        ENTRY_ADMIN = 1 << 5, /* the administrator's to read, and listed to her alone, whoever owns the directory */
        ENTRY_DISK = 1 << 6, /* a writable disk: see disk_file.c; the directory is a volume's */
        ENTRY_COMMANDS = 1 << 7, /* more than one command may come through one open, in writes of their own */
        ENTRY_LOOK = 1 << 8, /* making its text reads disks a little */
        ENTRY_PIECES = 1 << 9, /* a text that means nothing before its end: store gives 1 until that has come */
        ENTRY_SEED = 1 << 10, /* a machine's, which is let to others as its disks are: see ops/grant.h */
        ENTRY_BYTES = 1 << 11, /* what is stored need not be text: rq->stored_bytes says how many there are */
        ENTRY_USERS = 1 << 12, /* making its text looks users up, whom the machine may have to ask another for */
        ENTRY_FIND = 1 << 13, /* what is stored may name one, whom it may have to ask for likewise */
};

/*
 * The number is part of the file's inode number, which is promised to be stable, also where the file is shown in a
 * second place (dir_mirror.c, which has 8 bits for it). So it is given once: a new row takes one that its table never
 * had, wherever it stands in the order of listings, and that of a row which goes is never used again. test_tree.c keeps
 * them all.
 */
#define ENTRY_NUMBER_MAX 255
_Static_assert(ENTRY_NUMBER_MAX < ROW_PLACE, "an entry's number must fit into an inode number");

struct entry {
        unsigned number; /* from 1 on */
        const char *name;
        const char *help; /* one line, for --print-tree */
        mode_t mode; /* permission bits, narrowed by those of the object: 0666 is for whom that lets write */
        unsigned flags;
        enum node_kind dir; /* a fixed sub-directory of this kind when it is not KIND_ROOT */
        int arg;
        unsigned arg_bits; /* the sub-directory's oid is the directory's, with arg in so many bits below it */
        int (*show)(struct req *rq, struct strbuf *out); /* NULL: reads as empty */
        int (*store)(struct req *rq, const char *text); /* NULL: read-only */
        /*
         * In place of show, of a long text, which takes time to make and is shared by all who have it open; and its size.
         * Each gives its mtime, too (0, as it is when they are called: the object's). Both or none. Not called by threads
         * that answer requests (ops/later.h).
         */
        int (*text)(struct req *rq, struct text **ret, int64_t *ret_changed_us);
        int (*measure)(struct req *rq, uint64_t *ret_size, int64_t *ret_changed_us);
        bool (*visible)(struct req *rq); /* NULL: always there */
        const char *absent; /* what to do where it is not, for who wants to make it; may be NULL */
        const struct blob_ops *blob;
        int64_t (*changed_us)(struct req *rq); /* mtime, where it is not the object's */
};

/* Found or listed: oid, type and, for directories, the object whose attributes it shows. */
struct child {
        const char *name; /* set in listings only */
        uint64_t oid;
        unsigned char type; /* DT_DIR, DT_LNK, DT_REG */
        const struct object *object; /* may be NULL: asked for when needed */
        unsigned places; /* its object's; of directories */
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
         * request but for the lookup of directories (see ops_name.c), and nothing of the answer is cached. NULL:
         * the mode says it.
         */
        int (*enter)(struct req *rq, const struct object *o);
        /*
         * Where the modes let everybody make, rename and remove, so that who may not is told why (what the kernel refuses
         * never comes here): 0, or -EACCES. NULL: the modes say it.
         */
        int (*change)(struct req *rq, uint64_t oid);

        int (*list)(struct req *rq, uint64_t oid, child_fn *fn, void *ctx);
        int (*find)(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object);
        int (*make)(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child); /* mkdir */
        int (*create)(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_image); /* a file: the short form */
        int (*created)(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_image); /* what that one made */
        /*
         * A temporary file (scratch.h), of who has OTHERS: in the region, or in what is an image itself. *ret stays NULL
         * where it can only be a value.
         */
        int (*draft)(struct req *rq, uint64_t oid, uint64_t others, struct draft **ret);
        bool imports; /* it becomes an image of what create makes, when it has its name */
        int (*remove)(struct req *rq, uint64_t child); /* rmdir */
        bool crowded; /* many users make and remove things in one such directory: see ops/split.h */
        enum node_kind parting; /* rmdir takes it from the caller alone: see ops/parting.h; KIND_ROOT: from all */
        int (*rename)(struct req *rq, uint64_t child, struct node to, const char *name);
        int (*taken)(struct req *rq, uint64_t oid, const char *name); /* what a rename to that name of it is refused with */
        bool access; /* chmod and chown of it are the object's */
        bool size; /* the directory's is the object's, for ls -l */
        bool of_machine; /* the oid is a machine's, and the directory leads to files that it is run from: see ops/grant.h */
        int (*target)(struct req *rq, uint64_t child, struct strbuf *out); /* of children that are links */
        const struct blob_ops *blob; /* of children that are blobs */
        bool looks; /* finding and listing them reads disks: not for threads that answer requests (ops/later.h) */
        bool users; /* what has a name in it is found, made and removed by looking a user up; likewise */
        /*
         * Is there what answers about N need, which is this directory or something in it, and takes time to make? And
         * makes it, to be kept for a while: see ops/ready.h. Both or none.
         */
        bool (*is_ready)(struct req *rq, struct node n);
        int (*make_ready)(struct req *rq, struct node n);
        int (*show_child)(struct req *rq, uint64_t child, struct strbuf *out); /* of those that are generated files */
        int (*measure_child)(struct req *rq, uint64_t child, struct stat *ret); /* of temporary ones: size and blocks */
};

/* The entry with that number. NULL: there is none. */
const struct entry *kind_entry(const struct dir_kind *kind, unsigned number);

/* Is the table consistent? Aborts with a message when it is not. */
void kind_check(const struct dir_kind *kind);

#endif
