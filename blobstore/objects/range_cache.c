/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/range_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/child_leash.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/nameless.h"
#include "blobstore/hash/hash.h"
#include "blobstore/objects/fetch_ahead.h"
#include "blobstore/objects/scans.h"

#define RANGES_MIN 64 /* more than there are readers at once */
#define RANGES_MAX 65536 /* 64 GiB, for which it needs 5 MiB of memory */
#define AHEAD 32 /* pieces before a reader, at the most */

/*
 * A place in the file, of RANGE_SIZE. It is
 *
 *      unused          in no bucket, and idle
 *      being fetched   in its bucket, with users
 *      there           in its bucket; idle while nobody uses it
 *      kept            likewise, but from before: who wants it first holds it against its sum
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
        bool kept;
        bool ahead; /* nobody has wanted it yet */
        uint64_t sum;
};

/*
 * Of each place, in the file beside, little-endian: id, number, len, 0; the sum of its bytes; one of these, so that what was cut off
 * is none. Zeros: nothing is kept there.
 */
#define RECORD_SIZE 32
#define SUM_AT      16
#define OWN_SUM_AT  24
#define SUM_SEED    UINT64_C(0x72616e676531) /* another one with another form of all this */

struct range_cache {
        range_fetch_fn *fetch;
        void *ctx;
        struct fetch_ahead *ahead; /* NULL: nothing is fetched before it is wanted */
        int fd;
        int index_fd; /* -1: it goes with its owner */
        size_t n;
        struct range *ranges;

        pthread_mutex_t lock; /* everything below, and every range */
        pthread_cond_t done; /* one was fetched, or has become idle */
        size_t n_buckets;
        LIST_HEAD(range_bucket, range) *buckets;
        TAILQ_HEAD(, range) idle; /* the least recently used first */
        struct scans scans;
        size_t n_ahead; /* asked for, or there, and not wanted yet */
};

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

/* Somebody wants it, or nobody will. */
static void no_more_ahead(struct range_cache *c, struct range *r)
{
        c->n_ahead -= r->ahead;
        r->ahead = false;
}

static void unname(struct range_cache *c, struct range *r)
{
        if (r->named)
                LIST_REMOVE(r, link);
        r->named = false;
        no_more_ahead(c, r);
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

/* Call with the lock held: until something has changed. */
static int wait_for_change(struct range_cache *c)
{
        if (child_leash_is_pulled(child_leash_held()))
                return -ECANCELED;
        (void)pthread_cond_wait(&c->done, &c->lock);
        return 0;
}

/* The place R is that piece's from now on, and the caller's to fetch. */
static void give_to(struct range_cache *c, struct range *r, uint32_t id, uint32_t number)
{
        use(c, r);
        unname(c, r);
        r->id = id;
        r->number = number;
        r->fetched = r->kept = false;
        r->named = true;
        LIST_INSERT_HEAD(bucket_of(c, id, number), r, link);
}

/* One that is there, or that the caller is to fetch, or hold against its sum; the caller uses it. */
static int take(struct range_cache *c, uint32_t id, uint32_t number, struct range **ret)
{
        struct range *r;
        int k = 0;

        while (k == 0) {
                r = find(c, id, number);
                if (r) {
                        use(c, r);
                        no_more_ahead(c, r);
                        while (k == 0 && !r->fetched && !r->kept && r->named)
                                k = wait_for_change(c);
                        if (r->fetched || r->kept) {
                                *ret = r;
                                return 0;
                        }
                        leave(c, r); /* lost: perhaps it can be had by now */
                        continue;
                }
                r = TAILQ_FIRST(&c->idle);
                if (!r) {
                        k = wait_for_change(c);
                        continue;
                }
                give_to(c, r, id, number);
                *ret = r;
                return 0;
        }
        return k;
}

/* ---- what outlives the process ---- */

static uint64_t sum_of(const struct range *r, const char *bytes, size_t n)
{
        return hash64(bytes, n, SUM_SEED ^ ((uint64_t)r->id << 16 ^ r->number));
}

/* -1: somebody else's, or not to be had. */
static int open_own(int dir_fd, const char *name)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 ||
            (st.st_mode & 077) != 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
                return -1;
        return TAKE_FD(fd);
}

