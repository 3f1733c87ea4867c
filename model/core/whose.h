/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_WHOSE_H
#define MODEL_CORE_WHOSE_H

/* What is made of a blob, as a person knows it. Private to model/. */

#include "model/core/state.h"

/* Columns and tables of a query, for a disk's name. */
#define DISK_IS                                                                                       \
        "'disk ' || region.handle || '/' || ifnull('disks/' || volume.handle, "                          \
        "'instances/' || instance.handle || '/' || device)"
#define FROM_DISKS                                                                                       \
        " FROM volume JOIN region ON region.id = volume.region LEFT JOIN instance ON instance.id = volume.instance"

/* Calls FN with a name in the first column for each image's disk, snapshot of its own, and clone. DB_READ will do. */
int whose_blob(struct db_txn *t, uint64_t blob, db_row_fn *fn, void *ctx);

#endif
