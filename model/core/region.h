/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_REGION_H
#define MODEL_CORE_REGION_H

/* Regions, the limits and quotas in them, and where their blobs live. */

#include <limits.h>

#include "blobstore/base/strbuf.h"
#include "model/model.h"

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
 * mount, not usable).
 */
int region_set_store(struct model *m, const struct caller *c, uint64_t id, const char *path, struct diag *diag);

/* ---- limits (limits.c) ---- */

enum limit {
        LIMIT_PRIVATE_IMAGES, /* the first three are also quotas */
        LIMIT_SNAPSHOTS,
        LIMIT_SHARED_IMAGES,
        LIMIT_SHARES_PER_IMAGE,
        LIMIT_IMAGES_PER_BATCH,
        LIMIT_DOWNLOAD_HOURS,
        LIMIT_RECYCLE_DAYS,
        LIMIT_COUNT,
        LIMIT_QUOTAS = LIMIT_SHARED_IMAGES + 1,
};

const char *limit_name(enum limit l); /* static */
/* The library's value. */
int limit_get(struct model *m, enum limit l, uint64_t *ret);
/* Carries out "KEY VALUE" as written to info/limits. -EPERM, -EINVAL. */
int limit_set_line(struct model *m, const struct caller *c, const char *line, struct diag *diag);

/* ---- quotas (quota.c) ---- */

struct quota {
        uint64_t used, limit; /* objects */
};
/* For Q < LIMIT_QUOTAS: what UID has and may have in the region. */
int quota_get(struct model *m, uint64_t region, uid_t uid, enum limit q, struct quota *ret);
/* Carries out "private-images limit=20" or "alice private-images limit=20" as written to a region's quota file. */
int quota_set_line(struct model *m, const struct caller *c, uint64_t region, const char *line, struct diag *diag);

/* ---- lists (listing.c, listing_cache.c) ---- */

enum listing_format { LISTING_CSV, LISTING_JSON, LISTING_XLSX, LISTING_FORMATS };

/*
 * One row (or object) per image that C may see in the region; columns as the contract has them. Those that were made
 * last are kept. -EFBIG: more rows than a spreadsheet has; -EOPNOTSUPP: built without spreadsheets.
 */
int listing_get(struct model *m, const struct caller *c, uint64_t region, enum listing_format format, struct diag *diag,
                struct strbuf *out);
/* The same list's size, and when the last of its rows changed (0: there is none). */
int listing_measure(struct model *m, const struct caller *c, uint64_t region, enum listing_format format,
                    struct diag *diag, uint64_t *ret_size, int64_t *ret_changed_us);

/* ---- several at once (batch.c) ---- */

/* Carries out "copy REGION IMAGE…" or "delete IMAGE…", of private images by handle or id: all or none. */
int batch_run(struct model *m, const struct caller *c, uint64_t region, const char *line, struct diag *diag);

#endif
