/* SPDX-License-Identifier: MIT */

/*
 * A blob's life in the index: begun, its chunks retained in batches, live, killed, its chunks released, forgotten.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/batch_priv.h"
#include "blobstore/chunks/index_priv.h"

int index_blob_begin(struct index *ix, struct index_writer *w, const struct blob_id *id, const struct blob_info *info)
{
        int r;

        r = batch_sync_ahead(ix);
        if (r < 0)
                return r;

        LOCK_SCOPE(&ix->lock);
        r = w->error;
        if (r < 0)
                return r;
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        r = index_db_run(ix->db, BLOB_ADD,
                         DB_ARGS(DB_ID(id), DB_INT(BLOB_NEW), DB_INT(0), DB_INT(info->size_bytes),
                                 DB_INT(info->data_bytes), DB_INT(info->data_clusters), DB_INT(info->data_spans),
                                 DB_BLOB(info->checksum.bytes, BLOB_CHECKSUM_SIZE)));
        return batch_end_change(ix, r);
}

static int index_blob_load(struct index *ix, const struct blob_id *id, struct index_blob *ret);

int index_blob_retain(struct index *ix, struct index_writer *w, const struct blob_id *id,
                      const uint64_t *places, size_t n, bool last)
{
        struct index_blob blob;
        int64_t one;
        int r;

        r = last ? batch_sync_ahead(ix) : 0; /* others' chunks, too */
        if (r < 0)
                return r;

        LOCK_SCOPE(&ix->lock);
        r = w->error;
        if (r == 0)
                r = last ? batch_begin_change(ix) : batch_begin(ix);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = index_tx_retain(ix, places[i]);
        if (r == 0)
                r = index_tx_one(index_db_get(ix->db, BLOB_COUNT, &one, 1,
                                              DB_ARGS(DB_ID(id), DB_INT(n), DB_INT(last ? BLOB_LIVE : BLOB_NEW))));
        if (r == 0 && last) {
                r = index_blob_load(ix, id, &blob);
                if (r == 0)
                        index_count_blob(ix, &blob.info, 1);
        }
        if (last)
                return batch_end_change(ix, r);
        if (r < 0)
                return index_error(ix, batch_lose(ix, r));
        batch_grow(ix, w, (unsigned)n);
        return 0;
}

int index_blob_kill(struct index *ix, const struct blob_id *id)
{
        struct index_blob blob;
        int64_t one;
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_blob_load(ix, id, &blob);
        if (r < 0)
                return index_error(ix, r);
        if (blob.state != BLOB_LIVE)
                return 0;
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        r = index_tx_one(index_db_get(ix->db, BLOB_KILL, &one, 1, DB_ARGS(DB_ID(id))));
        if (r == 0)
                index_count_blob(ix, &blob.info, -1);
        return batch_end_change(ix, r);
}

int index_blob_release(struct index *ix, const struct blob_id *id, const uint64_t *places, size_t n,
                       uint64_t left)
{
        int64_t one;
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = index_tx_release(ix, places[i]);
        if (r == 0)
                r = index_tx_one(index_db_get(ix->db, BLOB_UNCOUNT, &one, 1, DB_ARGS(DB_ID(id), DB_INT(left))));
        return batch_end_change(ix, r);
}

int index_blob_forget(struct index *ix, const struct blob_id *id)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        return batch_end_change(ix, index_db_run(ix->db, BLOB_FORGET, DB_ARGS(DB_ID(id))));
}

static int index_blob_row(struct index *ix, enum index_sql stmt, struct index_blob *ret)
{
        int r;

        r = index_db_column_blob(ix->db, stmt, 0, ret->id.bytes, BLOB_ID_SIZE);
        if (r < 0)
                return r;
        ret->state = (enum blob_state)index_db_column(ix->db, stmt, 1);
        ret->retained = (uint64_t)index_db_column(ix->db, stmt, 2);
        ret->info.size_bytes = (uint64_t)index_db_column(ix->db, stmt, 3);
        ret->info.data_bytes = (uint64_t)index_db_column(ix->db, stmt, 4);
        ret->info.data_clusters = (uint64_t)index_db_column(ix->db, stmt, 5);
        ret->info.data_spans = (uint64_t)index_db_column(ix->db, stmt, 6);
        return index_db_column_blob(ix->db, stmt, 7, ret->info.checksum.bytes, BLOB_CHECKSUM_SIZE);
}

/* Call with the lock held. */
static int index_blob_load(struct index *ix, const struct blob_id *id, struct index_blob *ret)
{
        int r;

        r = index_db_start(ix->db, BLOB_GET, DB_ARGS(DB_ID(id)));
        if (r == 0) {
                r = index_db_next(ix->db, BLOB_GET);
                if (r == 0)
                        r = -ENOENT;
                if (r > 0)
                        r = index_blob_row(ix, BLOB_GET, ret);
        }
        index_db_end(ix->db, BLOB_GET);
        return r;
}

int index_blob_get(struct index *ix, const struct blob_id *id, struct index_blob *ret)
{
        LOCK_SCOPE(&ix->lock);
        return index_error(ix, index_blob_load(ix, id, ret));
}

int index_blob_list(struct index *ix, bool live, const struct blob_id *after, struct index_blob *ret, size_t max)
{
        enum index_sql stmt = live ? BLOB_LIST_LIVE : BLOB_LIST_OTHERS;
        int n = 0, r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_start(ix->db, stmt, DB_ARGS(after ? DB_ID(after) : DB_BLOB("", 0), DB_INT(max)));
        while (r == 0 && (size_t)n < max && (r = index_db_next(ix->db, stmt)) > 0)
                r = index_blob_row(ix, stmt, &ret[n++]);
        index_db_end(ix->db, stmt);
        return r < 0 ? index_error(ix, r) : n;
}
