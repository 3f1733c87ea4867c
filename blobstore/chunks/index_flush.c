/* SPDX-License-Identifier: MIT */

/*
 * The commit of a large batch, in a thread of its own: it waits for the disk, and a writer that waited with it left the
 * processors idle, for 4 % of an import's time.
 */

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "blobstore/chunks/index_priv.h"

/* Chunks in a large batch: some 256 MiB of data, so that little of an interrupted transfer is brought over again. */
#define INDEX_BATCH 4096

/*
 * By so many chunks a batch may grow while it is being committed. The last of those have to be synced with the lock
 * held, when nobody can find a chunk: on a slow disk it must not be many.
 */
#define INDEX_BATCH_GROWTH 256

/* Call with the lock held; it is not while most of the bytes are synced. */
static void index_flush_batch(struct index *ix)
{
        int r;

        unlock(&ix->lock);
        r = segments_sync(ix->segments);
        if (r == 0)
                r = segments_sync(ix->segments); /* what came meanwhile, and is less */
        lock(&ix->lock);
        if (ix->batch == 0)
                return; /* somebody's change came before */
        if (r < 0)
                (void)index_lose(ix, r); /* each writer is told */
        else
                (void)index_commit(ix);
}

static void *index_flusher(void *arg)
{
        struct index *ix = arg;

        LOCK_SCOPE(&ix->lock);
        while (!ix->closing) {
                if (ix->flushing) {
                        index_flush_batch(ix);
                        ix->flushing = false;
                        pthread_cond_broadcast(&ix->flushed);
                } else {
                        pthread_cond_wait(&ix->flush, &ix->lock);
                }
        }
        return NULL;
}

static void index_flush(struct index *ix)
{
        if (!ix->has_flusher)
                ix->has_flusher = thread_start(&ix->flusher, index_flusher, ix) == 0;
        if (!ix->has_flusher) {
                (void)index_commit(ix); /* slower for those who wait for the lock */
                return;
        }
        if (!ix->flushing) {
                ix->flushing = true;
                pthread_cond_signal(&ix->flush);
        }
        while (ix->flushing && ix->batch >= INDEX_BATCH + INDEX_BATCH_GROWTH)
                pthread_cond_wait(&ix->flushed, &ix->lock);
}

void index_grow_batch(struct index *ix, struct index_writer *w, unsigned n)
{
        w->in_batch = true;
        ix->batch += n;
        if (ix->batch >= INDEX_BATCH)
                index_flush(ix);
}

void index_flush_end(struct index *ix)
{
        if (!ix->has_flusher)
                return;
        lock(&ix->lock);
        ix->closing = true;
        pthread_cond_signal(&ix->flush);
        unlock(&ix->lock);
        (void)pthread_join(ix->flusher, NULL);
}
