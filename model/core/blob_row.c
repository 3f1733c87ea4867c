/* SPDX-License-Identifier: MIT */

/*
 * Blobs as the database names them. A row is made in the transaction that gives the blob to a disk or a snapshot, while
 * the blob is still open, so that no collection comes between; it goes, before the bytes do, when the
 * reaper finds that nothing names it any more.
 */

#include "model/core/blob_row.h"

#include "model/core/stores.h"

enum { INSERT, GET };

static const char *const blob_row_sql[] = {
        [INSERT] = "INSERT INTO blob (store, key, size, data, clusters, spans, checksum) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        [GET] = "SELECT id, store, key, " BLOB_INFO_COLUMNS " FROM blob WHERE id = ?1",
};
const struct db_statements blob_row_statements = DB_STATEMENTS(blob_row_sql);

int blob_row_insert(struct db_txn *t, uint64_t store, const struct blob *b, uint64_t *ret)
{
        const struct blob_info *info = blob_get_info(b);
        const struct blob_id *id = blob_get_id(b);
        int r;

        r = db_run(t, blob_row_sql[INSERT], DB_INT(store), DB_BLOB(id->bytes, sizeof(id->bytes)),
                   DB_INT(info->size_bytes), DB_INT(info->data_bytes), DB_INT(info->data_clusters),
                   DB_INT(info->data_spans),
                   blob_has_checksum(info) ? DB_BLOB(info->checksum.bytes, sizeof(info->checksum.bytes)) : DB_NULL);
        if (r < 0)
                return r;
        *ret = db_last_id(t);
        return 0;
}

void blob_row_info(const struct db_row *row, int col, struct blob_info *ret)
{
        ret->size_bytes = (uint64_t)db_row_int(row, col);
        ret->data_bytes = (uint64_t)db_row_int(row, col + 1);
        ret->data_clusters = (uint64_t)db_row_int(row, col + 2);
        ret->data_spans = (uint64_t)db_row_int(row, col + 3);
        db_row_blob(row, col + 4, ret->checksum.bytes, sizeof(ret->checksum.bytes));
}

static int fill_row(void *ctx, const struct db_row *row)
{
        struct blob_row *b = ctx;

        b->id = (uint64_t)db_row_int(row, 0);
        b->store = (uint64_t)db_row_int(row, 1);
        db_row_blob(row, 2, b->key.bytes, sizeof(b->key.bytes));
        blob_row_info(row, 3, &b->info);
        return 0;
}

int blob_row_load(struct db_txn *t, uint64_t id, struct blob_row *ret)
{
        return db_one(t, blob_row_sql[GET], fill_row, ret, DB_INT(id));
}

int blob_row_load_of(struct db_txn *t, const char *sql, uint64_t arg, struct blob_row *ret)
{
        int64_t id;
        int r;

        r = db_int(t, sql, &id, DB_INT(arg));
        return r < 0 ? r : blob_row_load(t, (uint64_t)id, ret); /* no blob has id 0, which stands for NULL */
}

static int open_row(struct model *m, const struct blob_row *b, struct diag *diag, struct blob **ret)
{
        struct blobstore *bs;
        int r;

        r = stores_get(m, b->store, diag, &bs);
        return r < 0 ? r : blob_open(bs, &b->key, ret);
}

int blob_row_open(struct model *m, uint64_t id, struct diag *diag, struct blob **ret)
{
        struct blob_row b;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = blob_row_load(&t, id, &b);
        db_end(&t);
        return r < 0 ? r : open_row(m, &b, diag, ret);
}

int blob_row_open_of(struct model *m, const char *sql, uint64_t arg, struct diag *diag, struct blob **ret)
{
        struct blob_row b;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = blob_row_load_of(&t, sql, arg, &b);
        db_end(&t);
        return r < 0 ? r : open_row(m, &b, diag, ret);
}
