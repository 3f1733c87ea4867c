/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_REFUSAL_ROW_H
#define MODEL_CORE_REFUSAL_ROW_H

/* Refusals, inside a transaction. Private to model/. */

#include "model/core/refusal.h"
#include "model/db/db.h"

/* ERROR 0: a warning, about something that was done. */
int refusal_insert(struct db_txn *t, uid_t uid, enum object_kind kind, uint64_t id, int error, const char *sentence);

#endif
