/* SPDX-License-Identifier: MIT */

/*
 * Giving space back, in steps each of which a crash may interrupt:
 *
 *      a blob that is to go becomes dead in the index, and its map is renamed so that nobody opens it; one that is open
 *      stays as it is until its last close, and for the next collection. Its references are taken back, the map is
 *      unlinked, the row deleted (release.c); one whose pages others have borrowed stays as a dead one until they go;
 *
 *      chunks without references, older than every writer at work, become dead, and their segment is marked;
 *
 *      of each marked segment what is known to be dead is punched, as far as whole blocks go; a sealed one in which
 *      nothing lives, and of which each chunk that it describes is accounted for, is unlinked. Then the mark goes. A
 *      crash before that only means to punch again. An index that is older than this is known for it.
 *
 * On a full disk all this still works. The index needs some space for each change, so a little is kept in reserve; with
 * that, and small steps, what is removed gives its space back, and the reserve is filled up again.
 *
 * Before that it is asked whether all that may need the bytes is accounted for (account.h); where it is not, blobs are
 * removed, and their space stays. A blob whose map cannot be read is left dead, and stops nobody else.
 *
 * Nobody reads what is punched: readers hold their blob open, and a writer that compares a chunk with one that is just
 * going finds it different, or is told so by index_hold().
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/lock.h"
#include "blobstore/blobs/account.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/gc.h"
#include "blobstore/blobs/map_file_priv.h"
#include "blobstore/blobs/release_priv.h"

#define GC_SWEEP_BATCH 4096
#define GC_REF_BATCH 8192 /* references taken back in one transaction */

/*
 * With steps of a map's page of entries, a transaction changes some hundred pages of 4 KiB at most: each entry's row,
 * and its place in two trees.
 */
#define GC_THRIFTY_BATCH MAP_PAGE_ENTRIES
#define GC_RESERVE (UINT64_C(2) << 20)

#define GC_BLOB_PAGE 64

/* Best effort: without it, only a full disk is harder to leave. */
void gc_fill_reserve(struct blobstore *bs)
{
        CLEANUP_CLOSE int fd = openat(bs->dir_fd, "reserve", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd >= 0 && fallocate(fd, 0, 0, (off_t)GC_RESERVE) == 0 && atomic_exchange(&bs->thrifty, false))
                index_set_thrifty(bs->chunks->index, false);
}

/* R is what became of a step: true where it found no space, and trying again in another way makes sense. */
static bool gc_make_room(struct blobstore *bs, int r)
{
        if (r != -ENOSPC || atomic_exchange(&bs->thrifty, true))
                return false;
        (void)unlinkat(bs->dir_fd, "reserve", 0); /* it may have been used up before */
        index_set_thrifty(bs->chunks->index, true);
        return true;
}

static size_t gc_batch(struct blobstore *bs, size_t usual)
{
        return atomic_load(&bs->thrifty) ? GC_THRIFTY_BATCH : usual;
}

/* A map that cannot be read, or removed, now. */
static bool gc_is_passing(int r)
{
        return r == -EIO || r == -EHOSTDOWN;
}

/*
 * Goes on with a removal, or takes back a commit that did not come to its end. 1: done; 0: it is open, and left for
 * later. Call with removal_lock held.
 */
static int blob_finish_removal(struct blobstore *bs, const struct blob_id *id)
{
        struct index_blob blob;
        int r;

        r = blob_begin_removal(bs, id);
        if (r <= 0)
                return r;
        if (account_is_short(bs)) {
                /* It may be the one that could not be counted: without it, perhaps all can be. */
                r = index_mark_stale(bs->dir_fd);
                if (r < 0)
                        return r;
        }
        r = index_blob_get(bs->chunks->index, id, &blob);
        if (r == 0)
                r = release_blob(bs, &blob, gc_batch(bs, GC_REF_BATCH));
        return r < 0 ? r : 1;
}

/* 1: removed; 0: it is open, and will be, or there is no such blob any more. */
static int blob_drop(struct blobstore *bs, const struct blob_id *id)
{
        int r;

        LOCK_SCOPE(&bs->removal_lock);
        r = index_blob_kill(bs->chunks->index, id);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = blob_finish_removal(bs, id);
        return gc_is_passing(r) ? 0 : r; /* dead it is, and a collection tries again */
}

