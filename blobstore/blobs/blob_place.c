/* SPDX-License-Identifier: MIT */

/*
 * What the store's threads do for a blob's writer (blob_write.c): a chunk is looked up and compressed by any of them,
 * several at a time, and placed in the order of the chunks by whichever finished the one whose turn it is.
 */

#include <stdlib.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "blobstore/blobs/blob_write_priv.h"

static bool job_has_rejected(const struct chunk_job *j, uint64_t place)
{
        for (unsigned i = 0; i < j->n_rejected; i++)
                if (j->rejected[i].place == place)
                        return true;
        return false;
}

/*
 * Looks for a chunk with the same bytes that has not been looked at. A candidate that cannot be read is no candidate:
 * the chunk is then stored anew, and the damage stays where it is.
 */
static int job_find_twin(struct chunk_job *j)
{
        struct chunk_store *cs = j->writer->store->chunks;
        struct index_twin twins[INDEX_TWINS_MAX];
        struct map_entry *e = &j->entry;
        struct codec *codec;
        bool same;
        int n, r;

        n = index_find(cs->index, chunk_id_key(&e->name), e->raw_len, twins);
        for (int i = 0; i < n; i++) {
                if (job_has_rejected(j, twins[i].place))
                        continue;
                r = codec_pool_get(cs->codecs, &codec);
                if (r < 0)
                        return r;
                r = chunk_store_read(cs, twins[i].place, twins[i].stored_len, NULL, codec->raw, e->raw_len);
                same = r == 0 && memcmp(codec->raw, j->raw, e->raw_len) == 0;
                codec_pool_put(cs->codecs, codec);
                if (same) {
                        r = index_hold(cs->index, &j->writer->hold, twins[i].place);
                        if (r < 0)
                                return r;
                        same = r > 0;
                }
                if (same) {
                        e->place = twins[i].place;
                        e->stored_len = twins[i].stored_len;
                        j->shared = true;
                        return 0;
                }
                if (j->n_rejected < INDEX_TWINS_MAX)
                        j->rejected[j->n_rejected++] = twins[i];
        }
        return n < 0 ? n : 0;
}

static int job_look_up(struct chunk_job *j)
{
        struct chunk_store *cs = j->writer->store->chunks;
        struct codec *codec;
        size_t stored_len;
        int r;

        chunk_id_of(j->raw, j->entry.raw_len, &j->entry.name);
        r = job_find_twin(j);
        if (r < 0 || j->shared)
                return r;

        r = codec_pool_get(cs->codecs, &codec);
        if (r < 0)
                return r;
        r = codec_encode(codec, j->raw, j->entry.raw_len, j->stored, &stored_len);
        codec_pool_put(cs->codecs, codec);
        if (r == 0)
                j->entry.stored_len = (uint32_t)stored_len;
        return r;
}

static int job_append(struct chunk_job *j)
{
        struct blob_writer *w = j->writer;
        struct map_entry *e = &j->entry;
        struct index_chunk chunk;
        int r;

        if (!w->segment) {
                r = segments_take(w->store->chunks->segments, &w->segment);
                if (r < 0)
                        return r;
        }
        r = segment_append(w->segment, e->stored_len == e->raw_len ? j->raw : j->stored, e->stored_len, &e->place);
        if (r < 0)
                return r;
        chunk = map_entry_chunk(e);
        r = index_add(w->store->chunks->index, &w->hold, &chunk);
        if (r < 0)
                return r;
        w->moved_bytes += e->stored_len;

        if (segment_is_full(w->segment))
                segments_give(w->store->chunks->segments, TAKE_PTR(w->segment));
        return 0;
}

static int job_place(struct chunk_job *j)
{
        int r = 0;

        if (!j->shared)
                r = job_find_twin(j);
        if (r == 0 && !j->shared)
                r = job_append(j);
        return r < 0 ? r : map_writer_add(j->writer->map, &j->entry);
}

void blob_place_ready(struct blob_writer *w)
{
        struct chunk_job *j;
        int r;

        w->placing = true;
        while ((j = STAILQ_FIRST(&w->jobs)) && j->looked_up) {
                STAILQ_REMOVE_HEAD(&w->jobs, order);
                r = w->error;
                unlock(&w->lock);
                if (r == 0)
                        r = job_place(j);
                lock(&w->lock);
                if (w->error == 0)
                        w->error = r;
                STAILQ_INSERT_HEAD(&w->unused, j, order);
                w->outstanding--;
                if (w->error || w->outstanding == blob_writer_few(w))
                        pthread_cond_signal(&w->done);
        }
        w->placing = false;
        if (w->outstanding == 0)
                pthread_cond_signal(&w->done);
}

void blob_place_run(struct pool_job *job)
{
        struct chunk_job *j = (struct chunk_job *)job;
        struct blob_writer *w = j->writer;
        int r;

        r = blob_writer_error(w);
        if (r == 0)
                r = job_look_up(j);

        LOCK_SCOPE(&w->lock);
        if (w->error == 0)
                w->error = r;
        j->looked_up = true;
        if (!w->placing)
                blob_place_ready(w);
}