static void open_files(struct range_cache *c, const struct range_cache_opts *opts)
{
        char index[RANGE_CACHE_NAME_MAX + sizeof(".index")];

        if (opts->name) {
                (void)snprintf(index, sizeof(index), "%s.index", opts->name);
                c->fd = open_own(opts->dir_fd, opts->name);
                c->index_fd = c->fd < 0 ? -1 : open_own(opts->dir_fd, index);
        }
        if (c->index_fd < 0) {
                cleanup_close(&c->fd);
                c->fd = nameless_open(opts->dir_fd); /* without one nothing is kept */
                return;
        }
        /* What a larger one left; a disk that cannot do it gives errors later on, too. */
        (void)!ftruncate(c->fd, (off_t)(c->n * RANGE_SIZE));
        (void)!ftruncate(c->index_fd, (off_t)(c->n * RECORD_SIZE));
}

static void write_record(struct range_cache *c, const struct range *r)
{
        uint8_t record[RECORD_SIZE] = { 0 };

        if (c->index_fd < 0)
                return;
        if (r->named) {
                put_le32(record, r->id);
                put_le32(record + 4, r->number);
                put_le32(record + 8, r->len);
                put_le64(record + SUM_AT, r->sum);
                put_le64(record + OWN_SUM_AT, hash64(record, OWN_SUM_AT, SUM_SEED));
        }
        (void)pwrite_full(c->index_fd, record, sizeof(record), (uint64_t)(r - c->ranges) * RECORD_SIZE); /* it is not kept then */
}

static bool read_record(const uint8_t *record, struct range *ret)
{
        if (get_le64(record + OWN_SUM_AT) != hash64(record, OWN_SUM_AT, SUM_SEED) || get_le32(record + 8) > RANGE_SIZE)
                return false;
        ret->id = get_le32(record);
        ret->number = get_le32(record + 4);
        ret->len = get_le32(record + 8);
        ret->sum = get_le64(record + SUM_AT);
        return true;
}

static void read_index(struct range_cache *c)
{
        CLEANUP_FREE uint8_t *records = calloc(c->n, RECORD_SIZE);

        if (c->index_fd < 0 || !records || pread_full(c->index_fd, records, c->n * RECORD_SIZE, 0) < 0)
                return;
        for (size_t i = 0; i < c->n; i++) {
                struct range *r = &c->ranges[i];

                if (!read_record(records + i * RECORD_SIZE, r) || find(c, r->id, r->number))
                        continue;
                r->named = r->kept = true;
                LIST_INSERT_HEAD(bucket_of(c, r->id, r->number), r, link);
                TAILQ_REMOVE(&c->idle, r, idle); /* behind those that are unused */
                TAILQ_INSERT_TAIL(&c->idle, r, idle);
        }
}

/* ---- from its beginning to its end ---- */

int range_cache_new(const struct range_cache_opts *opts, struct range_cache **ret)
{
        uint64_t n = opts->bytes / RANGE_SIZE;
        struct range_cache *c;

        n = n < RANGES_MIN ? RANGES_MIN : n > RANGES_MAX ? RANGES_MAX : n;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->fetch = opts->fetch;
        c->ctx = opts->ctx;
        c->ahead = opts->ahead;
        c->scans.window = AHEAD;
        c->scans.step = FETCH_AHEAD_RUN;
        c->n = c->n_buckets = (size_t)n;
        c->fd = c->index_fd = -1;
        c->ranges = calloc(c->n, sizeof(*c->ranges));
        c->buckets = calloc(c->n_buckets, sizeof(*c->buckets));
        (void)pthread_mutex_init(&c->lock, NULL); /* neither can fail so */
        (void)pthread_cond_init(&c->done, NULL);
        TAILQ_INIT(&c->idle);
        if (!c->ranges || !c->buckets) {
                range_cache_free(c);
                return -ENOMEM;
        }
        for (size_t i = 0; i < c->n; i++)
                TAILQ_INSERT_TAIL(&c->idle, &c->ranges[i], idle);
        open_files(c, opts);
        read_index(c);
        *ret = c;
        return 0;
}