int blob_remove(struct blobstore *bs, const struct blob_id *id)
{
        struct index_blob blob;
        int r;

        r = store_writable(bs);
        if (r < 0)
                return r;
        r = index_blob_get(bs->chunks->index, id, &blob);
        if (r < 0)
                return r;
        if (blob.state != BLOB_LIVE)
                return -ENOENT;
        do {
                r = blob_drop(bs, id);
        } while (gc_make_room(bs, r));
        return r < 0 ? r : 0;
}

#define GC_LENDS 2 /* removed, but for pages that others have borrowed of it */

/* A removal or a commit that was interrupted, or a removed blob that may be open no more. */
static int gc_unfinished_blob(struct blobstore *bs, const struct blob_id *id)
{
        struct index_blob blob;
        int r;

        LOCK_SCOPE(&bs->removal_lock);
        if (blob_is_open(bs, id))
                return 0;
        /* Only now: it may have been a commit at work until a moment ago, and be live. */
        r = index_blob_get(bs->chunks->index, id, &blob);
        if (r == 0)
                r = release_is_lender(bs, &blob);
        if (r != 0)
                return r == -ENOENT ? 0 : r < 0 ? r : GC_LENDS;
        r = blob.state == BLOB_LIVE ? 0 : blob_finish_removal(bs, id);
        return gc_is_passing(r) ? 0 : r;
}

static int gc_unfinished(struct blobstore *bs, struct blobstore_gc_stats *stats)
{
        struct index_blob page[GC_BLOB_PAGE];
        struct blob_id after;
        int n, r;

        for (n = index_blob_list(bs->chunks->index, false, NULL, page, GC_BLOB_PAGE); n > 0;
             n = index_blob_list(bs->chunks->index, false, &after, page, GC_BLOB_PAGE)) {
                after = page[n - 1].id;
                for (int i = 0; i < n; i++) {
                        r = gc_unfinished_blob(bs, &page[i].id);
                        if (r < 0)
                                return r;
                        stats->blobs_removed += r == 1;
                        stats->blobs_kept += r == 0;
                }
        }
        return n;
}

struct gc_names {
        blob_live_fn *live;   /* NULL: nothing is dropped */
        blob_stays_fn *stays; /* may be NULL */
        void *ctx;
};

static bool gc_keeps(struct blobstore *bs, const struct gc_names *names, const struct blob_id *id)
{
        /* In this order: whoever has just made a blob keeps it open until its name is recorded. */
        if (blob_is_open(bs, id) || names->live(names->ctx, id))
                return true;
        return names->stays && !map_file_is_new(bs, id) && names->stays(names->ctx, id);
}

/* No lock is held while the caller is asked. */
static int gc_unnamed(struct blobstore *bs, const struct gc_names *names, struct blobstore_gc_stats *stats)
{
        struct index_blob page[GC_BLOB_PAGE];
        struct blob_id after;
        int n, r;

        for (n = index_blob_list(bs->chunks->index, true, NULL, page, GC_BLOB_PAGE); n > 0;
             n = index_blob_list(bs->chunks->index, true, &after, page, GC_BLOB_PAGE)) {
                after = page[n - 1].id;
                for (int i = 0; i < n; i++) {
                        if (gc_keeps(bs, names, &page[i].id))
                                continue;
                        r = blob_drop(bs, &page[i].id);
                        if (r < 0)
                                return r;
                        stats->blobs_removed += r > 0;
                }
        }
        return n;
}

