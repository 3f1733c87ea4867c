/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_LIMITS_ROW_H
#define MODEL_CORE_LIMITS_ROW_H

/* Limits, inside a transaction. Private to model/. */

#include "model/core/limits.h"
#include "model/core/state.h"

int limit_parse_name(const char *name, enum limit *ret); /* -EINVAL */
int limit_parse_value(enum limit l, const char *text, uint64_t *ret, struct diag *diag); /* -EINVAL with a sentence */

/* REGION 0: the whole library; UID NULL: everybody. */
int limit_write(struct db_txn *t, uint64_t region, const uid_t *uid, enum limit l, uint64_t value);
int limit_read(struct db_txn *t, enum limit l, uint64_t *ret); /* DB_READ will do */

#endif
