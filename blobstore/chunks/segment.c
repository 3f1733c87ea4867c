/* SPDX-License-Identifier: MIT */

/*
 * Segments that are appended to: each has one appender at a time or none, and goes when the index knows it as sealed.
 */

#include "blobstore/chunks/segment_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/objects/fd_cache.h"

/* Segments open for reading at once, per store. */
#define SEGMENT_READ_FDS 256

/*
 * Writeback starts after this many bytes, so that the sync at the end finds little left to do. Smaller steps would
 * wait for the disk's queue again and again. What is on disk then leaves the page cache: an import is not read again as
 * a whole, while what it would displace may be what the machines work with; and new pages are dear where a host gives
 * them (an eighth of an import's time).
 */
#define SEGMENT_WRITEBACK (UINT64_C(8) << 20)

int segments_new(int dir_fd, atomic_bool *degraded, struct segments **ret)
{
        struct segments *s;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        r = fd_cache_new(segment_file_open, s, SEGMENT_READ_FDS, &s->readers);
        if (r < 0) {
                free(s);
                return r;
        }
        s->objects = (struct objects){ dir_fd, degraded };
        s->degraded = degraded;
        s->next_id = 1;
        TAILQ_INIT(&s->active);
        pthread_mutex_init(&s->lock, NULL);
        pthread_mutex_init(&s->sync_lock, NULL);
        *ret = s;
        return 0;
}

static void segment_free(struct segment *seg)
{
        pthread_mutex_destroy(&seg->append_lock);
        cleanup_close(&seg->fd);
        footer_done(&seg->footer);
        free(seg);
}

void segments_free(struct segments *s)
{
        struct segment *seg;

        if (!s)
                return;
        segment_queue_free(s->queue);
        segment_far_free(s->far);
        while ((seg = TAILQ_FIRST(&s->active))) {
                TAILQ_REMOVE(&s->active, seg, link);
                segment_free(seg);
        }
        fd_cache_free(s->readers);
        pthread_mutex_destroy(&s->lock);
        pthread_mutex_destroy(&s->sync_lock);
        free(s);
}

void segments_set_store(struct segments *s, const uint8_t id[STORE_ID_SIZE])
{
        memcpy(s->store, id, STORE_ID_SIZE);
}

void segments_set_next(struct segments *s, uint32_t id)
{
        LOCK_SCOPE(&s->lock);
        s->next_id = id;
}

uint32_t segments_get_next(struct segments *s)
{
        LOCK_SCOPE(&s->lock);
        return s->next_id;
}

static struct segment *segment_new(struct segments *s, uint32_t id, int fd, uint64_t end)
{
        struct segment *seg = calloc(1, sizeof(*seg));

        if (!seg)
                return NULL;
        seg->owner = s;
        seg->id = id;
        seg->fd = fd;
        seg->end = seg->writeback = end;
        pthread_mutex_init(&seg->append_lock, NULL);
        return seg;
}

static uint32_t segments_next_id(struct segments *s)
{
        LOCK_SCOPE(&s->lock);
        return s->next_id < SEGMENT_ID_MAX ? s->next_id++ : SEGMENT_ID_MAX;
}

static int segments_make(struct segments *s, bool alone, struct segment **ret)
{
        struct segment *seg;
        uint32_t id;
        int fd;

        fd = s->queue ? segment_send_make_room(s) : 0;
        if (fd < 0)
                return fd;
        do {
                id = segments_next_id(s);
                if (id >= SEGMENT_ID_MAX)
                        return -EFBIG;
                fd = segment_file_make(s, id);
        } while (fd == -EEXIST);
        if (fd < 0)
                return fd;

        seg = segment_new(s, id, -1, SEGMENT_HEADER_SIZE);
        if (!seg) {
                (void)close(fd);
                (void)segment_file_remove(s, id);
                return -ENOMEM;
        }
        seg->fd = fd;
        seg->busy = true;
        seg->alone = alone;

        LOCK_SCOPE(&s->lock);
        s->dir_dirty = true;
        TAILQ_INSERT_TAIL(&s->active, seg, link);
        *ret = seg;
        return 0;
}

int segments_begin(struct segments *s, struct segment **ret)
{
        return segments_make(s, true, ret);
}

