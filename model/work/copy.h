/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_COPY_H
#define MODEL_WORK_COPY_H

/* Copies of images to other regions. */

#include "model/core/object.h"

/* Starts a copy; *ret is its task. -ENOENT (no such region), -EINVAL, -EOPNOTSUPP, -EBUSY, -EEXIST, -EDQUOT. */
int image_copy(struct model *m, const struct caller *c, uint64_t id, const char *region, struct diag *diag,
               uint64_t *ret);

/* A line of copy-targets. */
struct copy_target {
        char region[NAME_LEN_MAX + 1];
        struct quota_pair {
                uint64_t used, limit;
        } private_images, snapshots;
        uint64_t needs_snapshots;
        /*
         * The data of the disks that must be carried to another store, 0 within one: an upper bound on purpose. What
         * the target already holds of it belongs to other tenants too, and must not be guessed from a number.
         */
        uint64_t bytes_to_move;
};
typedef int copy_target_fn(void *ctx, const struct copy_target *t);
/* Of N images together, which are of one region; none where one can never be copied. */
int image_copy_targets(struct model *m, const struct caller *c, const uint64_t *ids, size_t n, copy_target_fn *fn,
                       void *ctx);

/*
 * The private images of the region that NAMES has the ids of, with commas between; the caller frees *ret. -E2BIG: more
 * than a batch has; -EINVAL: one is named twice; -ENOENT: C may read no such image; else as copy_selection_check().
 */
int copy_selection_find(struct model *m, const struct caller *c, uint64_t region, const char *names, struct diag *diag,
                        uint64_t **ret, size_t *ret_n);
/* May C still read them all (-ENOENT), and do the copies count for one user (-EINVAL)? */
int copy_selection_check(struct model *m, const struct caller *c, const uint64_t *ids, size_t n, struct diag *diag);

/* The copies of an image, object handle = the target region's name; o.id is the task's. */
int copy_find(struct model *m, uint64_t image, const char *region, struct object *ret);
int copy_each(struct model *m, uint64_t image, object_fn *fn, void *ctx);
/* rmdir in copies/: as task_remove(), for this view. */
int copy_remove(struct model *m, const struct caller *c, uint64_t task, struct diag *diag);

#endif
