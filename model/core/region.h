/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_REGION_H
#define MODEL_CORE_REGION_H

/* Regions, and where their blobs live. */

#include <limits.h>

#include "model/core/object.h"

struct region {
        struct object o;
        uint64_t store; /* regions with the same store share blobs */
        char store_path[PATH_MAX]; /* absolute */
};

int region_get(struct model *m, uint64_t id, struct region *ret); /* -ENOENT */
int region_find(struct model *m, const char *handle, struct region *ret); /* -ENOENT */
int region_each(struct model *m, object_fn *fn, void *ctx);

/* -EPERM unless admin, -EINVAL, -EEXIST. */
int region_create(struct model *m, const struct caller *c, const char *handle, struct diag *diag, uint64_t *ret);
/* -EPERM, -EBUSY unless it is empty (recycled images and snapshots count). */
int region_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag);
int region_rename(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag);

/*
 * Keeps the blobs of an empty region in directory PATH from now on. -EPERM, -EBUSY, -EINVAL (not absolute, inside the
 * mount, not usable). "adopt PATH" takes over a store of another library, which is refused else (-EBUSY). Of the one
 * that the region has already, whatever is in it, that says that it is there again, as put back from elsewhere, and
 * PATH alone does where it is offline: -EIO where it stays so.
 */
int region_set_store(struct model *m, const struct caller *c, uint64_t id, const char *path, struct diag *diag);

#endif