void range_cache_free(struct range_cache *c)
{
        if (!c)
                return;
        if (c->ahead)
                fetch_ahead_leave(c->ahead, c);
        cleanup_close(&c->index_fd);
        cleanup_close(&c->fd);
        (void)pthread_cond_destroy(&c->done);
        (void)pthread_mutex_destroy(&c->lock);
        free(c->buckets);
        free(c->ranges);
        free(c);
}

/* ---- reading ---- */

static int copy_part(const char *bytes, size_t have, void *buf, size_t n, size_t skip)
{
        if (skip + n > have)
                return -EBADMSG;
        if (n > 0)
                memcpy(buf, bytes + skip, n);
        return 0;
}

/* Is what was kept what it should be? */
static bool read_kept(struct range_cache *c, const struct range *r, char *bytes)
{
        return pread_full(c->fd, bytes, r->len, (uint64_t)(r - c->ranges) * RANGE_SIZE) == (ssize_t)r->len &&
               sum_of(r, bytes, r->len) == r->sum;
}

static bool keep(struct range_cache *c, const struct range *r, const char *bytes, size_t n)
{
        return c->fd >= 0 && pwrite_full(c->fd, bytes, n, (uint64_t)(r - c->ranges) * RANGE_SIZE) == 0;
}

/* What the caller took has N BYTES; not KEPT: it cannot be had, or kept. SIZE of the object: 0, not known. */
static void settle(struct range_cache *c, struct range *range, const char *bytes, size_t n, bool kept, uint64_t size)
{
        if (kept)
                range->sum = sum_of(range, bytes, n); /* nobody else looks at it before it was fetched */
        LOCK_SCOPE(&c->lock);
        if (size > 0)
                scans_set_end(&c->scans, range->id, (uint32_t)((size - 1) / RANGE_SIZE + 1));
        range->len = (uint32_t)n;
        range->fetched = kept && range->named; /* not where it was forgotten meanwhile */
        if (!range->fetched)
                unname(c, range);
        write_record(c, range);
        leave(c, range);
        (void)pthread_cond_broadcast(&c->done);
}

/* What the caller took, and nobody has yet; or is it, WAS_KEPT, from before? */
static int fetch(struct range_cache *c, struct range *range, bool was_kept, void *buf, size_t n, size_t skip)
{
        CLEANUP_FREE char *bytes = malloc(RANGE_SIZE);
        bool kept = bytes && was_kept && read_kept(c, range, bytes);
        size_t got = kept ? range->len : 0;
        int r = bytes ? 0 : -ENOMEM;
        uint64_t size = 0;

        if (r == 0 && !kept) {
                r = c->fetch(c->ctx, range->id, (uint64_t)range->number * RANGE_SIZE, bytes, RANGE_SIZE, &got,
                             &size);
                kept = r == 0 && keep(c, range, bytes, got);
        }
        if (r == 0)
                r = copy_part(bytes, got, buf, n, skip);
        settle(c, range, bytes, got, kept, size);
        return r;
}

/* ---- before it is wanted ---- */

/* So many of N pieces from NUMBER on are the caller's to fetch: as they follow each other, and nobody has them. */
static unsigned take_unwanted(struct range_cache *c, uint32_t id, uint32_t number, unsigned n, struct range *ret[])
{
        unsigned taken = 0;
        struct range *r;

        LOCK_SCOPE(&c->lock);
        while (taken < n && !find(c, id, number + taken) && (r = TAILQ_FIRST(&c->idle))) {
                give_to(c, r, id, number + taken);
                r->ahead = true;
                ret[taken++] = r;
        }
        if (taken == 0)
                c->n_ahead--; /* the first is there by now, or there is no place */
        return taken;
}

_Static_assert(FETCH_AHEAD_RUN * RANGE_SIZE <= RANGE_FETCH_MAX, "a run is fetched at once");

