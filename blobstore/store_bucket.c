/* SPDX-License-Identifier: MIT */

/*
 * Opening a store in a bucket. Its directory can be lost, with the host that had it: but for machines' disks and what was on its way,
 * all of it is in the bucket, or is made again from that, as the index from segments and maps.
 */

#include "blobstore/store_bucket_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/parse.h"
#include "blobstore/blobs/map.h"
#include "blobstore/blobs/store.h"
#include "blobstore/objects/fetch_ahead.h"

#define RANGES_BYTES_MAX (UINT64_C(32) << 30)
#define FORMAT_MAX 256

/* ---- a directory that was lost ---- */

struct recall {
        struct blobstore *store;
        int maps_fd;
        char *buffer; /* of BUCKET_READ_MAX */
        uint64_t maps;
};

#define FOLDER "maps/"

/* "maps/ab/<32 hex digits>" */
static bool is_map(const char *name)
{
        uint8_t bytes[BLOB_ID_SIZE];

        return strlen(name) == sizeof(FOLDER) - 1 + 3 + MAP_NAME_SIZE - 1 && strncmp(name, FOLDER, sizeof(FOLDER) - 1) == 0 &&
               name[sizeof(FOLDER) + 1] == '/' && memcmp(name + sizeof(FOLDER) - 1, name + sizeof(FOLDER) + 2, 2) == 0 &&
               parse_hex(name + sizeof(FOLDER) + 2, MAP_NAME_SIZE - 1, bytes) == 0;
}

/* SIZE bytes, by way of BUCKET_READ_MAX at BUFFER. */
static int fetch_to(struct bucket *b, const char *name, uint64_t size, char *buffer, int fd)
{
        size_t got;
        int r = 0;

        for (uint64_t at = 0; r == 0 && at < size; at += got) {
                r = bucket_get(b, name, at, buffer, BUCKET_READ_MAX, &got, NULL);
                if (r == 0 && got == 0)
                        r = -EHOSTDOWN; /* another than the list says: asked again the next time */
                if (r == 0)
                        r = pwrite_full(fd, buffer, got, at);
        }
        return r;
}

