/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_LIMITS_H
#define MODEL_CORE_LIMITS_H

/* Numbers that the administrator sets: for the library, for a region, for a user in it. */

#include "model/core/object.h"

enum limit {
        LIMIT_PRIVATE_IMAGES, /* the first ones are also quotas */
        LIMIT_SNAPSHOTS,
        LIMIT_SHARED_IMAGES,
        LIMIT_INSTANCES,
        LIMIT_DISKS, /* those that disks/ lists */
        LIMIT_DISK_BYTES, /* as guests see them; of all disks, the unlisted ones of local instances too */
        LIMIT_SHARES_PER_IMAGE,
        LIMIT_IMAGES_PER_BATCH,
        LIMIT_DOWNLOAD_HOURS,
        LIMIT_RECYCLE_DAYS,
        LIMIT_ENDED_TASKS, /* of each user, in /tasks */
        LIMIT_UNNAMED_DAYS,
        LIMIT_SCRUB_DAYS, /* 0: never */
        LIMIT_EVENTS, /* that are kept of each user; a trigger of the schema knows it, too */
        LIMIT_FOLLOWS, /* upstreams of each user, in a region */
        LIMIT_COUNT,
        LIMIT_QUOTAS = LIMIT_DISK_BYTES + 1,
};

const char *limit_name(enum limit l); /* static */
/* The library's value. */
int limit_get(struct model *m, enum limit l, uint64_t *ret);
/* Carries out "KEY VALUE" as written to info/limits. -EPERM, -EINVAL. */
int limit_set_line(struct model *m, const struct caller *c, const char *line, struct diag *diag);

#endif
