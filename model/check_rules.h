/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CHECK_RULES_H
#define MODEL_CHECK_RULES_H

/* What must hold in the database, and what else a check asks of it. Private to model/. */

#include "model/db/db.h"

enum {
        CHECK_USAGE,
        CHECK_IN_WORK,
        CHECK_COMPLETE,
        CHECK_ONE_SOURCE,
        CHECK_RECYCLED,
        CHECK_DELETING,
        CHECK_CREATING,
        CHECK_UNNAMED,
        CHECK_TASK,
        CHECK_INSTANCE,
        CHECK_SHARE,
        CHECK_SIZE,
        CHECK_RULES, /* what is above */
        CHECK_BLOBS = CHECK_RULES,
        CHECK_BLOB_ID,
        CHECK_DISKS,
        CHECK_NAMES_DISK,
        CHECK_REGION,
};

/* Up to CHECK_RULES, each gives a sentence per row that breaks the rule. */
extern const char *const check_sql[];

#endif
