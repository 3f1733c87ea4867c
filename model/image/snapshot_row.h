/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_SNAPSHOT_ROW_H
#define MODEL_IMAGE_SNAPSHOT_ROW_H

/* Snapshots, inside a transaction. Private to model/. */

#include "model/core/blob_row.h"
#include "model/core/object_row.h"
#include "model/image/snapshot.h"

/* The images that refer to snapshot ?1: object and class. */
#define SNAPSHOT_IMAGES                                                                                                \
        "SELECT " OBJECT_COLUMNS_IMAGE ", class FROM image WHERE id IN (SELECT image FROM image_disk "              \
        "WHERE image_disk.snapshot = ?1) ORDER BY id"

int snapshot_load(struct db_txn *t, uint64_t id, struct snapshot *ret); /* DB_READ will do */
int snapshot_load_blob(struct db_txn *t, uint64_t id, struct blob_row *ret); /* -ENOENT: none yet; DB_READ will do */
/* As image_insert(); always with a suffix where the handle is taken. Status creating. */
int snapshot_insert(struct db_txn *t, struct snapshot *snapshot);
/* -EEXIST, with its sentence, where the region has one of that handle. */
int snapshot_refuse_taken(struct db_txn *t, uint64_t region, const char *handle, struct diag *diag);
/* The bytes have come: status available. */
int snapshot_set_blob(struct db_txn *t, uint64_t id, uint64_t blob);
/* Removes one that no image refers to (any more). */
int snapshot_erase(struct db_txn *t, uint64_t id);

#endif
