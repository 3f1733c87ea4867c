/* SPDX-License-Identifier: MIT */

/*
 * What the store's threads do for a blob's writer (blob_write.c): a chunk is looked up and compressed by any of them,
 * several at a time, and placed in the order of the chunks by whichever finished the one whose turn it is.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "blobstore/blobs/blob_write_priv.h"

/* Is there a chunk of that name? Then it is this one. */
static int job_find_twin(struct chunk_job *j)
{
        struct map_entry *e = &j->entry;
        struct index_twin twin;
        int r;

        r = index_share(j->writer->store->chunks->index, &j->writer->hold, &j->name, e->raw_len, &twin);
        if (r <= 0)
                return r;
        e->place = twin.place;
        e->stored_len = twin.stored_len;
        j->shared = true;
        return 0;
}

/* Names a chunk, and the one beside it. */
static int job_name(struct chunk_job *j)
{
        struct chunk_job *other = j->beside;
        struct chunk_bytes both[2];
        struct chunk_name names[2];
        int r;

        if (!other)
                return chunk_name_of(j->raw, j->entry.raw_len, &j->name);
        both[0] = (struct chunk_bytes){ j->raw, j->entry.raw_len };
        both[1] = (struct chunk_bytes){ other->raw, other->entry.raw_len };
        r = chunk_name_both(both, names);
        if (r < 0)
                return r;
        j->name = names[0];
        other->name = names[1];
        return 0;
}

static int job_look_up(struct chunk_job *j)
{
        struct blob_writer *w = j->writer;
        struct map_entry *e = &j->entry;
        int r;

        chunk_id_of(j->raw, e->raw_len, &e->name);
        r = job_find_twin(j);
        if (r < 0 || j->shared)
                return r;
        r = chunk_store_pack(w->store->chunks, &w->hold, CODEC_FAST, j->raw, e->raw_len, j->stored, &j->packed);
        e->stored_len = j->packed.stored_len;
        return r;
}

static int job_append(struct chunk_job *j)
{
        struct blob_writer *w = j->writer;
        struct map_entry *e = &j->entry;
        const struct footer_record record = { .name = j->name, .base = j->packed.base, .raw_len = e->raw_len };
        const struct chunk_features *features = j->packed.base ? NULL : &j->packed.features; /* bases have no base */
        struct index_chunk chunk;
        int r;

        do {
                r = w->segment ? 0 : segments_take(w->store->chunks->segments, &w->segment);
                if (r == 0)
                        r = segment_append(w->segment, e->stored_len == e->raw_len ? j->raw : j->stored, e->stored_len,
                                           &record, features, &e->place);
                if (r == -ESTALE)
                        segments_give(w->store->chunks->segments, TAKE_PTR(w->segment));
        } while (r == -ESTALE || (r < 0 && store_make_room(w->store, r)));
        if (r < 0)
                return r;
        chunk = (struct index_chunk){
                .place = e->place,
                .name = j->name,
                .raw_len = e->raw_len,
                .stored_len = e->stored_len,
                .base = j->packed.base,
        };
        r = index_add(w->store->chunks->index, &w->hold, &chunk, features);
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

        if (j->is_page)
                return map_writer_borrow(j->writer->map, &j->page);
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
        struct chunk_job *j = (struct chunk_job *)job, *other;
        struct blob_writer *w = j->writer;
        int r;

        r = blob_writer_error(w);
        if (r == 0)
                r = job_name(j);
        for (; j; j = other) {
                other = j->beside; /* J is somebody else's once it was looked up, and W is with the last one */
                if (r == 0)
                        r = job_look_up(j);

                LOCK_SCOPE(&w->lock);
                if (w->error == 0)
                        w->error = r;
                j->looked_up = true;
                if (!w->placing)
                        blob_place_ready(w);
        }
}
