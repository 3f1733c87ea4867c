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
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/dir.h"
#include "blobstore/base/parse.h"
#include "blobstore/blobs/store_priv.h"

/* 0, or -EINVAL where the name is no map's. */
static int map_parse_name(const char *dir, const char *name, struct blob_id *ret_id, bool *ret_dead)
{
        size_t len = 2 * BLOB_ID_SIZE;

        if (strlen(name) < len || parse_hex(name, len, ret_id->bytes) < 0 || strncmp(dir, name, 2) != 0)
                return -EINVAL;
        *ret_dead = strcmp(name + len, STORE_DEAD) == 0;
        return *ret_dead || name[len] == '\0' ? 0 : -EINVAL;
}

struct each_map {
        struct blobstore *store;
        const char *subdir; /* of maps/, by the first byte of the id */
        store_map_fn *fn;
        void *ctx;
};

static int store_each_map_name(void *ctx, const char *name)
{
        const struct each_map *each = ctx;
        char path[NAME_MAX + 4];
        struct blob_id id;
        bool dead = false;
        int r;

        (void)snprintf(path, sizeof(path), "%.2s/%s", each->subdir, name);
        r = map_parse_name(each->subdir, name, &id, &dead);
        return each->fn(each->ctx, r < 0 ? NULL : &id, r == 0 && dead, path);
}

static int store_each_map_dir(void *ctx, const char *name)
{
        struct each_map each = *(const struct each_map *)ctx;
        int r;

        each.subdir = name;
        r = strlen(name) == 2 ? dir_each(each.store->maps_fd, name, store_each_map_name, &each) : -ENOTDIR;
        return r == -ENOTDIR ? each.fn(each.ctx, NULL, false, name) : r;
}

int store_each_map(struct blobstore *bs, store_map_fn *fn, void *ctx)
{
        struct each_map each = { .store = bs, .fn = fn, .ctx = ctx };

        return dir_each(bs->maps_fd, ".", store_each_map_dir, &each);
}

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
        r = store_open_map(rb->store, id, "", &map);
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

int store_rebuild_index(struct blobstore *bs)
{
        struct rebuild rb = { .store = bs };
        int r;

        r = index_new(bs->dir_fd, bs->segments, &bs->degraded, &rb.index);
        if (r < 0)
                return r;
        r = store_each_map(bs, rebuild_map, &rb);
        if (r == 0)
                r = segments_each(bs->segments, rebuild_segment, &rb);
        if (r == 0)
                r = index_publish(rb.index, bs->dir_fd);
        index_close(rb.index);
        return r;
}
