/* SPDX-License-Identifier: MIT */

/*
 * The order in which what is stored becomes durable (that in which it goes again is blobs/gc.c's). The segments know no
 * index, and the index's tables no segments; neither syncs nor commits unless it is told to.
 *
 *      1   bytes       segments_sync() makes durable what was appended, and the names of new segments
 *      2   rows        one transaction of the index names those bytes, and says up to where each segment is known
 *      3   blobs       a blob's map is synced; a row says that the blob is new; the map gets its name; its references
 *                      are counted, and with the last one it is live. blob_writer_commit() goes through this; each of
 *                      its steps in the index is a change here, before which 1 and 2 were done
 *
 * So a row never names bytes that are not on disk, and a map never a chunk without a row. What a crash leaves of 1
 * without 2 lies behind the known end of a segment, and has no name (index_recover.c); what it leaves of 2 without 3
 * is chunks that nobody refers to, and blobs that the next collection takes back.
 *
 * New chunks gather in a batch, an open transaction. A large one is committed in a thread of its own: that waits for
 * the disk, and a writer that waited with it left the processors idle, for 4 % of an import's time.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "blobstore/chunks/batch_priv.h"
#include "blobstore/chunks/index_priv.h"

/* Chunks in a large batch: some 256 MiB of data, so that little of an interrupted transfer is brought over again. */
#define BATCH_CHUNKS 4096

/*
 * By so many chunks a batch may grow while it is being committed. The last of those have to be synced with the lock
 * held, when nobody can find a chunk: on a slow disk it must not be many.
 */
#define BATCH_GROWTH 256

void batch_init(struct index *ix, struct segments *segments)
{
        ix->batch.segments = segments;
        pthread_cond_init(&ix->batch.flush, NULL);
        pthread_cond_init(&ix->batch.flushed, NULL);
}

int batch_sync_ahead(struct index *ix)
{
        return segments_sync(ix->batch.segments);
}

bool batch_appends_to(struct index *ix, uint32_t segment)
{
        return segments_is_busy(ix->batch.segments, segment);
}

/* ---- the order; with the lock held ---- */

int batch_begin(struct index *ix)
{
        return index_tx_begin(ix, false);
}

/* Notes where the bytes of a lost batch lie. Without memory for that, they stay there until their segment goes. */
static void batch_disown(struct index *ix)
{
        CLEANUP_FREE struct segment_range *ranges = NULL;
        struct segment_range *grown;
        size_t n;

        if (segments_disown(ix->batch.segments, &ranges, &n) < 0)
                return;
        grown = reallocarray(ix->batch.lost, ix->batch.n_lost + n + 1, sizeof(*grown));
        if (!grown)
                return;
        memcpy(grown + ix->batch.n_lost, ranges, n * sizeof(*ranges));
        ix->batch.lost = grown;
        ix->batch.n_lost += n;
}

static int batch_put_lost(struct index *ix)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < ix->batch.n_lost; i++) {
                const struct segment_range *range = &ix->batch.lost[i];

                /* Nobody can find it: so it may go with the next sweep. */
                r = index_tx_add_debris(ix, place_make(range->id, (uint32_t)range->from), range->to - range->from, 1);
        }
        return r;
}

int batch_lose(struct index *ix, int r)
{
        struct index_writer *w;

        index_tx_rollback(ix);
        if (ix->batch.chunks > 0)
                batch_disown(ix);
        ix->batch.chunks = 0;
        LIST_FOREACH(w, &ix->writers, link)
        {
                if (w->in_batch)
                        w->error = r;
                w->in_batch = false;
        }
        return r;
}

