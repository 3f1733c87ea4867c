/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_VOLUME_H
#define MODEL_MACHINE_VOLUME_H

/*
 * Writable disks: the disks/ of a region, and the system disks of instances made from local images, which belong to
 * their instance alone. A volume is a row that names a disk of the region's blob store (blobstore/disks/disk.h) and,
 * while the disk is a clone, the blob that it was cloned from.
 */

#include "blobstore/disks/disk.h"
#include "model/image/image.h"

struct volume {
        struct object o;
        char ident[IDENT_MAX]; /* "disk-…" */
        uint64_t region;
        bool cloud; /* listed in disks/; else the instance's own */
        bool system;
        uint64_t size_bytes; /* 0: not made yet: waits for its size */
        uint64_t instance; /* 0: attached to none */
        char instance_handle[NAME_LEN_MAX + 1];
        char device[8]; /* "vdb"; "" while it is not attached */
        char name[NAME_LEN_MAX + 1];
        char source[IMAGE_VALUE_MAX + 1]; /* "snapshot:<id>", "image:<id>" or "" */
        bool made_with; /* goes with its instance */
        uint64_t place; /* where its disk lies, or those beside which it is attached (core/place.h) */
        bool busy; /* a snapshot is being taken of it, or an image is being made of its instance */
};

int volume_get(struct model *m, uint64_t id, struct volume *ret); /* -ENOENT */
int volume_get_object(struct model *m, uint64_t id, struct object *ret);
int volume_find(struct model *m, uint64_t region, const char *handle, struct object *ret); /* among the cloud ones */
int volume_each(struct model *m, uint64_t region, object_fn *fn, void *ctx);

/* mkdir disks/<handle>: waits for its size. -EINVAL, -EEXIST. */
int volume_create(struct model *m, const struct caller *c, uint64_t region, const char *handle, struct diag *diag,
                  uint64_t *ret);
/* mkdir snapshots/<s>/disks/<handle>: a clone, at once. */
int volume_create_from_snapshot(struct model *m, const struct caller *c, uint64_t snapshot, const char *handle,
                                struct diag *diag, uint64_t *ret);
/* The disks that were made from a snapshot and still need its bytes. */
int volume_each_of_snapshot(struct model *m, uint64_t snapshot, object_fn *fn, void *ctx);

/* Writing `size`, or truncate(2): makes an empty disk, or grows one. -EINVAL (0, shrinking, too large), -EBUSY. */
int volume_set_size(struct model *m, const struct caller *c, uint64_t id, uint64_t size_bytes, struct diag *diag);
int volume_set_name(struct model *m, const struct caller *c, uint64_t id, const char *name, struct diag *diag);
int volume_rename(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag);
/* -EBUSY while it is attached. */
int volume_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag);

/*
 * mkdir disks/<d>/snapshots/<handle>; *ret is the snapshot that a task makes. -EBUSY (its instance runs, or it is open
 * for writing), -EDQUOT, -EEXIST.
 */
int volume_snapshot(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag,
                    uint64_t *ret);
/* The snapshots that were taken of it and still exist. */
int volume_snapshots(struct model *m, uint64_t id, object_fn *fn, void *ctx);

/* ---- bytes ---- */

/*
 * Opens the disk. A volume that is open for writing makes its instance running; -EBUSY while something reads it that
 * needs it unchanged (a snapshot or an image being made of it). Owned by the caller, release with volume_close().
 */
struct volume_file;
int volume_open(struct model *m, uint64_t id, bool writable, struct diag *diag, struct volume_file **ret);
/* Borrowed until volume_close(); NULL as long as the volume has no size. */
struct disk *volume_disk(struct volume_file *f);
/* Before its bytes are changed: a disk that is young gets its files, and the catalogue knows of them. As disk_make(). */
int volume_file_make(struct volume_file *f);
/* ftruncate(2): as volume_set_size(), where this file alone does not make the instance running. */
int volume_file_set_size(struct volume_file *f, const struct caller *c, uint64_t size_bytes, struct diag *diag);
/* For each close(2) of it: makes what was written durable, and announces that volume_close() may follow. */
int volume_flush(struct volume_file *f);
void volume_close(struct volume_file *f); /* accepts NULL */

#endif
