/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_BLOB_ROW_H
#define MODEL_CORE_BLOB_ROW_H

/* Names of blobs in the database. Private to model/. */

#include "blobstore/blobstore.h"
#include "model/core/state.h"

struct blob_row {
        uint64_t id, store;
        struct blob_id key;
        struct blob_info info;
};
/* Of a joined blob: what blob_row_info() reads from column COL on. */
#define BLOB_INFO_COLUMNS   "blob.size, blob.data, blob.clusters, blob.spans, blob.checksum"
#define BLOB_INFO_N_COLUMNS 5
void blob_row_info(const struct db_row *row, int col, struct blob_info *ret);
int blob_row_insert(struct db_txn *t, uint64_t store, const struct blob *b, uint64_t *ret);
int blob_row_load(struct db_txn *t, uint64_t id, struct blob_row *ret); /* -ENOENT; DB_READ will do */
/* Opens the bytes: -EIO, with a sentence, where their store is offline. No transaction may be open. */
int blob_row_open(struct model *m, uint64_t id, struct diag *diag, struct blob **ret);
/* Likewise the blob whose id the statement SQL gives for ARG; -ENOENT where there is none. */
int blob_row_load_of(struct db_txn *t, const char *sql, uint64_t arg, struct blob_row *ret);
int blob_row_open_of(struct model *m, const char *sql, uint64_t arg, struct diag *diag, struct blob **ret);

#endif