/* Commits what there is, after the bytes that it names; all or nothing. */
static int batch_commit(struct index *ix)
{
        CLEANUP_FREE struct segment_state *states = NULL;
        struct segments *segments = ix->batch.segments;
        struct index_writer *w;
        size_t n = 0;
        int r;

        r = ix->batch.chunks > 0 ? segments_sync(segments) : 0; /* new rows are those of a batch */
        if (r == 0)
                r = segments_unrecorded(segments, &states, &n);
        if (r == 0)
                r = index_tx_begin(ix, false);
        if (r == 0)
                r = index_tx_put_segments(ix, states, n);
        if (r == 0)
                r = batch_put_lost(ix);
        if (r == 0)
                r = index_tx_commit(ix, segments_get_next(segments));
        if (r < 0)
                return index_error(ix, batch_lose(ix, r));

        segments_recorded(segments, states, n);
        ix->batch.n_lost = 0;
        ix->batch.chunks = 0;
        LIST_FOREACH(w, &ix->writers, link)
        w->in_batch = false;
        return 0;
}

int batch_begin_change(struct index *ix)
{
        int r;

        if (ix->batch.chunks > 0) {
                r = batch_commit(ix);
                if (r < 0)
                        return r;
        }
        return index_tx_begin(ix, true);
}

int batch_end_change(struct index *ix, int r)
{
        return r < 0 ? index_error(ix, batch_lose(ix, r)) : batch_commit(ix);
}

/* ---- large batches ---- */

/* Call with the lock held; it is not while most of the bytes are synced. */
static void batch_flush_now(struct index *ix)
{
        int r;

        unlock(&ix->lock);
        r = segments_sync(ix->batch.segments);
        if (r == 0)
                r = segments_sync(ix->batch.segments); /* what came meanwhile, and is less */
        lock(&ix->lock);
        if (ix->batch.chunks == 0)
                return; /* somebody's change came before */
        if (r < 0)
                (void)batch_lose(ix, r); /* each writer is told */
        else
                (void)batch_commit(ix);
}

static void *batch_flusher(void *arg)
{
        struct index *ix = arg;

        LOCK_SCOPE(&ix->lock);
        while (!ix->batch.closing) {
                if (ix->batch.flushing) {
                        batch_flush_now(ix);
                        ix->batch.flushing = false;
                        pthread_cond_broadcast(&ix->batch.flushed);
                } else {
                        pthread_cond_wait(&ix->batch.flush, &ix->lock);
                }
        }
        return NULL;
}

static void batch_flush(struct index *ix)
{
        if (!ix->batch.has_flusher)
                ix->batch.has_flusher = thread_start(&ix->batch.flusher, batch_flusher, ix) == 0;
        if (!ix->batch.has_flusher) {
                (void)batch_commit(ix); /* slower for those who wait for the lock */
                return;
        }
        if (!ix->batch.flushing) {
                ix->batch.flushing = true;
                pthread_cond_signal(&ix->batch.flush);
        }
        while (ix->batch.flushing && ix->batch.chunks >= BATCH_CHUNKS + BATCH_GROWTH)
                pthread_cond_wait(&ix->batch.flushed, &ix->lock);
}

void batch_grow(struct index *ix, struct index_writer *w, unsigned n)
{
        w->in_batch = true;
        ix->batch.chunks += n;
        if (ix->batch.chunks >= BATCH_CHUNKS)
                batch_flush(ix);
}

static void batch_end_flusher(struct index *ix)
{
        if (!ix->batch.has_flusher)
                return;
        lock(&ix->lock);
        ix->batch.closing = true;
        pthread_cond_signal(&ix->batch.flush);
        unlock(&ix->lock);
        (void)pthread_join(ix->batch.flusher, NULL);
}

void batch_done(struct index *ix)
{
        batch_end_flusher(ix);
        if (ix->batch.chunks > 0)
                (void)batch_commit(ix); /* chunks that nobody refers to: a convenience for the next writer */
}

int batch_seal(struct index *ix, uint64_t token)
{
        int r;

        segments_seal(ix->batch.segments);
        r = segments_sync(ix->batch.segments);
        if (r < 0)
                return r;
        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        ix->total.token = token;
        return batch_end_change(ix, 0);
}

void batch_free(struct index *ix)
{
        free(ix->batch.lost);
        pthread_cond_destroy(&ix->batch.flushed);
        pthread_cond_destroy(&ix->batch.flush);
}
