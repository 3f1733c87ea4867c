/* SPDX-License-Identifier: MIT */

/*
 * A new index from what the maps and segments say. Every blob with a map is live again; those that were being removed
 * are so no more once nobody names them, which the next collection asks. Chunks that no map names are not known any
 * more; all segments are marked, so that the next collection punches what lies between the chunks that are.
 *
 * A page of a map that is damaged says nothing, and its chunks are not counted; neither are they when the blob is
 * removed. A map whose header or table is damaged counts nothing, but its blob stays, for its readers to be told.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/parse.h"
#include "blobstore/blobs/store_priv.h"

static void cleanup_closedir(DIR **d)
{
        if (*d)
                (void)closedir(*d);
}

static int open_dir_stream(int dir_fd, const char *name, DIR **ret)
{
        int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return -errno;
        *ret = fdopendir(fd);
        if (!*ret) {
                int r = -errno;

                (void)close(fd);
                return r;
        }
        return 0;
}

/* 0, or -EINVAL where the name is no map's. */
static int map_parse_name(const char *dir, const char *name, struct blob_id *ret_id, bool *ret_dead)
{
        size_t len = 2 * BLOB_ID_SIZE;

        if (strlen(name) < len || parse_hex(name, len, ret_id->bytes) < 0 || strncmp(dir, name, 2) != 0)
                return -EINVAL;
        *ret_dead = strcmp(name + len, STORE_DEAD) == 0;
        return *ret_dead || name[len] == '\0' ? 0 : -EINVAL;
}

static int store_each_map_in(struct blobstore *bs, const char *subdir, store_map_fn *fn, void *ctx)
{
        CLEANUP(cleanup_closedir) DIR *dir = NULL;
        char path[sizeof(((struct dirent *)0)->d_name) + 4];
        struct dirent *de;
        struct blob_id id;
        bool dead = false;
        int r;

        r = open_dir_stream(bs->maps_fd, subdir, &dir);
        if (r < 0)
                return r == -ENOTDIR ? fn(ctx, NULL, false, subdir) : r;
        while (errno = 0, (de = readdir(dir))) {
                if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
                        continue;
                (void)snprintf(path, sizeof(path), "%.2s/%s", subdir, de->d_name);
                r = map_parse_name(subdir, de->d_name, &id, &dead);
                r = fn(ctx, r < 0 ? NULL : &id, r == 0 && dead, path);
                if (r < 0)
                        return r;
        }
        return -errno;
}

int store_each_map(struct blobstore *bs, store_map_fn *fn, void *ctx)
{
        CLEANUP(cleanup_closedir) DIR *dir = NULL;
        struct dirent *de;
        int r;

        r = open_dir_stream(bs->maps_fd, ".", &dir);
        if (r < 0)
                return r;
        while (errno = 0, (de = readdir(dir))) {
                if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
                        continue;
                r = strlen(de->d_name) == 2 ? store_each_map_in(bs, de->d_name, fn, ctx) :
                                              fn(ctx, NULL, false, de->d_name);
                if (r < 0)
                        return r;
        }
        return -errno;
}

struct rebuild {
        struct blobstore *store;
        struct index *index;
};

static int rebuild_entries(struct rebuild *rb, const struct map *map)
{
        struct map_cursor cursor;
        struct map_entry e;
        int r;

        r = map_seek(map, 0, &cursor);
        for (;;) {
                if (r < 0 && r != -EBADMSG) /* a page that is damaged says nothing, and the cursor stands behind it */
                        return r;
                r = map_next(&cursor, &e);
                if (r == 0)
                        return 0;
                if (r > 0)
                        r = index_import_entry(rb->index, &e);
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