uint32_t segment_id(const struct segment *seg)
{
        return seg->id;
}

int segments_take(struct segments *s, struct segment **ret)
{
        struct segment *seg;

        lock(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        if (!seg->busy && !seg->sealed && !seg->full)
                break;
        if (seg)
                seg->busy = true;
        unlock(&s->lock);

        if (!seg)
                return segments_make(s, false, ret);
        *ret = seg;
        return 0;
}

void segment_retire(struct segment *seg)
{
        struct segments *s = seg->owner;

        if (seg->busy || seg->syncing || seg->settling || !seg->sealed_recorded)
                return;
        if (s->queue && seg->sent)
                (void)segment_file_remove(s, seg->id); /* one that comes back after a crash is held against the object */
        else if (s->queue)
                segment_send(s, seg->id, true);
        TAILQ_REMOVE(&seg->owner->active, seg, link);
        segment_free(seg);
}

int segment_seal(struct segment *seg)
{
        struct segments *s = seg->owner;
        uint64_t len;
        int r;

        LOCK_SCOPE(&seg->append_lock);
        if (seg->sealed)
                return 0;
        r = atomic_load(s->degraded) ? -EROFS : footer_write(&seg->footer, seg->fd, seg->end, s->store, seg->id, &len);
        if (r < 0)
                return r;
        LOCK_SCOPE(&s->lock);
        seg->end += len;
        seg->sealed = true;
        if (s->queue)
                segment_send(s, seg->id, true);
        return 0;
}

void segments_give(struct segments *s, struct segment *seg)
{
        if (!seg)
                return;
        /* Without a footer it is given one as if after a crash: its bytes are as safe as before. */
        if (seg->full)
                (void)segment_seal(seg);
        LOCK_SCOPE(&s->lock);
        seg->busy = false;
        segment_retire(seg);
}

/* One that is to be sealed, and busy from now on. */
static struct segment *segments_take_unsealed(struct segments *s)
{
        struct segment *seg;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        if (!seg->busy && !seg->sealed && !seg->full)
                break;
        if (seg)
                seg->busy = seg->full = true;
        return seg;
}

void segments_seal(struct segments *s)
{
        struct segment *seg;

        while ((seg = segments_take_unsealed(s)))
                segments_give(s, seg);
}

int segment_append(struct segment *seg, const void *bytes, size_t n, const struct footer_record *what,
                   const struct chunk_features *features, uint64_t *ret_place)
{
        struct footer_record record = *what;
        uint64_t end;
        int r;

        LOCK_SCOPE(&seg->append_lock);
        end = seg->end; /* nobody else changes it meanwhile */
        if (seg->sealed)
                return -ESTALE;
        if (atomic_load(seg->owner->degraded))
                return -EROFS;
        r = pwrite_full(seg->fd, bytes, n, end);
        if (r < 0)
                return r;
        record.offset = (uint32_t)end;
        record.stored_len = (uint32_t)n;
        if (!record.place)
                record.place = place_make(seg->id, (uint32_t)end);
        r = footer_add(&seg->footer, &record, features);
        if (r < 0)
                return r;

        lock(&seg->owner->lock);
        seg->end = end + n;
        seg->added += n;
        seg->full = seg->end >= SEGMENT_SIZE_SEALED;
        unlock(&seg->owner->lock);

        if (seg->end - seg->writeback >= SEGMENT_WRITEBACK) {
                /* Hints: what goes wrong with them the sync will tell. */
                (void)sync_file_range(seg->fd, (off_t)seg->writeback, (off_t)(seg->end - seg->writeback),
                                      SYNC_FILE_RANGE_WRITE);
                (void)posix_fadvise(seg->fd, 0, (off_t)seg->writeback, POSIX_FADV_DONTNEED);
                seg->writeback = seg->end;
        }
        *ret_place = place_make(seg->id, (uint32_t)end);
        return 0;
}

bool segment_is_full(const struct segment *seg)
{
        return seg->full;
}

bool segments_is_busy(struct segments *s, uint32_t id)
{
        struct segment *seg;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        if (seg->id == id)
                return seg->busy;
        return false;
}

bool segments_is_active(struct segments *s, uint32_t id)
{
        struct segment *seg;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
                if (seg->id == id)
                        return true;
        return false;
}
