/* SPDX-License-Identifier: MIT */

/*
 * A copy is made beside the others under a name that is none, read through and synced, and then gets its name, which
 * says when it was made and what its bytes are: what a crash cut off, or a disk has damaged, is not taken for one. One
 * with the same bytes as the newest is not kept: a library that is only mounted and unmounted keeps its seven.
 *
 * The order is that of the names, whatever the clock does: a new one is always later than the newest.
 *
 * Of a store in a bucket they lie in its directory here, and the newest goes into the bucket, where as many stay: that is what a
 * library comes back from when its host is lost (recall.h).
 */

#include "model/core/catalogue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/log.h"
#include "blobstore/base/parse.h"
#include "blobstore/hash/checksum.h"
#include "model/core/clock.h"
#include "model/core/stores.h"
#include "model/db/reserve.h"

#define SECOND_US INT64_C(1000000)
#define RETRY_US  (INT64_C(3600) * SECOND_US)

/* At unmount: umount(8) has returned by then, but whoever mounts again at once waits for us, and a shutdown does. */
#define CLOSE_S 10

#define TEMP_NAME   "new.tmp"
#define TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ"
#define BUFFER      (1 << 18)

/* ---- names ---- */

static bool read_name(const char *name, struct catalogue_copy *ret)
{
        struct catalogue_copy copy = { 0 };
        struct tm tm = { 0 };
        const char *end;

        if (strlen(name) != CATALOGUE_NAME_LEN)
                return false;
        end = strptime(name, TIME_FORMAT, &tm);
        if (end != name + CATALOGUE_TIME_LEN || *end != '.' || strcmp(end + 1 + 2 * HASH128_SIZE, ".db") != 0 ||
            parse_hex(end + 1, 2 * HASH128_SIZE, copy.sum) < 0)
                return false;
        copy.time_us = (int64_t)timegm(&tm) * SECOND_US;
        memcpy(copy.name, name, sizeof(copy.name));
        *ret = copy;
        return true;
}

static void write_name(struct catalogue_copy *copy)
{
        time_t seconds = (time_t)(copy->time_us / SECOND_US);
        char text[2 * HASH128_SIZE + 1], when[64];
        struct tm tm;

        put_hex(text, copy->sum, sizeof(copy->sum));
        (void)strftime(when, sizeof(when), TIME_FORMAT, gmtime_r(&seconds, &tm));
        (void)snprintf(copy->name, sizeof(copy->name), "%.*s.%s.db", CATALOGUE_TIME_LEN, when, text);
}

void catalogue_copies_done(struct catalogue_copies *copies)
{
        free(copies->copy);
}

