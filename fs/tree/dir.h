/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_DIR_H
#define FS_TREE_DIR_H

/* The families of directories, a dir_*.c each, and small pieces that they share. */

#include <string.h>

#include "fs/tree/kind.h"

/* Passes objects of the model on as children that are directories. */
struct dir_children {
        child_fn *fn;
        void *ctx;
};
int dir_add_object(void *ctx, const struct object *o);

/* R is what a find function of the model gave for *OBJECT: fills *RET on success, and gives R. */
int dir_found(int r, struct child *ret, const struct object *object);

/* A find function for kinds with few children: a walk over what LIST gives. */
typedef int dir_list_fn(struct req *rq, uint64_t oid, child_fn *fn, void *ctx);
int dir_find_in(dir_list_fn *list, struct req *rq, uint64_t oid, const char *name, struct child *ret);

/* What belongs to nobody in particular is the mounting user's, and as old as the library. */
int dir_root_object(struct req *rq, uint64_t oid, struct object *ret);

/* The oid of a class's directory in a region, and the region of one. */
uint64_t dir_class_oid(uint64_t region, enum image_class class);
uint64_t dir_class_region(uint64_t oid);

/* The region that is the directory's oid. */
int dir_region_object(struct req *rq, uint64_t oid, struct object *ret);

/* Of files that look users up (ENTRY_USERS); and of others, which threads that answer requests show. */
void dir_add_user(struct model *m, struct strbuf *out, uid_t uid);
void dir_add_owner(struct model *m, struct strbuf *out, uid_t uid);
void dir_add_progress(struct strbuf *out, const struct progress *p);
/* "<hex>  <name>", as xxhsum -H2 prints it, and -c takes it. */
void dir_add_checksum(struct strbuf *out, const struct blob_info *info, const char *name);

/* UP/<region>/<class>/<handle>: a link's target, where UP leads to regions/. */
int dir_add_image_path(struct req *rq, struct strbuf *out, const char *up, uint64_t image);

/* Of what is in shared/, where modes do not say who may enter (dir_share.c). */
int shared_object(struct req *rq, uint64_t oid, struct object *ret);
int shared_enter(struct req *rq, const struct object *o);
/* Is it as shared_object() gives it, in a directory that has an enter()? */
static inline bool shared_shows(const struct object *o)
{
        return o->mode == 0777;
}

/* The file of a volume's bytes: one inode, wherever it is shown (dir_volume.c). */
struct node dir_volume_disk(uint64_t volume);

/* Defines show_NAME() for a file of one line: STATEMENT adds to OUT what VAR, the struct of TYPE, has of it. */
#define DIR_SHOW_LINE(type, var, name, statement)                       \
        static int show_##name(struct req *rq, struct strbuf *out)      \
        {                                                               \
                const struct type *var;                                 \
                int r;                                                  \
                                                                        \
                r = req_##type(rq, rq->oid, &var);                      \
                if (r < 0)                                              \
                        return r;                                       \
                statement;                                              \
                strbuf_add(out, "\n");                                  \
                return 0;                                               \
        }

/* last-error, of any kind of object. */
int dir_show_last_error(struct req *rq, struct strbuf *out);
int64_t dir_last_error_us(struct req *rq);
#define DIR_LAST_ERROR(number)                                                                          \
        { number, "last-error", "why something was last refused", 0444, .show = dir_show_last_error,    \
          .changed_us = dir_last_error_us }

/* last-verified, of what there is a function for in verified.h; and its mtime. */
typedef int dir_verified_fn(struct model *m, uint64_t id, int64_t *ret_us);
int dir_show_verified(struct req *rq, dir_verified_fn *get, struct strbuf *out);
int64_t dir_verified_us(struct req *rq, dir_verified_fn *get);
#define DIR_LAST_VERIFIED(number)                                                                                      \
        { number, "last-verified", "since when all its stored bytes are known to be whole", 0444, ENTRY_LINE,          \
          .show = show_verified, .changed_us = verified_us }

