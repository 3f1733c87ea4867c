/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_QUOTA_H
#define MODEL_CORE_QUOTA_H

/* What users have and may have in a region. */

#include "model/core/limits.h"

struct quota {
        uint64_t used, limit; /* objects, or bytes */
};
/* For Q < LIMIT_QUOTAS: what UID has and may have in the region. */
int quota_get(struct model *m, uint64_t region, uid_t uid, enum limit q, struct quota *ret);
/*
 * All quotas of everybody who has something in the region, or a limit of her own there, by uid. FN is called outside
 * of every transaction.
 */
typedef int quota_fn(void *ctx, uid_t uid, enum limit q, const struct quota *quota);
int quota_each(struct model *m, uint64_t region, quota_fn *fn, void *ctx);
/* Carries out "private-images limit=20" or "alice private-images limit=20" as written to a region's quota file. */
int quota_set_line(struct model *m, const struct caller *c, uint64_t region, const char *line, struct diag *diag);

#endif