static int collect_copy(void *ctx, const char *name)
{
        struct catalogue_copies *copies = ctx;

        if (copies->n == copies->size) {
                size_t size = copies->size ? 2 * copies->size : 16;
                struct catalogue_copy *grown = reallocarray(copies->copy, size, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                copies->copy = grown;
                copies->size = size;
        }
        copies->n += read_name(name, &copies->copy[copies->n]);
        return 0;
}

static int compare_newest_first(const void *a, const void *b)
{
        return strcmp(((const struct catalogue_copy *)b)->name, ((const struct catalogue_copy *)a)->name);
}

int catalogue_list(int dir_fd, struct catalogue_copies *ret)
{
        int r;

        r = dir_each(dir_fd, ".", collect_copy, ret);
        if (r == 0 && ret->n > 0)
                qsort(ret->copy, ret->n, sizeof(*ret->copy), compare_newest_first);
        return r;
}

int catalogue_sum(int fd, uint8_t ret[HASH128_SIZE])
{
        CLEANUP(checksum_freep) struct checksum *sum = checksum_new();
        CLEANUP_FREE uint8_t *buf = malloc(BUFFER);
        uint64_t off = 0;
        ssize_t n;

        if (!sum || !buf)
                return -ENOMEM;
        while ((n = pread_full(fd, buf, BUFFER, off)) > 0) {
                checksum_add(sum, buf, (size_t)n);
                off += (uint64_t)n;
        }
        if (n == 0)
                checksum_get(sum, ret);
        return (int)n;
}

/* ---- one store ---- */

static int open_dir(int store_fd, int *ret)
{
        const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
        int fd, r;

        fd = openat(store_fd, CATALOGUE_DIR, flags);
        if (fd < 0 && errno == ENOENT) {
                r = mkdir_durable(store_fd, CATALOGUE_DIR, 0700);
                if (r < 0)
                        return r;
                fd = openat(store_fd, CATALOGUE_DIR, flags);
        }
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

/* A copy is not worth the last space: what is removed on a full disk needs some. */
static int check_space(struct model *m, struct blobstore *bs)
{
        struct stat st;
        uint64_t free_bytes;
        int r;

        if (fstatat(m->dir_fd, DB_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        r = blobstore_free_bytes(bs, &free_bytes);
        if (r < 0)
                return r;
        return free_bytes < (uint64_t)st.st_size + RESERVE_LEAVES ? -ENOSPC : 0;
}

static int sum_in(int dir_fd, const char *name, uint8_t ret[HASH128_SIZE])
{
        CLEANUP_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : catalogue_sum(fd, ret);
}

/* Gives the new file its name, unless the newest has the same bytes. 1: there is one more copy. */
static int name_copy(int dir_fd, const struct catalogue_copies *copies)
{
        struct catalogue_copy copy = { .time_us = clock_now_us() };
        int r;

        r = sum_in(dir_fd, TEMP_NAME, copy.sum);
        if (r < 0)
                return r;
        if (copies->n > 0) {
                const struct catalogue_copy *newest = &copies->copy[0];

                if (memcmp(newest->sum, copy.sum, sizeof(copy.sum)) == 0)
                        return 0;
                if (copy.time_us < newest->time_us + SECOND_US)
                        copy.time_us = newest->time_us + SECOND_US;
        }
        write_name(&copy);
        if (renameat(dir_fd, TEMP_NAME, dir_fd, copy.name) < 0)
                return -errno;
        r = fsync_dir(dir_fd);
        return r < 0 ? r : 1;
}

static int copy_into(struct model *m, struct blobstore *bs, int dir_fd, const struct catalogue_copies *copies,
                     db_copy_stop_fn *stop, void *ctx)
{
        int r;

        (void)unlinkat(dir_fd, TEMP_NAME, 0); /* of one that was cut off */
        r = check_space(m, bs);
        if (r == 0)
                r = db_copy(m->db, dir_fd, TEMP_NAME, stop, ctx);
        if (r < 0)
                return r;
        r = name_copy(dir_fd, copies);
        if (r <= 0)
                (void)unlinkat(dir_fd, TEMP_NAME, 0);
        for (size_t i = CATALOGUE_KEPT - 1; r > 0 && i < copies->n; i++)
                (void)unlinkat(dir_fd, copies->copy[i].name, 0); /* one more would do no harm */
        return r < 0 ? r : 0;
}

/* ---- all of them ---- */

struct keeping {
        struct model *m;
        db_copy_stop_fn *stop;
        void *ctx;
        bool always; /* also where the newest copy is not a day old */
        int64_t now_us, due_us;
        int error; /* of any store */
};

/* Names are at least a second apart, so that some that were made at once say a few seconds too much. */
#define AHEAD_US (CATALOGUE_KEPT * SECOND_US)

/* One from the future was made by a clock that was wrong: it says nothing of how old it is. */
static bool is_fresh(const struct keeping *k, const struct catalogue_copies *copies)
{
        const int64_t time_us = copies->n > 0 ? copies->copy[0].time_us : 0;

        return time_us <= k->now_us + AHEAD_US && time_us > k->now_us - CATALOGUE_APART_US;
}

/* Not while the library is being closed: that has no time. A bucket that is away is told of anyhow. */
static int send_newest(struct keeping *k, struct blobstore *bs, int dir_fd)
{
        CLEANUP(catalogue_copies_done) struct catalogue_copies copies = { 0 };
        int r;

        r = catalogue_list(dir_fd, &copies);
        if (r == 0 && copies.n > 0)
                r = blobstore_keep_far(bs, CATALOGUE_DIR, dir_fd, copies.copy[0].name, CATALOGUE_KEPT);
        if (r == -EHOSTDOWN && k->due_us > k->now_us + RETRY_US)
                k->due_us = k->now_us + RETRY_US;
        return r == -EHOSTDOWN ? 0 : r;
}

static int keep_in(struct keeping *k, struct blobstore *bs)
{
        CLEANUP(catalogue_copies_done) struct catalogue_copies copies = { 0 };
        CLEANUP_CLOSE int dir_fd = -1;
        int r;

        r = open_dir(blobstore_dir(bs), &dir_fd);
        if (r == 0)
                r = catalogue_list(dir_fd, &copies);
        if (r < 0)
                return r;
        if (!is_fresh(k, &copies) || k->always)
                r = copy_into(k->m, bs, dir_fd, &copies, k->stop, k->ctx);
        else if (k->due_us > copies.copy[0].time_us + CATALOGUE_APART_US)
                k->due_us = copies.copy[0].time_us + CATALOGUE_APART_US;
        return r == 0 && blobstore_is_far(bs) && !k->always ? send_newest(k, bs, dir_fd) : r;
}

/* A stores_fn. One that fails does not keep the others; nothing of another library's is touched. */
static int keep_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct keeping *k = ctx;
        int r;

        if (!stores_are_ours(k->m, id))
                return 0;
        r = keep_in(k, bs);
        if (r < 0 && r != -ECANCELED) {
                log_debug("model: store %llu: no copy of the catalogue: %s", (unsigned long long)id, strerror(-r));
                k->error = r;
        }
        return r == -ECANCELED ? r : 0;
}

static void keep(struct keeping *k)
{
        int r;

        if (db_is_far(k->m->db))
                return; /* its server's own means make copies of it */
        r = stores_each(k->m, keep_store, k);
        if (r == 0)
                atomic_store(&k->m->catalogue_error, k->error);
}

int64_t catalogue_renew(struct model *m, db_copy_stop_fn *stop, void *ctx)
{
        const int64_t now_us = clock_now_us();
        struct keeping k = { .m = m, .stop = stop, .ctx = ctx, .now_us = now_us, .due_us = now_us + CATALOGUE_APART_US };

        keep(&k);
        return k.error < 0 ? now_us + RETRY_US : k.due_us;
}

static time_t monotonic_s(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return now.tv_sec;
}

static bool is_late(void *ctx)
{
        const time_t *until = ctx;

        return monotonic_s() >= *until;
}

void catalogue_close(struct model *m)
{
        time_t until = monotonic_s() + CLOSE_S;
        struct keeping k = { .m = m, .stop = is_late, .ctx = &until, .always = true };

        keep(&k);
}

int catalogue_error(struct model *m)
{
        return atomic_load(&m->catalogue_error);
}
