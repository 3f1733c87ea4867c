/* SPDX-License-Identifier: MIT */

/*
 * A new index from what the maps and segments say. Every blob with a map is live again; those that were being removed
 * are so no more once nobody names them, which the next collection asks. Chunks that no map names are not known any
 * more; all segments are marked, so that the next collection punches what lies between the chunks that are.
 *
 * A page of a map that is damaged says nothing, and its chunks are not counted; neither are they when the blob is
 * removed. A map whose header or table is damaged counts nothing, but its blob stays, for its readers to be told.
 */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/map_file_priv.h"

struct rebuild {
        struct blobstore *store;
        struct index *index;
};

static int rebuild_entries(struct rebuild *rb, const struct map *map)
{
        struct map_cursor cursor;
        struct index_chunk chunk;
        struct map_entry e;
        int r;

        r = map_seek(map, 0, &cursor);
        for (;;) {
                if (r < 0 && r != -EBADMSG) /* a page that is damaged says nothing, and the cursor stands behind it */
                        return r;
                r = map_next(&cursor, &e);
                if (r == 0)
                        return 0;
                if (r < 0)
                        continue;
                chunk = map_entry_chunk(&e);
                r = index_import_chunk(rb->index, &chunk);
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
        if (r == -EBADMSG)
                return index_import_blob(rb->index, &blob);
        if (r < 0)
                return r;
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
                r = segments_each(bs->chunks->segments, rebuild_segment, &rb);
        if (r == 0)
                r = index_publish(rb.index, bs->dir_fd);
        index_close(rb.index);
        return r;
}
