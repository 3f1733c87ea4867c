/* SPDX-License-Identifier: MIT */

#include "blobstore/blobs/map_file_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/parse.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/map_layout_priv.h"
#include "blobstore/objects/bucket.h"
#include "blobstore/objects/objects.h"

#define DEAD_SUFFIX ".dead"

/* "ab/<32 hex digits>", and the suffix. */
#define MAP_PATH_SIZE (3 + MAP_NAME_SIZE + sizeof(DEAD_SUFFIX))

static void map_file_path(const struct blob_id *id, bool dead, char ret[MAP_PATH_SIZE])
{
        char name[MAP_NAME_SIZE];

        map_name(id, name);
        (void)snprintf(ret, MAP_PATH_SIZE, "%.2s/%s%s", name, name, dead ? DEAD_SUFFIX : "");
}

int map_file_create(struct blobstore *bs, const struct blob_id *id, int *ret)
{
        char name[MAP_NAME_SIZE];
        int fd;

        map_name(id, name);
        fd = openat(bs->temp_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

void map_file_discard(struct blobstore *bs, const struct blob_id *id)
{
        char name[MAP_NAME_SIZE];

        map_name(id, name);
        (void)unlinkat(bs->temp_fd, name, 0);
}

/* Maps that are whole. */
static struct objects map_objects(struct blobstore *bs)
{
        return (struct objects){ bs->maps_fd, &bs->chunks->degraded };
}

#define FOLDER "maps/"

/* In the bucket, "maps/ab/<32 hex digits>". */
static void map_key(const struct blob_id *id, char ret[sizeof(FOLDER) + MAP_PATH_SIZE])
{
        memcpy(ret, FOLDER, sizeof(FOLDER) - 1);
        map_file_path(id, false, ret + sizeof(FOLDER) - 1);
}

static int map_file_send(struct blobstore *bs, const struct blob_id *id, const char *path)
{
        const struct objects maps = map_objects(bs);
        char key[sizeof(FOLDER) + MAP_PATH_SIZE];
        CLEANUP_CLOSE int fd = -1;
        struct stat st;
        int r;

        r = objects_open(&maps, path, &fd);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0)
                return -errno;
        map_key(id, key);
        return bucket_put(bs->far.bucket, key, fd, (uint64_t)st.st_size);
}

int map_file_put(struct blobstore *bs, const struct blob_id *id)
{
        char path[MAP_PATH_SIZE];
        int r;

        map_file_path(id, false, path);
        r = map_file_put_back(bs, id);
        return r == 0 && bs->far.bucket ? map_file_send(bs, id, path) : r;
}

int map_file_open_lender(struct blobstore *bs, const struct blob_id *id, int *ret, uint64_t *ret_size)
{
        const struct objects maps = map_objects(bs);
        char path[MAP_PATH_SIZE];
        CLEANUP_CLOSE int fd = -1;
        struct stat st;
        int r;

        map_file_path(id, false, path);
        r = objects_open(&maps, path, &fd);
        if (r == -ENOENT) {
                map_file_path(id, true, path); /* a map only ever goes from there to here */
                r = objects_open(&maps, path, &fd);
        }
        if (r < 0)
                return r;
        if (ret_size) {
                if (fstat(fd, &st) < 0)
                        return -errno;
                *ret_size = (uint64_t)st.st_size;
        }
        *ret = fd;
        fd = -1;
        return 0;
}

int map_file_read_page(struct blobstore *bs, const struct blob_id *id, uint32_t page, uint8_t ret[MAP_PAGE_SIZE])
{
        CLEANUP_CLOSE int fd = -1;
        ssize_t n;
        int r;

        r = map_file_open_lender(bs, id, &fd, NULL);
        if (r < 0)
                return r;
        n = pread_full(fd, ret, MAP_PAGE_SIZE, map_page_offset(page));
        return n < 0 ? (int)n : n == MAP_PAGE_SIZE ? 0 : -EBADMSG;
}

int map_file_write_page(struct blobstore *bs, const struct blob_id *id, uint32_t page, const uint8_t bytes[MAP_PAGE_SIZE])
{
        const struct objects maps = map_objects(bs);
        char path[MAP_PATH_SIZE];
        int r;

        map_file_path(id, false, path);
        r = objects_mend(&maps, path, map_page_offset(page), bytes, MAP_PAGE_SIZE);
        if (r != -ENOENT)
                return r;
        map_file_path(id, true, path); /* as for reading */
        return objects_mend(&maps, path, map_page_offset(page), bytes, MAP_PAGE_SIZE);
}

int map_file_fetch_page(struct blobstore *bs, const struct blob_id *id, uint32_t page, uint8_t ret[MAP_PAGE_SIZE])
{
        char key[sizeof(FOLDER) + MAP_PATH_SIZE];
        size_t n;
        int r;

        if (!bs->far.bucket)
                return -ENOENT;
        map_key(id, key);
        r = bucket_get(bs->far.bucket, key, map_page_offset(page), ret, MAP_PAGE_SIZE, &n, NULL);
        return r < 0 ? r : n == MAP_PAGE_SIZE ? 0 : -EBADMSG;
}

static int map_file_fetch_all(struct blobstore *bs, const struct blob_id *id, int fd)
{
        char key[sizeof(FOLDER) + MAP_PATH_SIZE];
        uint8_t buf[16 * MAP_PAGE_SIZE];
        uint64_t at = 0;
        size_t n = sizeof(buf);
        int r = 0;

        map_key(id, key);
        while (r == 0 && n == sizeof(buf)) {
                r = bucket_get(bs->far.bucket, key, at, buf, sizeof(buf), &n, NULL);
                if (r == 0)
                        r = pwrite_full(fd, buf, n, at);
                at += n;
        }
        return r == 0 && fsync(fd) < 0 ? -errno : r;
}

int map_file_fetch(struct blobstore *bs, const struct blob_id *id)
{
        CLEANUP(map_closep) struct map *map = NULL;
        CLEANUP_CLOSE int fd = -1;
        int r;

        if (!bs->far.bucket)
                return -ENOENT;
        r = map_file_create(bs, id, &fd);
        if (r < 0)
                return r;
        r = map_file_fetch_all(bs, id, fd);
        return r == 0 ? map_open(TAKE_FD(fd), id, &map) : r;
}

int map_file_put_back(struct blobstore *bs, const struct blob_id *id)
{
        const struct objects maps = map_objects(bs);
        char path[MAP_PATH_SIZE], name[MAP_NAME_SIZE];

        map_name(id, name);
        map_file_path(id, false, path);
        return objects_put(&maps, bs->temp_fd, name, path);
}

static int map_file_lender(void *ctx, const struct blob_id *lender, int *ret)
{
        return map_file_open_lender(ctx, lender, ret, NULL);
}

int map_file_open(struct blobstore *bs, const struct blob_id *id, bool dead, struct map **ret)
{
        const struct objects maps = map_objects(bs);
        char path[MAP_PATH_SIZE];
        int fd, r;

        map_file_path(id, dead, path);
        r = objects_open(&maps, path, &fd);
        if (r == 0)
                r = map_open(fd, id, ret);
        if (r == 0)
                map_set_lenders(*ret, map_file_lender, bs);
        return r;
}

void map_file_drop_cached(struct blobstore *bs, const struct blob_id *id, bool dead)
{
        const struct objects maps = map_objects(bs);
        char path[MAP_PATH_SIZE];

        map_file_path(id, dead, path);
        objects_drop_cached(&maps, path);
}

int map_file_salvage(struct blobstore *bs, const struct blob_id *id, map_entry_fn *fn, void *ctx)
{
        const struct objects maps = map_objects(bs);
        char path[MAP_PATH_SIZE];
        CLEANUP_CLOSE int fd = -1;
        int r;

        map_file_path(id, false, path);
        r = objects_open(&maps, path, &fd);
        return r < 0 ? r : map_salvage(fd, id, fn, ctx);
}

static bool is_before(struct timespec a, struct timespec b)
{
        return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

bool map_file_is_new(struct blobstore *bs, const struct blob_id *id)
{
        char path[MAP_PATH_SIZE];
        struct timespec now;
        struct stat st;

        map_file_path(id, false, path);
        (void)clock_gettime(CLOCK_REALTIME, &now);
        return fstatat(bs->maps_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !is_before(st.st_mtim, bs->opened) &&
               !is_before(now, st.st_mtim);
}

bool map_file_exists(struct blobstore *bs, const struct blob_id *id, bool dead)
{
        const struct objects maps = map_objects(bs);
        char path[MAP_PATH_SIZE];

        map_file_path(id, dead, path);
        return objects_exists(&maps, path);
}

int map_file_hide(struct blobstore *bs, const struct blob_id *id)
{
        const struct objects maps = map_objects(bs);
        char from[MAP_PATH_SIZE], to[MAP_PATH_SIZE];
        int r;

        map_file_path(id, false, from);
        map_file_path(id, true, to);
        r = objects_rename(&maps, from, to);
        return r == -ENOENT ? 0 : r;
}

int map_file_remove(struct blobstore *bs, const struct blob_id *id)
{
        const struct objects maps = map_objects(bs);
        char path[MAP_PATH_SIZE], key[sizeof(FOLDER) + MAP_PATH_SIZE];
        int r;

        map_key(id, key);
        r = bs->far.bucket ? bucket_remove(bs->far.bucket, key) : 0; /* first: whoever is interrupted does it again */
        if (r < 0)
                return r;
        map_file_path(id, true, path);
        r = objects_remove(&maps, path);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        return objects_sync_names(&maps, path);
}

/* ---- all of them ---- */

/* 0, or -EINVAL where the name is no map's. */
static int map_file_parse(const char *dir, const char *name, struct blob_id *ret_id, bool *ret_dead)
{
        size_t len = 2 * BLOB_ID_SIZE;

        if (strlen(name) < len || parse_hex(name, len, ret_id->bytes) < 0 || strncmp(dir, name, 2) != 0)
                return -EINVAL;
        *ret_dead = strcmp(name + len, DEAD_SUFFIX) == 0;
        return *ret_dead || name[len] == '\0' ? 0 : -EINVAL;
}

struct map_file_walk {
        struct blobstore *store;
        const char *subdir; /* of maps/, by the first byte of the id */
        map_file_fn *fn;
        void *ctx;
};

static int map_file_each_name(void *ctx, const char *name)
{
        const struct map_file_walk *walk = ctx;
        char path[NAME_MAX + 4];
        struct blob_id id;
        bool dead = false;
        int r;

        (void)snprintf(path, sizeof(path), "%.2s/%s", walk->subdir, name);
        r = map_file_parse(walk->subdir, name, &id, &dead);
        return walk->fn(walk->ctx, r < 0 ? NULL : &id, r == 0 && dead, path);
}

static int map_file_each_dir(void *ctx, const char *name)
{
        struct map_file_walk walk = *(const struct map_file_walk *)ctx;
        int r;

        walk.subdir = name;
        r = strlen(name) == 2 ? dir_each(walk.store->maps_fd, name, map_file_each_name, &walk) : -ENOTDIR;
        return r == -ENOTDIR ? walk.fn(walk.ctx, NULL, false, name) : r;
}

int map_file_each(struct blobstore *bs, map_file_fn *fn, void *ctx)
{
        struct map_file_walk walk = { .store = bs, .fn = fn, .ctx = ctx };

        return dir_each(bs->maps_fd, ".", map_file_each_dir, &walk);
}
