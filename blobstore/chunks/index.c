/* SPDX-License-Identifier: MIT */

/*
 * What writers find in the index and add to it.
 */

#include <errno.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/batch_priv.h"
#include "blobstore/chunks/index_priv.h"

void index_writer_begin(struct index *ix, struct index_writer *w)
{
        LOCK_SCOPE(&ix->lock);
        *w = (struct index_writer){ .epoch = ix->swept ? ix->total.epoch : 0 };
        LIST_INSERT_HEAD(&ix->writers, w, link);
}

void index_writer_end(struct index *ix, struct index_writer *w)
{
        LOCK_SCOPE(&ix->lock);
        LIST_REMOVE(w, link);
        if (LIST_EMPTY(&ix->writers))
                index_db_rest(ix->db);
}

int index_column_name(struct index *ix, enum index_sql stmt, int column, struct chunk_name *ret)
{
        *ret = (struct chunk_name){ 0 };
        if (index_db_column_is_null(ix->db, stmt, column))
                return 0;
        put_le64(ret->bytes, (uint64_t)index_db_column(ix->db, stmt, column));
        return index_db_column_blob(ix->db, stmt, column + 1, ret->bytes + 8, CHUNK_NAME_REST_SIZE);
}

/*
 * Has what was found with REFS and EPOCH stay until W ends. One with references gets the epoch in which the last of
 * them goes, which cannot be before this.
 */
static int index_hold(struct index *ix, struct index_writer *w, uint64_t place, int64_t refs, int64_t epoch)
{
        int r;

        if (refs > 0)
                return 1;
        if ((uint64_t)epoch == ix->total.epoch) {
                w->in_batch |= ix->batch.chunks > 0; /* it may be in there, and is lost with it */
                return 1;
        }

        r = batch_begin(ix);
        if (r == 0)
                r = index_db_run(ix->db, CHUNK_TOUCH, DB_ARGS(DB_INT(place), DB_INT(ix->total.epoch)));
        if (r < 0)
                return index_error(ix, batch_lose(ix, r));
        batch_grow(ix, w, 1);
        return 1;
}

int index_share(struct index *ix, struct index_writer *w, const struct chunk_name *name, uint32_t raw_len,
                struct index_twin *ret)
{
        int64_t v[4];
        int r;

        LOCK_SCOPE(&ix->lock);
        if (w->error)
                return w->error;
        r = index_db_get(ix->db, CHUNK_FIND, v, 4,
                         DB_ARGS(DB_INT(chunk_name_key(name)), DB_BLOB(chunk_name_rest(name), CHUNK_NAME_REST_SIZE),
                                 DB_INT(raw_len)));
        if (r > 0)
                r = index_hold(ix, w, (uint64_t)v[0], v[2], v[3]);
        if (r > 0)
                *ret = (struct index_twin){
                        .place = (uint64_t)v[0],
                        .raw_len = raw_len,
                        .stored_len = (uint32_t)v[1],
                        .name = *name,
                };
        return index_error(ix, r);
}

/* The row of a place that a feature led to. 1, or 0 where it cannot be a base. */
static int index_read_base(struct index *ix, uint64_t place, struct index_twin *ret, int64_t *ret_refs,
                           int64_t *ret_epoch)
{
        int r;

        r = index_db_start(ix->db, CHUNK_BASE, DB_ARGS(DB_INT(place)));
        if (r == 0)
                r = index_db_next(ix->db, CHUNK_BASE);
        if (r > 0) {
                ret->place = place;
                ret->raw_len = (uint32_t)index_db_column(ix->db, CHUNK_BASE, 0);
                ret->stored_len = (uint32_t)index_db_column(ix->db, CHUNK_BASE, 1);
                *ret_refs = index_db_column(ix->db, CHUNK_BASE, 2);
                *ret_epoch = index_db_column(ix->db, CHUNK_BASE, 3);
                r = index_column_name(ix, CHUNK_BASE, 4, &ret->name) < 0 ? -EUCLEAN : 1;
        }
        index_db_end(ix->db, CHUNK_BASE);
        return r;
}

int index_find_base(struct index *ix, struct index_writer *w, const struct chunk_features *features,
                    struct index_twin *ret)
{
        int64_t place[CHUNK_FEATURES_MAX], refs, epoch;
        unsigned votes[CHUNK_FEATURES_MAX], n = 0, best = 0, j;
        struct index_twin twin;
        int r;

        LOCK_SCOPE(&ix->lock);
        if (w->error)
                return w->error;
        for (unsigned i = 0; i < features->n; i++) {
                r = index_db_get(ix->db, FEATURE_GET, &place[n], 1, DB_ARGS(DB_INT(features->block[i])));
                if (r < 0)
                        return index_error(ix, r);
                if (r == 0)
                        continue;
                for (j = 0; place[j] != place[n]; j++)
                        ;
                votes[j] = j == n ? 1 : votes[j] + 1;
                n += j == n;
                if (votes[j] > votes[best])
                        best = j;
        }
        if (n == 0)
                return 0;
        r = index_read_base(ix, (uint64_t)place[best], &twin, &refs, &epoch);
        if (r > 0)
                r = index_hold(ix, w, twin.place, refs, epoch);
        if (r > 0)
                *ret = twin;
        return index_error(ix, r);
}

static int index_put_features(struct index *ix, uint64_t place, const struct chunk_features *features)
{
        int r = 0;

        for (unsigned i = 0; features && i < features->n && r == 0; i++)
                r = index_db_run(ix->db, FEATURE_PUT, DB_ARGS(DB_INT(features->block[i]), DB_INT(place)));
        return r;
}

int index_tx_retain(struct index *ix, uint64_t place)
{
        int64_t v[3];
        int r;

        r = index_tx_one(index_db_get(ix->db, CHUNK_RETAIN, v, 3, DB_ARGS(DB_INT(place))));
        if (r == 0 && v[0] == 1)
                index_count_chunk(ix, v[1], v[2], 1);
        return r;
}

int index_tx_release(struct index *ix, uint64_t place)
{
        int64_t v[3];
        int r;

        r = index_tx_one(index_db_get(ix->db, CHUNK_RELEASE, v, 3, DB_ARGS(DB_INT(place), DB_INT(ix->total.epoch))));
        if (r == 0 && v[0] == 0)
                index_count_chunk(ix, v[1], v[2], -1);
        return r;
}

int index_add(struct index *ix, struct index_writer *w, const struct index_chunk *chunk,
              const struct chunk_features *features)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = w->error;
        if (r == 0)
                r = batch_begin(ix);
        if (r < 0)
                return r;
        r = index_db_run(ix->db, CHUNK_ADD,
                         DB_ARGS(DB_INT(chunk->place), DB_NAME(&chunk->name), DB_INT(chunk->raw_len),
                                 DB_INT(chunk->stored_len), DB_INT(ix->total.epoch), DB_INT(chunk->base)));
        if (r == 0)
                r = chunk->base ? index_tx_retain(ix, chunk->base) : index_put_features(ix, chunk->place, features);
        if (r < 0)
                return index_error(ix, batch_lose(ix, r));
        batch_grow(ix, w, 1);
        return 0;
}

void index_distrust(struct index *ix, uint64_t place)
{
        LOCK_SCOPE(&ix->lock);
        /* What goes wrong with it is for the next change to meet. */
        if (batch_begin(ix) == 0 && index_db_run(ix->db, CHUNK_DISTRUST, DB_ARGS(DB_INT(place))) == 0)
                ix->batch.chunks++;
}
