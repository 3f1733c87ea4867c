/* SPDX-License-Identifier: MIT */

#include "blobstore/blobs/blob_priv.h"

#include <errno.h>
#include <stdlib.h>

/*
 * 2000 pages of maps, however many blobs are open: what 11 GiB of their data are found by. Small reads of an image come
 * from all over it, but seldom from all of many.
 */
#define MAP_PAGES_BYTES (UINT64_C(8) << 20)

/* So much the cache on disk gives at once to who finds no space. */
#define MAKE_ROOM_BYTES (UINT64_C(64) << 20)

struct blobstore *store_new(bool read_only)
{
        struct blobstore *bs = calloc(1, sizeof(*bs));

        if (!bs)
                return NULL;
        if (cache_new(MAP_PAGES_BYTES, &bs->map_pages) < 0) {
                free(bs);
                return NULL;
        }
        bs->read_only = read_only;
        blob_ahead_init(&bs->scans);
        bs->far.cache.dir_fd = -1;
        bs->dir_fd = bs->lock_fd = bs->segments_fd = bs->moved_fd = bs->maps_fd = bs->temp_fd = bs->incoming_fd = -1;
        pthread_mutex_init(&bs->blobs_lock, NULL);
        pthread_mutex_init(&bs->scans_lock, NULL);
        pthread_mutex_init(&bs->move_lock, NULL);
        pthread_mutex_init(&bs->removal_lock, NULL);
        return bs;
}

void store_free(struct blobstore *bs)
{
        bucket_stop(bs->far.bucket); /* what is on its way goes there the next time */
        chunk_store_free(bs->chunks);
        bucket_free(bs->far.bucket);
        cleanup_close(&bs->far.cache.dir_fd);
        cache_free(bs->map_pages);
        cleanup_close(&bs->incoming_fd);
        cleanup_close(&bs->temp_fd);
        cleanup_close(&bs->maps_fd);
        cleanup_close(&bs->moved_fd);
        cleanup_close(&bs->segments_fd);
        cleanup_close(&bs->lock_fd); /* and with it the lock */
        cleanup_close(&bs->dir_fd);
        pthread_mutex_destroy(&bs->blobs_lock);
        pthread_mutex_destroy(&bs->removal_lock);
        pthread_mutex_destroy(&bs->move_lock);
        pthread_mutex_destroy(&bs->scans_lock);
        free(bs);
}

int store_writable(const struct blobstore *bs)
{
        return bs->read_only || atomic_load(&bs->chunks->degraded) ? -EROFS : 0;
}

bool store_make_room(struct blobstore *bs, int r)
{
        return (r == -ENOSPC || r == -EDQUOT) && bs->chunks->blocks &&
               block_cache_give_way(bs->chunks->blocks, MAKE_ROOM_BYTES) > 0;
}

int store_sync_failed(struct blobstore *bs, int r)
{
        atomic_store(&bs->chunks->degraded, true);
        return r;
}