/* An s3_each_fn. Until the format is there nobody takes it for whole. */
static int recall_map(void *ctx, const char *name, uint64_t size)
{
        const char *path = name + sizeof(FOLDER) - 1;
        CLEANUP_CLOSE int fd = -1;
        struct recall *rc = ctx;
        char folder[3];

        if (!is_map(name))
                return 0;
        if (rc->store->progress)
                rc->store->progress(rc->store->progress_ctx, "maps from the bucket", ++rc->maps, 0);
        (void)snprintf(folder, sizeof(folder), "%.2s", path);
        if (mkdirat(rc->maps_fd, folder, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(rc->maps_fd, path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        return fd < 0 ? -errno : fetch_to(rc->store->far.bucket, name, size, rc->buffer, fd);
}

static int recall_maps(struct blobstore *bs, int dir_fd)
{
        CLEANUP_FREE char *buffer = malloc(BUCKET_READ_MAX);
        CLEANUP_CLOSE int maps_fd = -1;
        struct recall rc = { .store = bs, .buffer = buffer };
        int r;

        if (!buffer)
                return -ENOMEM;
        if (mkdirat(dir_fd, "maps", 0700) < 0 && errno != EEXIST)
                return -errno;
        maps_fd = openat(dir_fd, "maps", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (maps_fd < 0)
                return -errno;
        rc.maps_fd = maps_fd;
        r = bucket_each(bs->far.bucket, FOLDER, recall_map, &rc);
        return r < 0 ? r : syncfs(maps_fd) < 0 ? -errno : 0;
}

static int recall(struct blobstore *bs, const char *dir)
{
        char format[FORMAT_MAX];
        CLEANUP_CLOSE int fd = -1;
        size_t n;
        int r;

        r = bucket_get(bs->far.bucket, FORMAT_FILE, 0, format, sizeof(format), &n, NULL);
        if (r < 0)
                return r;
        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = recall_maps(bs, fd);
        if (r == 0)
                r = write_file_durable(fd, FORMAT_NEXT, format, n, 0600);
        return r < 0 ? r : 1;
}

/* What stays of a directory that another host's part has become newer than: what only this host has, and what opening it needs. */
static bool stays(const char *name)
{
        static const char *const names[] = { "disks", "incoming", "lock", "owner", "reserve" };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (strcmp(name, names[i]) == 0)
                        return true;
        }
        return false;
}

/* A dir_each_fn. */
static int forget_entry(void *ctx, const char *name)
{
        return stays(name) ? 0 : dir_remove(*(const int *)ctx, name);
}

/* "…id <digits> …", as blobstore.c writes it: by that the caches are called. */
static int forget_caches(int dir_fd, const char *caches_dir)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, FORMAT_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), caches_fd = -1;
        static const char *const ends[] = { "", ".ranges", ".ranges.index" };
        char text[FORMAT_MAX] = "", name[64];
        const char *id;
        int r = 0;

        if (fd < 0 || !caches_dir)
                return 0;
        if (pread_full(fd, text, sizeof(text) - 1, 0) < 0 || !(id = strstr(text, "\nid ")))
                return 0; /* then it has none by that name */
        caches_fd = open(caches_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (size_t i = 0; r == 0 && caches_fd >= 0 && i < sizeof(ends) / sizeof(ends[0]); i++) {
                (void)snprintf(name, sizeof(name), "imagefs-%.*s%s", 2 * STORE_ID_SIZE, id + strlen("\nid "), ends[i]);
                r = dir_remove(caches_fd, name);
        }
        return r;
}

int blobstore_forget_far(const char *dir, const struct blobstore_caches *caches)
{
        CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        r = forget_caches(fd, caches->dir);
        if (r == 0 && unlinkat(fd, FORMAT_FILE, 0) < 0 && errno != ENOENT)
                r = -errno;
        if (r == 0)
                r = fsync_dir(fd); /* from here on it is one that was lost, whatever else of it is left */
        if (r == 0)
                r = dir_each(fd, ".", forget_entry, &fd);
        return r < 0 ? r : fsync_dir(fd);
}

/* ---- opening ---- */

int store_bucket_open(struct blobstore *bs, const char *dir, const struct blobstore_opts *opts)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        CLEANUP_FREE char *format = NULL;
        int r;

        if (!opts->bucket)
                return 0;
        if (asprintf(&format, "%s/" FORMAT_FILE, dir) < 0)
                return -ENOMEM;
        r = bucket_new(opts->bucket, &bs->far.bucket, opts->why ?: &why);
        /* One that is whole has claimed its part of the bucket, or is about to. */
        if (r < 0 || bs->read_only || faccessat(AT_FDCWD, format, F_OK, 0) == 0)
                return r;
        if (opts->existing) {
                bs->far.was_lost = true;
                return recall(bs, dir);
        }
        return bucket_probe(bs->far.bucket, opts->why ?: &why);
}

int store_bucket_ranges(struct blobstore *bs, const uint8_t id[STORE_ID_SIZE], const struct blobstore_caches *caches)
{
        struct chunk_store_far *far = &bs->far;
        uint64_t bytes = caches->disk_bytes;
        char digits[2 * STORE_ID_SIZE + 1];
        struct statvfs st;

        if (!far->bucket)
                return 0;
        put_hex(digits, id, STORE_ID_SIZE);
        (void)snprintf(far->cache_name, sizeof(far->cache_name), "imagefs-%s.ranges", digits);
        if (caches->dir)
                far->cache.dir_fd = open(caches->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (far->cache.dir_fd < 0) { /* or that is not there yet */
                far->cache.dir_fd = fcntl(bs->dir_fd, F_DUPFD_CLOEXEC, 0);
                strcpy(far->cache_name, RANGES_FILE);
        }
        if (far->cache.dir_fd < 0 || fstatvfs(far->cache.dir_fd, &st) < 0)
                return -errno;
        if (bytes == BLOCK_CACHE_SHARE) {
                bytes = (uint64_t)st.f_blocks * st.f_frsize / 10;
                bytes = bytes < RANGES_BYTES_MAX ? bytes : RANGES_BYTES_MAX;
        }
        far->cache.bytes = bytes;
        far->cache.ahead = caches->ahead;
        far->cache.name = bytes == 0 || bs->read_only ? NULL : far->cache_name;
        return 0;
}

static struct bucket_store far_store(struct blobstore *bs, const char *format)
{
        return (struct bucket_store){ .format = format,
                                      .dir_fd = bs->read_only ? -1 : bs->dir_fd,
                                      .taken = &bs->chunks->degraded };
}

int store_bucket_expect(struct blobstore *bs, const char *format)
{
        const struct bucket_store store = far_store(bs, format);

        return bs->far.bucket ? bucket_expect(bs->far.bucket, &store) : 0;
}

int store_bucket_claim(struct blobstore *bs, const char *format, const struct blobstore_opts *opts)
{
        const struct bucket_store store = far_store(bs, format);
        CLEANUP_STRBUF struct strbuf why = { 0 };
        int r = 0;

        if (!bs->far.bucket)
                return 0;
        if (!opts->existing && !bs->read_only)
                r = bucket_claim(bs->far.bucket, &store, opts->why ?: &why);
        return r == 0 && !bs->read_only ? segments_adopt(bs->chunks->segments) : r;
}

int blobstore_ahead_new(struct fetch_ahead **ret)
{
        return fetch_ahead_new(ret);
}

void blobstore_ahead_free(struct fetch_ahead *a)
{
        fetch_ahead_free(a);
}

/* ---- files of the caller's ---- */

struct names {
        size_t skip; /* of the folder, with its slash */
        char (*all)[NAME_MAX + 1]; /* in order, as they are listed */
        size_t n, room;
        uint64_t last_size;
};

/* An s3_each_fn. */
static int note_name(void *ctx, const char *name, uint64_t size)
{
        struct names *names = ctx;
        void *grown;

        name += names->skip;
        if (strchr(name, '/') || name[0] == '.' || strlen(name) > NAME_MAX)
                return 0; /* nobody's whom we know */
        if (names->n == names->room) {
                grown = reallocarray(names->all, names->room + 16, sizeof(*names->all));
                if (!grown)
                        return -ENOMEM;
                names->all = grown;
                names->room += 16;
        }
        strcpy(names->all[names->n++], name);
        names->last_size = size;
        return 0;
}

static void names_done(struct names *names)
{
        free(names->all);
}

static int list_names(struct bucket *b, const char *folder, struct names *ret)
{
        char start[NAME_MAX + 2];

        ret->skip = (size_t)snprintf(start, sizeof(start), "%s/", folder);
        return bucket_each(b, start, note_name, ret);
}

static bool has_name(const struct names *names, const char *name)
{
        for (size_t i = 0; i < names->n; i++) {
                if (strcmp(names->all[i], name) == 0)
                        return true;
        }
        return false;
}

int blobstore_keep_far(struct blobstore *bs, const char *folder, int dir_fd, const char *name, size_t most)
{
        CLEANUP(names_done) struct names names = { 0 };
        char key[2 * NAME_MAX + 2];
        CLEANUP_CLOSE int fd = -1;
        struct stat st;
        int r;

        r = bucket_look(bs->far.bucket); /* the last of them counts, whoever put it there */
        if (r == 0)
                r = list_names(bs->far.bucket, folder, &names);
        if (r < 0 || has_name(&names, name))
                return r;
        fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        (void)snprintf(key, sizeof(key), "%s/%s", folder, name);
        r = bucket_put(bs->far.bucket, key, fd, (uint64_t)st.st_size);
        for (size_t i = 0; r == 0 && i + most < names.n + 1; i++) {
                (void)snprintf(key, sizeof(key), "%s/%s", folder, names.all[i]);
                r = bucket_remove(bs->far.bucket, key);
        }
        return r;
}

static int fetch_last(struct bucket *b, const char *folder, int dir_fd, char *name, size_t size)
{
        CLEANUP_FREE char *buffer = malloc(BUCKET_READ_MAX);
        CLEANUP(names_done) struct names names = { 0 };
        char key[2 * NAME_MAX + 2];
        CLEANUP_CLOSE int fd = -1;
        int r;

        if (!buffer)
                return -ENOMEM;
        r = list_names(b, folder, &names);
        if (r == 0 && names.n == 0)
                r = -ENOENT;
        if (r < 0)
                return r;
        if (snprintf(name, size, "%s", names.all[names.n - 1]) >= (int)size)
                return -ENAMETOOLONG;
        fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        (void)snprintf(key, sizeof(key), "%s/%s", folder, name);
        return fetch_to(b, key, names.last_size, buffer, fd);
}

int blobstore_fetch_far(const char *place, const char *folder, int dir_fd, char *name, size_t size, struct strbuf *why)
{
        struct bucket *b;
        int r;

        r = bucket_new(place, &b, why);
        if (r < 0)
                return r;
        r = fetch_last(b, folder, dir_fd, name, size);
        if (r == -ENOENT)
                strbuf_addf(why, "there is no %s in this part of the bucket", folder);
        else if (r < 0)
                (void)bucket_is_away(b, why);
        bucket_free(b);
        return r;
}

/* ---- another way to the same ---- */

int blobstore_compare_far(struct blobstore *bs, const char *dir, const char *place, struct strbuf *why)
{
        CLEANUP_CLOSE int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
        char format[FORMAT_MAX + 1] = "";
        struct bucket *b;
        ssize_t n;
        int r;

        if (dir_fd >= 0)
                fd = openat(dir_fd, FORMAT_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        n = fd < 0 ? -errno : pread_full(fd, format, FORMAT_MAX, 0);
        if (n < 0)
                return (int)n;
        if (bs)
                (void)bucket_look(bs->far.bucket); /* what this opening is just claiming there it has then; or it is away */
        r = bucket_new(place, &b, why);
        if (r < 0)
                return r;
        r = bucket_compare(b, format, dir_fd, why);
        bucket_free(b);
        return r;
}

int blobstore_move_far(struct blobstore *bs, const char *place, struct strbuf *why)
{
        return bucket_move(bs->far.bucket, place, why);
}

/* ---- for who has one, or wants one ---- */

bool blobstore_is_far(const struct blobstore *bs)
{
        return bs->far.bucket != NULL;
}

int blobstore_check_bucket(const char *text, char *place, size_t size, struct strbuf *why)
{
        struct s3_place p;
        int r;

        if (!s3_is_supported()) {
                strbuf_add(why, "this imagefs was built without libcurl, and knows no buckets");
                return -EOPNOTSUPP;
        }
        r = s3_place_parse(text, &p, why);
        return r < 0 ? r : s3_place_print(&p, place, size);
}

bool blobstore_is_away(struct blobstore *bs, struct strbuf *trouble)
{
        return bs->far.bucket && bucket_is_away(bs->far.bucket, trouble);
}

void blobstore_stop(struct blobstore *bs)
{
        bucket_stop(bs->far.bucket);
}

bool blobstore_is_taken(struct blobstore *bs, struct strbuf *who)
{
        return bs->far.bucket && bucket_is_taken(bs->far.bucket, who);
}

bool blobstore_is_contested(struct blobstore *bs)
{
        return segments_are_contested(bs->chunks->segments);
}
