/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/range_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/nameless.h"

#define RANGES_MIN 64 /* more than there are readers at once */
#define RANGES_MAX 65536 /* 64 GiB, for which it needs 5 MiB of memory */

/*
 * A place in the file, of RANGE_SIZE. It is
 *
 *      unused          in no bucket, and idle
 *      being fetched   in its bucket, with users
 *      there           in its bucket; idle while nobody uses it
 *      lost            was fetched and cannot be had, or kept: in no bucket, until its last user is done
 */
struct range {
        LIST_ENTRY(range) link; /* in its bucket */
        TAILQ_ENTRY(range) idle; /* while users is 0 */
        uint32_t id;
        uint32_t number; /* in the object */
        uint32_t len;
        unsigned users;
        bool named; /* it is in a bucket */
        bool fetched;
};

struct range_cache {
        range_fetch_fn *fetch;
        void *ctx;
        int fd;
        size_t n;
        struct range *ranges;

        pthread_mutex_t lock; /* everything below, and every range */
        pthread_cond_t done; /* one was fetched, or has become idle */
        size_t n_buckets;
        LIST_HEAD(range_bucket, range) *buckets;
        TAILQ_HEAD(, range) idle; /* the least recently used first */
};

int range_cache_new(int dir_fd, uint64_t bytes, range_fetch_fn *fetch, void *ctx, struct range_cache **ret)
{
        uint64_t n = bytes / RANGE_SIZE;
        struct range_cache *c;

        n = n < RANGES_MIN ? RANGES_MIN : n > RANGES_MAX ? RANGES_MAX : n;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->fetch = fetch;
        c->ctx = ctx;
        c->n = c->n_buckets = (size_t)n;
        c->ranges = calloc(c->n, sizeof(*c->ranges));
        c->buckets = calloc(c->n_buckets, sizeof(*c->buckets));
        c->fd = nameless_open(dir_fd); /* without one nothing is kept */
        (void)pthread_mutex_init(&c->lock, NULL); /* neither can fail so */
        (void)pthread_cond_init(&c->done, NULL);
        TAILQ_INIT(&c->idle);
        if (!c->ranges || !c->buckets) {
                range_cache_free(c);
                return -ENOMEM;
        }
        for (size_t i = 0; i < c->n; i++)
                TAILQ_INSERT_TAIL(&c->idle, &c->ranges[i], idle);
        *ret = c;
        return 0;
}

void range_cache_free(struct range_cache *c)
{
        if (!c)
                return;
        cleanup_close(&c->fd);
        (void)pthread_cond_destroy(&c->done);
        (void)pthread_mutex_destroy(&c->lock);
        free(c->buckets);
        free(c->ranges);
        free(c);
}

/* ---- with the lock held ---- */

static struct range_bucket *bucket_of(struct range_cache *c, uint32_t id, uint32_t number)
{
        return &c->buckets[((uint64_t)id * 64 + number) % c->n_buckets]; /* a segment has 64, and a few of its end */
}

static struct range *find(struct range_cache *c, uint32_t id, uint32_t number)
{
        struct range *r;

        LIST_FOREACH(r, bucket_of(c, id, number), link) {
                if (r->id == id && r->number == number)
                        return r;
        }
        return NULL;
}

static void unname(struct range *r)
{
        if (r->named)
                LIST_REMOVE(r, link);
        r->named = false;
}

static void use(struct range_cache *c, struct range *r)
{
        if (r->users++ == 0)
                TAILQ_REMOVE(&c->idle, r, idle);
}

static void leave(struct range_cache *c, struct range *r)
{
        if (--r->users > 0)
                return;
        if (r->named)
                TAILQ_INSERT_TAIL(&c->idle, r, idle);
        else
                TAILQ_INSERT_HEAD(&c->idle, r, idle);
        (void)pthread_cond_broadcast(&c->done);
}

/* One that is there, or that the caller is to fetch; the caller uses it. */
static struct range *take(struct range_cache *c, uint32_t id, uint32_t number)
{
        struct range *r;

        for (;;) {
                r = find(c, id, number);
                if (r) {
                        use(c, r);
                        while (!r->fetched && r->named)
                                (void)pthread_cond_wait(&c->done, &c->lock);
                        if (r->fetched)
                                return r;
                        leave(c, r); /* lost: perhaps it can be had by now */
                        continue;
                }
                r = TAILQ_FIRST(&c->idle);
                if (!r) {
                        (void)pthread_cond_wait(&c->done, &c->lock);
                        continue;
                }
                use(c, r);
                unname(r);
                r->id = id;
                r->number = number;
                r->fetched = false;
                r->named = true;
                LIST_INSERT_HEAD(bucket_of(c, id, number), r, link);
                return r;
        }
}

/* ---- reading ---- */

static int copy_part(const char *bytes, size_t have, void *buf, size_t n, size_t skip)
{
        if (skip + n > have)
                return -EBADMSG;
        memcpy(buf, bytes + skip, n);
        return 0;
}

/* What the caller took, and nobody has yet. */
static int fetch(struct range_cache *c, struct range *range, void *buf, size_t n, size_t skip)
{
        CLEANUP_FREE char *bytes = malloc(RANGE_SIZE);
        bool kept = false;
        size_t got = 0;
        int r;

        r = bytes ? c->fetch(c->ctx, range->id, (uint64_t)range->number * RANGE_SIZE, bytes, RANGE_SIZE, &got) : -ENOMEM;
        if (r == 0) {
                kept = c->fd >= 0 && pwrite_full(c->fd, bytes, got, (uint64_t)(range - c->ranges) * RANGE_SIZE) == 0;
                r = copy_part(bytes, got, buf, n, skip);
        }
        LOCK_SCOPE(&c->lock);
        range->len = (uint32_t)got;
        range->fetched = kept && range->named; /* not where it was forgotten meanwhile */
        if (!range->fetched)
                unname(range);
        leave(c, range);
        (void)pthread_cond_broadcast(&c->done);
        return r;
}

static int read_within(struct range_cache *c, uint32_t id, uint32_t number, void *buf, size_t n, size_t skip)
{
        struct range *range;
        ssize_t got;
        bool fetched;

        {
                LOCK_SCOPE(&c->lock);
                range = take(c, id, number);
                fetched = range->fetched;
        }
        if (!fetched)
                return fetch(c, range, buf, n, skip);
        got = skip + n > range->len ? 0 : pread_full(c->fd, buf, n, (uint64_t)(range - c->ranges) * RANGE_SIZE + skip);
        LOCK_SCOPE(&c->lock);
        leave(c, range);
        return got < 0 ? (int)got : (size_t)got == n ? 0 : -EBADMSG;
}

int range_cache_read(struct range_cache *c, uint32_t id, uint64_t from, void *buf, size_t n)
{
        int r = 0;

        for (size_t done = 0, part; r == 0 && done < n; done += part) {
                const uint64_t at = from + done;
                const size_t skip = (size_t)(at % RANGE_SIZE);

                part = RANGE_SIZE - skip < n - done ? RANGE_SIZE - skip : n - done;
                r = read_within(c, id, (uint32_t)(at / RANGE_SIZE), (char *)buf + done, part, skip);
        }
        return r;
}

void range_cache_forget(struct range_cache *c, uint32_t id)
{
        LOCK_SCOPE(&c->lock);

        for (size_t i = 0; i < c->n; i++) {
                if (c->ranges[i].named && c->ranges[i].id == id)
                        unname(&c->ranges[i]);
        }
        (void)pthread_cond_broadcast(&c->done);
}
