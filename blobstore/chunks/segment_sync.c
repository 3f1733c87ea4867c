/* SPDX-License-Identifier: MIT */

/*
 * What of the segments is durable, and what of that the index knows: it is told of bytes when they are, and in the same
 * transaction as the rows that name them.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/segment_priv.h"

/* Call with the lock held. */
static struct segment *segments_next_unsynced(struct segments *s)
{
        struct segment *seg;

        TAILQ_FOREACH(seg, &s->active, link)
        if (seg->synced < seg->wanted)
                return seg;
        return NULL;
}

/* Call with sync_lock held: else one would take the mark, and another not wait until it is done. */
static int segments_sync_names(struct segments *s)
{
        bool dirty;

        lock(&s->lock);
        dirty = s->dir_dirty;
        s->dir_dirty = false;
        unlock(&s->lock);
        return dirty ? objects_sync_names(&s->objects, "") : 0;
}

/*
 * A sync that failed is not tried again: the kernel has then marked the pages as clean, and a second
 * call would succeed without having written them.
 */
int segments_sync(struct segments *s)
{
        struct segment *seg;
        int r;

        LOCK_SCOPE(&s->sync_lock);
        if (atomic_load(s->degraded))
                return -EROFS;

        lock(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        {
                seg->wanted = seg->end;
                seg->added_wanted = seg->added;
        }
        while ((seg = segments_next_unsynced(s))) {
                seg->syncing = true;
                unlock(&s->lock);
                r = fdatasync(seg->fd) < 0 ? -errno : 0;
                lock(&s->lock);
                seg->syncing = false;
                if (r < 0) {
                        atomic_store(s->degraded, true);
                        unlock(&s->lock);
                        return r;
                }
                seg->synced = seg->wanted;
                seg->added_synced = seg->added_wanted;
        }
        unlock(&s->lock);
        return segments_sync_names(s);
}

int segments_sync_dir(struct segments *s)
{
        LOCK_SCOPE(&s->sync_lock);
        return segments_sync_names(s);
}

int segments_unrecorded(struct segments *s, struct segment_state **ret, size_t *ret_n)
{
        CLEANUP_FREE struct segment_state *states = NULL;
        struct segment *seg;
        size_t n = 0;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        n++;
        states = calloc(n ? n : 1, sizeof(*states));
        if (!states)
                return -ENOMEM;

        n = 0;
        TAILQ_FOREACH(seg, &s->active, link)
        {
                /*
                 * Sealed says: every byte before the end is named by a row or dead. An appender may be between the two.
                 */
                bool sealed = seg->sealed && seg->synced == seg->end && !seg->busy;

                if (seg->synced > seg->recorded || sealed != seg->sealed_recorded)
                        states[n++] = (struct segment_state){ .id = seg->id,
                                                              .end = seg->synced,
                                                              .added = seg->added_synced - seg->added_recorded,
                                                              .sealed = sealed };
        }
        *ret = TAKE_PTR(states);
        *ret_n = n;
        return 0;
}

void segments_recorded(struct segments *s, const struct segment_state *states, size_t n)
{
        struct segment *seg, *next;

        LOCK_SCOPE(&s->lock);
        for (size_t i = 0; i < n; i++) {
                for (seg = TAILQ_FIRST(&s->active); seg; seg = next) {
                        next = TAILQ_NEXT(seg, link);
                        if (seg->id != states[i].id)
                                continue;
                        seg->recorded = states[i].end;
                        seg->added_recorded += states[i].added;
                        seg->sealed_recorded = states[i].sealed;
                        segment_retire(seg);
                        break;
                }
        }
}

int segments_disown(struct segments *s, struct segment_range **ret, size_t *ret_n)
{
        struct segment_range *ranges;
        struct segment *seg;
        uint64_t from;
        size_t n = 0;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        n++;
        ranges = calloc(n ? n : 1, sizeof(*ranges));
        if (!ranges)
                return -ENOMEM;
        n = 0;
        TAILQ_FOREACH(seg, &s->active, link)
        {
                from = seg->recorded > seg->disowned ? seg->recorded : seg->disowned;
                if (from < SEGMENT_HEADER_SIZE)
                        from = SEGMENT_HEADER_SIZE;
                if (seg->sealed || from >= seg->end)
                        continue;
                ranges[n++] = (struct segment_range){ .id = seg->id, .from = from, .to = seg->end };
                seg->disowned = seg->end;
        }
        *ret = ranges;
        *ret_n = n;
        return 0;
}
