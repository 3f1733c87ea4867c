/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_LIMITS_H
#define MODEL_CORE_LIMITS_H

/* What quota.c needs of the limits. Private to model/. */

#include "model/model_priv.h"

#define LIMIT_VALUE_MAX 1000000 /* as days it still fits in microseconds */

int limit_parse_name(const char *name, enum limit *ret); /* -EINVAL */
int limit_parse_value(const char *text, uint64_t *ret); /* -EINVAL */

/* REGION 0: the whole library; UID NULL: everybody. */
int limit_write(struct db_txn *t, uint64_t region, const uid_t *uid, enum limit l, uint64_t value);

#endif