static bool gc_orphans_are_due(struct blobstore *bs, uint64_t unnamed_us)
{
        uint64_t since = index_orphans_since(bs->chunks->index);
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        return since && (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 >= since + unnamed_us;
}

/* Again where chunks have died that others were the base of: bases have none. */
static int gc_sweep(struct blobstore *bs, uint64_t unnamed_us, struct blobstore_gc_stats *stats)
{
        bool orphans = gc_orphans_are_due(bs, unnamed_us);
        unsigned bases;
        uint64_t limit;
        int n;

        do {
                bases = 0;
                n = index_sweep_begin(bs->chunks->index, &limit);
                if (n < 0)
                        return n;
                while ((n = index_sweep(bs->chunks->index, limit, orphans, (unsigned)gc_batch(bs, GC_SWEEP_BATCH),
                                        &bases)) > 0)
                        stats->chunks_removed += (uint64_t)n;
        } while (n == 0 && bases > 0);
        return n;
}

/*
 * Is each chunk that the segment describes known to be dead or elsewhere? What does not tell is kept; what lies in a bucket that
 * is away, or that the end of the mount keeps from being asked, is asked again.
 */
static int gc_is_accounted_for(struct blobstore *bs, uint32_t id)
{
        struct footer footer = { 0 };
        int r;

        r = segments_describe(bs->chunks->segments, id, &footer);
        if (r < 0)
                return r == -ENOMEM || r == -EHOSTDOWN ? r : 0;
        r = index_accounts_for(bs->chunks->index, bs->chunks->moves, id, &footer);
        footer_done(&footer);
        return r;
}

/* Bytes that a segment occupies; none where it is gone. */
static uint64_t gc_allocated(struct blobstore *bs, uint32_t id)
{
        uint64_t size, allocated;

        return segments_stat(bs->chunks->segments, id, &size, &allocated) < 0 ? 0 : allocated;
}

static int gc_segment(struct blobstore *bs, uint32_t id, struct blobstore_gc_stats *stats)
{
        CLEANUP_FREE struct index_gap *gaps = NULL;
        uint64_t before = gc_allocated(bs, id), after;
        bool empty, sealed;
        size_t n;
        int r;

        r = index_gaps(bs->chunks->index, id, &gaps, &n, &empty, &sealed);
        if (r < 0)
                return r == -EBUSY ? 0 : r; /* it stays marked */
        if (empty && sealed) {
                r = gc_is_accounted_for(bs, id);
                if (r < 0)
                        return r;
                empty = r > 0;
        }
        if (empty && sealed) {
                r = segments_unlink(bs->chunks->segments, id);
                /* Before the row goes: a file without one would never be looked at again. */
                if (r == 0)
                        r = segments_sync_dir(bs->chunks->segments);
        } else {
                for (size_t i = 0; r == 0 && i < n; i++)
                        r = segments_punch(bs->chunks->segments, id, gaps[i].from, gaps[i].to);
                /*
                 * A file system that cannot punch keeps the bytes until the segment is empty; a missing file keeps
                 * none.
                 */
                if (r == -EOPNOTSUPP || r == -ENOENT)
                        r = 0;
        }
        if (r < 0)
                return r;
        after = gc_allocated(bs, id);
        stats->bytes_freed += before > after ? before - after : 0;
        /* One that is empty before it is sealed is looked at again after that. */
        return empty && !sealed ? 0 : index_unmark_segment(bs->chunks->index, id, empty);
}

static int gc_segments(struct blobstore *bs, struct blobstore_gc_stats *stats)
{
        uint32_t id = 0;
        int found, r;

        found = index_marked_segment(bs->chunks->index, id, &id);
        if (found <= 0)
                return found;
        r = index_begin_generation(bs->chunks->index);
        id = 0;
        while (r == 0 && found > 0) {
                LOCK_SCOPE(&bs->removal_lock);
                found = index_marked_segment(bs->chunks->index, id, &id);
                r = found > 0 ? gc_segment(bs, id, stats) : found;
        }
        return r;
}

static int gc_run(struct blobstore *bs, const struct gc_names *names, uint64_t unnamed_us,
                  struct blobstore_gc_stats *stats)
{
        int r;

        r = gc_unfinished(bs, stats);
        if (r == 0 && names->live)
                r = gc_unnamed(bs, names, stats);
        if (r < 0)
                return r;

        r = account_is_whole(bs);
        stats->withheld = r == 0;
        if (r <= 0)
                return r;
        r = gc_sweep(bs, unnamed_us, stats);
        return r < 0 ? r : gc_segments(bs, stats);
}

int blobstore_gc(struct blobstore *bs, blob_live_fn *live, blob_stays_fn *stays, void *ctx, uint64_t unnamed_us,
                 struct blobstore_gc_stats *ret)
{
        const struct gc_names names = { .live = live, .stays = stays, .ctx = ctx };
        struct blobstore_gc_stats stats = { 0 };
        int r;

        r = store_writable(bs);
        if (r == 0 && bs->far.bucket)
                r = bucket_look(bs->far.bucket);
        if (r < 0)
                return r;
        segments_send(bs->chunks->segments);
        do {
                r = gc_run(bs, &names, unnamed_us, &stats);
        } while (gc_make_room(bs, r));
        if (r < 0)
                return r;
        gc_fill_reserve(bs);
        *ret = stats;
        return 0;
}