/* images.csv and its kin, of the region that is the directory's oid; at the top of all of them. */
int dir_list_text(struct req *rq, struct text **ret, int64_t *ret_changed_us);
int dir_measure_list(struct req *rq, uint64_t *ret_size, int64_t *ret_changed_us);
#define DIR_LIST(number, name, format, help, ...)                                                       \
        { number, name, help, 0444, .text = dir_list_text, .measure = dir_measure_list, .arg = format, __VA_ARGS__ }
/* One that cannot be opened is in no listing: backups read all that they find. */
#ifdef HAVE_XLSX
#define DIR_LIST_XLSX_FLAGS .flags = 0
#else
#define DIR_LIST_XLSX_FLAGS .flags = ENTRY_UNLISTED
#endif
#define DIR_LISTS(csv, json, xlsx, help)                                                                \
        DIR_LIST(csv, "images.csv", LISTING_CSV, help),                                                 \
        DIR_LIST(json, "images.json", LISTING_JSON, "the same for programs"),                           \
        DIR_LIST(xlsx, "images.xlsx", LISTING_XLSX, "the same as a spreadsheet", DIR_LIST_XLSX_FLAGS)

/* packages, of images and snapshots (dir_inside.c). */
int inside_packages_text(struct req *rq, struct text **ret, int64_t *ret_changed_us);
int inside_measure_packages(struct req *rq, uint64_t *ret_size, int64_t *ret_changed_us);
#define DIR_PACKAGES(number)                                                                                           \
        { number, "packages", "what dpkg, rpm or apk have installed there: `name version architecture`", 0444,         \
          ENTRY_UNLISTED | ENTRY_LOOK, .text = inside_packages_text, .measure = inside_measure_packages }
#define DIR_PARTITIONS(number, kind)                                                                                   \
        { number, "partitions", "what is on its disks: table, and vda1.raw …", 0777, ENTRY_UNLISTED, .dir = kind }

#define DIR_GUEST(number, kind)                                                                                        \
        { number, "guest", "the files on its disks: guest/vda1/etc/fstab …", 0777, ENTRY_UNLISTED, .dir = kind,             \
          .arg = 0, .arg_bits = 1 }

/* info/events, and its mtime (dir_events.c). */
int events_show(struct req *rq, struct strbuf *out);
int64_t events_changed_us(struct req *rq);

/* A line of copy-targets; CTX is a strbuf (dir_copy_targets.c). */
int dir_add_copy_target(void *ctx, const struct copy_target *t);

/* The tables of them all, for tree.c; a family may show what another has. */
extern const struct dir_kind dir_root, dir_info, dir_regions;
extern const struct dir_kind dir_region, dir_images;
extern const struct dir_kind dir_image, dir_image_disks, dir_image_disk, dir_image_snapshots;
extern const struct dir_kind dir_copies, dir_copy, dir_copy_targets;
extern const struct dir_kind dir_downloads, dir_download;
extern const struct dir_kind dir_snapshots, dir_snapshot, dir_snapshot_changed;
extern const struct dir_kind dir_shares, dir_share;
extern const struct dir_kind dir_families, dir_family;
extern const struct dir_kind dir_follows, dir_follow, dir_follow_images;
extern const struct dir_kind dir_shared, dir_shared_image, dir_shared_disks, dir_shared_instances, dir_shared_closed;
extern const struct dir_kind dir_shared_parting;
extern const struct dir_kind dir_tasks, dir_task;
extern const struct dir_kind dir_volumes, dir_volume, dir_volume_snapshots, dir_snapshot_volumes;
extern const struct dir_kind dir_instances, dir_instance, dir_instance_disks, dir_instance_images;
extern const struct dir_kind dir_image_instances;
extern const struct dir_kind dir_image_partitions, dir_shared_partitions, dir_snapshot_partitions;
extern const struct dir_kind dir_image_guest, dir_shared_guest, dir_snapshot_guest;
extern const struct dir_kind dir_oci, dir_oci_blobs, dir_oci_sha256;
extern const struct dir_kind dir_buried, dir_scratch, dir_events_after;
/* dir_mirror.c */
extern const struct dir_kind dir_image_instance, dir_instance_image, dir_snapshot_volume, dir_volume_snapshot;
extern const struct dir_kind dir_shared_instance;

#endif
