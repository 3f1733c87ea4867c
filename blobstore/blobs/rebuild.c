/* SPDX-License-Identifier: MIT */

/*
 * A new index from what the maps and segments say. Every blob with a map is live again; those that were being removed
 * are so no more once nobody names them, which the next collection asks. Chunks that no map names are not known any
 * more; all segments are marked, so that the next collection punches what lies between the chunks that are.
 *
 * A map whose header or table is damaged is read page by page, and its blob stays, for its readers to be told. Where a
 * page is damaged or cannot be read, its chunks are not known, and nothing is given back any more (account.h).
 */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "blobstore/blobs/account.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/map_file_priv.h"

struct rebuild {
        struct blobstore *store;
        struct index *index;
        bool is_short; /* not all entries of all maps are counted */
};

/* Damage, or an unreadable sector: that piece says nothing. */
static bool rebuild_misses(struct rebuild *rb, int r)
{
        bool missed = r == -EBADMSG || r == -EIO;

        rb->is_short |= missed;
        return missed;
}

static int rebuild_entry(void *ctx, const struct map_entry *e)
{
        struct rebuild *rb = ctx;
        struct index_chunk chunk = map_entry_chunk(e);
        int r;

        r = index_import_chunk(rb->index, &chunk);
        return r < 0 ? r : 0;
}

static int rebuild_entries(struct rebuild *rb, const struct map *map)
{
        struct map_cursor cursor;
        struct map_entry e;
        int r;

        r = map_seek(map, 0, &cursor);
        for (;;) {
                if (r < 0 && !rebuild_misses(rb, r)) /* the cursor stands behind a page that is missed */
                        return r;
                r = map_next(&cursor, &e);
                if (r == 0)
                        return 0;
                if (r > 0)
                        r = rebuild_entry(rb, &e);
        }
}

static int rebuild_map(void *ctx, const struct blob_id *id, bool dead, const char *path)
{
        CLEANUP(map_closep) struct map *map = NULL;
        struct rebuild *rb = ctx;
        struct index_blob blob = { .state = BLOB_LIVE };
        int r;

        if (!id)
                return 0;
        if (dead) /* half of its references are taken back, and now none is counted */
                return unlinkat(rb->store->maps_fd, path, 0) < 0 ? -errno : 0;

        blob.id = *id;
        r = map_file_open(rb->store, id, false, &map);
        if (r < 0 && !rebuild_misses(rb, r))
                return r;
        if (r < 0) {
                r = map_file_salvage(rb->store, id, rebuild_entry, rb);
                return r < 0 && !rebuild_misses(rb, r) ? r : index_import_blob(rb->index, &blob);
        }
        blob.info = *map_info(map);
        r = rebuild_entries(rb, map);
        if (r < 0)
                return r;
        blob.retained = map_entries(map);
        return index_import_blob(rb->index, &blob);
}

static int rebuild_segment(void *ctx, uint32_t id, uint64_t size)
{
        struct rebuild *rb = ctx;

        return index_import_segment(rb->index, id, size);
}

int rebuild_index(struct blobstore *bs)
{
        struct rebuild rb = { .store = bs };
        int r;

        r = index_new(bs->dir_fd, bs->chunks->segments, &bs->chunks->degraded, &rb.index);
        if (r < 0)
                return r;
        r = map_file_each(bs, rebuild_map, &rb);
        if (r == 0)
                r = segments_each(bs->chunks->segments, 0, rebuild_segment, &rb);
        if (r == 0 && rb.is_short)
                r = account_set_short(bs, true); /* before an index is there that counts too little */
        if (r == 0)
                r = index_publish(rb.index, bs->dir_fd);
        if (r == 0 && !rb.is_short)
                r = account_set_short(bs, false);
        index_close(rb.index);
        return r;
}
