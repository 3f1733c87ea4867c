/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_REGION_ROW_H
#define MODEL_CORE_REGION_ROW_H

/* Regions, inside a transaction; DB_READ will do. Private to model/. */

#include "model/core/region.h"
#include "model/core/state.h"

int region_load(struct db_txn *t, uint64_t id, struct region *ret);
int region_load_by_handle(struct db_txn *t, const char *handle, struct region *ret);
/* For what will need the bytes that are in the region: -EIO, with a sentence, where they cannot be reached. */
int region_refuse_offline(struct model *m, struct db_txn *t, uint64_t id, struct diag *diag);

#endif