/* Whoever wants one that cannot be had will hear of that. */
static void fetch_run(struct range_cache *c, struct range *const run[], unsigned n)
{
        CLEANUP_FREE char *bytes = malloc(n * RANGE_SIZE);
        size_t got = 0, at, part;
        uint64_t size = 0;
        int r = -ENOMEM;

        if (bytes)
                r = c->fetch(c->ctx, run[0]->id, (uint64_t)run[0]->number * RANGE_SIZE, bytes, n * RANGE_SIZE, &got, &size);
        for (unsigned i = 0; i < n; i++) {
                at = i * RANGE_SIZE;
                part = r < 0 || got <= at ? 0 : got - at < RANGE_SIZE ? got - at : RANGE_SIZE;
                settle(c, run[i], r < 0 ? NULL : bytes + at, part, r == 0 && keep(c, run[i], bytes + at, part), size);
        }
}

/* A fetch_ahead_fn. */
static void fetch_unwanted(void *ctx, uint32_t id, uint32_t number, unsigned n)
{
        struct range *run[FETCH_AHEAD_RUN];
        unsigned taken;

        for (; n > 0; number += taken, n -= taken) {
                taken = take_unwanted(ctx, id, number, n, run);
                if (taken > 0)
                        fetch_run(ctx, run, taken);
                else
                        taken = 1;
        }
}

/* Call with the lock held: so many more pieces may be fetched before they are wanted. */
static uint32_t ahead_room(const struct range_cache *c)
{
        const size_t most = c->n / 2;

        return c->ahead && c->fd >= 0 && c->n_ahead < most ? (uint32_t)(most - c->n_ahead) : 0;
}

/* Call with the lock held: of these pieces those are fetched that nobody has. */
static void ask_ahead(struct range_cache *c, uint32_t id, uint32_t from, uint32_t to)
{
        uint32_t n;

        for (; from < to; from += n + 1) {
                for (n = 0; from + n < to && !find(c, id, from + n);)
                        n++;
                c->n_ahead += fetch_ahead_ask(c->ahead, fetch_unwanted, c, id, from, n);
        }
}

/* Call with the lock held: what comes after the piece that is read is fetched, if it looks as if it will be wanted. */
static void look_ahead(struct range_cache *c, uint32_t id, uint32_t number)
{
        uint32_t from, to;

        scans_note(&c->scans, id, number, ahead_room(c), &from, &to);
        ask_ahead(c, id, from, to);
}

static int read_within(struct range_cache *c, uint32_t id, uint32_t number, void *buf, size_t n, size_t skip)
{
        struct child_on_leash wait;
        struct range *range;
        bool fetched, kept;
        ssize_t got;
        int r;

        child_leash_add_wait(&wait, &c->lock, &c->done);
        lock(&c->lock);
        look_ahead(c, id, number);
        r = take(c, id, number, &range);
        fetched = r == 0 && range->fetched;
        kept = r == 0 && range->kept;
        if (r == 0)
                range->kept = false;
        unlock(&c->lock);
        child_leash_remove(&wait);
        if (r < 0)
                return r;
        if (!fetched)
                return fetch(c, range, kept, buf, n, skip);
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

void range_cache_want(struct range_cache *c, uint32_t id, uint64_t from, uint64_t to)
{
        const uint32_t first = (uint32_t)(from / RANGE_SIZE);
        uint32_t end = (uint32_t)((to + RANGE_SIZE - 1) / RANGE_SIZE), room;

        LOCK_SCOPE(&c->lock);
        room = ahead_room(c);
        end = end - first < room ? end : first + room;
        ask_ahead(c, id, first, end);
}

void range_cache_forget(struct range_cache *c, uint32_t id)
{
        LOCK_SCOPE(&c->lock);

        for (size_t i = 0; i < c->n; i++) {
                struct range *r = &c->ranges[i];

                if (!r->named || r->id != id)
                        continue;
                unname(c, r);
                r->fetched = r->kept = false;
                write_record(c, r);
        }
        (void)pthread_cond_broadcast(&c->done);
}

void range_cache_doubt(struct range_cache *c)
{
        LOCK_SCOPE(&c->lock);

        for (size_t i = 0; i < c->n; i++) {
                struct range *r = &c->ranges[i];

                if (!r->fetched || r->users > 0)
                        continue;
                r->fetched = false;
                r->kept = true;
        }
}
