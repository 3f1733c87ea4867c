/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/bucket.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "blobstore/base/child_leash.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "blobstore/objects/claim.h"
#include "blobstore/objects/way.h"

#define FORMAT_OBJECT "format"
#define FORMAT_MAX    256

/* So long after it was looked whose it is, something may still be put: that harms nobody, and only costs. */
#define LOOKED_MS 30000

/*
 * So long after it, something may still be removed, which would harm who has taken over meanwhile: they may have lent from a segment
 * that was to go, as a copy of the store, or an index that was made again, knows it as one of theirs. What remains is a process that
 * is stopped between its look at the clock and the first byte that it sends, and a request that is on its way so long.
 */
#define REMOVE_MS    5000
#define REMOVE_LOOKS 6

/* How often it is asked whether it is back: after a second first. */
#define ASK_MS     1000
#define ASK_MAX_MS 8000

struct bucket {
        _Atomic(struct s3 *) reads, writes; /* of the newest way */

        struct claim claim; /* of who is asking; number 0: none yet */

        pthread_mutex_t lock;
        struct way *ways; /* under it, as all that follows */
        pthread_cond_t changed; /* by the clock that only goes forwards: of all that follows */
        char *format; /* what the object should say; NULL: not known yet */
        int dir_fd; /* constant once that is known, as is the next; see bucket_store */
        atomic_bool *taken;
        bool ours; /* the format is, and so was the claim when it was looked */
        int64_t looked_ms; /* by the clock that only goes forwards */
        char *taker; /* NULL: nobody has taken it over */
        bool asking; /* somebody asks whose it is */
        char *trouble; /* NULL: it is not away */
        bool stopped;
        bool has_asker;
        pthread_t asker;
};

/* ---- making one ---- */

/* Call with the lock held. */
static void take_way(struct bucket *b, struct way *way)
{
        way->older = b->ways;
        b->ways = way;
        atomic_store(&b->reads, way->reads);
        atomic_store(&b->writes, way->writes);
}

int bucket_new(const char *place, struct bucket **ret, struct strbuf *why)
{
        pthread_condattr_t attr;
        struct bucket *b;
        struct way *way;
        int r;

        r = way_new(place, &way, why);
        if (r < 0)
                return r;
        b = calloc(1, sizeof(*b));
        if (!b) {
                way_free(way);
                return -ENOMEM;
        }
        (void)pthread_mutex_init(&b->lock, NULL); /* none of these can fail so */
        (void)pthread_condattr_init(&attr);
        (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        (void)pthread_cond_init(&b->changed, &attr);
        (void)pthread_condattr_destroy(&attr);
        b->dir_fd = -1;
        take_way(b, way);
        *ret = b;
        return 0;
}

int bucket_move(struct bucket *b, const char *place, struct strbuf *why)
{
        struct way *way;
        int r;

        r = way_new(place, &way, why);
        if (r < 0)
                return r;
        LOCK_SCOPE(&b->lock);
        take_way(b, way);
        (void)pthread_cond_broadcast(&b->changed); /* who asks whether it is back asks there, now */
        return 0;
}

void bucket_stop(struct bucket *b)
{
        if (!b)
                return;
        LOCK_SCOPE(&b->lock);
        b->stopped = true;
        for (struct way *way = b->ways; way; way = way->older) {
                s3_stop(way->reads);
                s3_stop(way->writes);
        }
        (void)pthread_cond_broadcast(&b->changed);
}

void bucket_free(struct bucket *b)
{
        struct way *way;

        if (!b)
                return;
        bucket_stop(b);
        if (b->has_asker)
                (void)pthread_join(b->asker, NULL);
        while ((way = b->ways)) {
                b->ways = way->older;
                way_free(way);
        }
        (void)pthread_cond_destroy(&b->changed);
        (void)pthread_mutex_destroy(&b->lock);
        free(b->trouble);
        free(b->taker);
        free(b->format);
        free(b);
}

/* ---- whether it answers ---- */

/* Call with the lock held: until something has changed, or so long; false then. */
static bool wait_for(struct bucket *b, unsigned ms)
{
        struct timespec due;

        (void)clock_gettime(CLOCK_MONOTONIC, &due); /* cannot fail */
        due.tv_sec += ms / 1000;
        due.tv_nsec += (long)(ms % 1000) * 1000000;
        if (due.tv_nsec >= 1000000000) {
                due.tv_sec++;
                due.tv_nsec -= 1000000000;
        }
        return pthread_cond_timedwait(&b->changed, &b->lock, &due) != ETIMEDOUT;
}

/* Is it this store's? 0; -EBUSY: another's; -ENOENT: nobody's. */
static int look_whose(struct s3 *s, const char *format, struct strbuf *why)
{
        char text[FORMAT_MAX];
        size_t n;
        int r;

        r = s3_get(s, FORMAT_OBJECT, 0, text, sizeof(text), &n, NULL, why);
        if (r < 0)
                return r;
        if (n == strlen(format) && memcmp(text, format, n) == 0)
                return 0;
        strbuf_add(why, "another blob store has this part of the bucket, or another copy of this library had");
        return -EBUSY;
}

static void *ask(void *arg)
{
        struct bucket *b = arg;
        unsigned pause = ASK_MS;
        int r;

        thread_set_name("bucket-answers");
        LOCK_SCOPE(&b->lock);
        while (!b->stopped) {
                CLEANUP_STRBUF struct strbuf why = { 0 };

                if (!b->trouble) {
                        (void)pthread_cond_wait(&b->changed, &b->lock);
                        pause = ASK_MS;
                        continue;
                }
                if (wait_for(b, pause) || !b->format)
                        continue;
                unlock(&b->lock);
                r = look_whose(b->reads, b->format, &why); /* which is set once */
                lock(&b->lock);
                pause = 2 * pause < ASK_MAX_MS ? 2 * pause : ASK_MAX_MS;
                if (r < 0)
                        continue;
                free(TAKE_PTR(b->trouble));
                b->looked_ms = 0; /* much may have happened */
                (void)pthread_cond_broadcast(&b->changed);
        }
        return NULL;
}

/* From now on it is away, for what WHY says. */
static void set_trouble(struct bucket *b, const struct strbuf *why)
{
        LOCK_SCOPE(&b->lock);

        if (b->trouble || b->stopped)
                return;
        b->trouble = strdup(strbuf_text(why));
        if (!b->has_asker) /* else nobody would find that it is back: then each call finds out for itself */
                b->has_asker = thread_start(&b->asker, ask, b) == 0;
        if (!b->has_asker)
                free(TAKE_PTR(b->trouble));
        (void)pthread_cond_broadcast(&b->changed);
}

bool bucket_is_away(struct bucket *b, struct strbuf *trouble)
{
        LOCK_SCOPE(&b->lock);

        if (b->trouble && trouble)
                strbuf_add(trouble, b->trouble);
        return b->trouble != NULL;
}

bool bucket_is_stopped(struct bucket *b)
{
        LOCK_SCOPE(&b->lock);

        return b->stopped;
}

bool bucket_wait(struct bucket *b, unsigned ms)
{
        LOCK_SCOPE(&b->lock);

        if (!b->stopped)
                (void)wait_for(b, ms);
        while (b->trouble && !b->stopped)
                (void)pthread_cond_wait(&b->changed, &b->lock);
        return !b->stopped;
}

/* ---- what became of a call ---- */

/*
 * What became of a call, as its caller is told. Whoever may read and not write, or finds the bucket full, is refused what they
 * asked for, and nobody else anything.
 */
static int judge(struct bucket *b, bool writes, int r, const struct strbuf *why)
{
        switch (r) {
        case 0:
        case -ENOENT:
        case -EEXIST:
        case -EDQUOT:
        case -ENOMEM:
                return r;
        case -ECANCELED:
                return -EHOSTDOWN;
        case -ETIMEDOUT:
                set_trouble(b, why);
                return -EHOSTDOWN;
        }
        if (!writes)
                set_trouble(b, why);
        return -EHOSTDOWN;
}

/* ---- whose it is ---- */

static int64_t now_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* 1: it is this copy's, as was asked at SINCE or later; 0: the caller is to ask. */
static int is_known(struct bucket *b, int64_t since)
{
        CLEANUP(child_leash_remove) struct child_on_leash wait;

        child_leash_add_wait(&wait, &b->lock, &b->changed);
        LOCK_SCOPE(&b->lock);
        for (;;) {
                if (b->taker)
                        return -EROFS;
                if (b->trouble || !b->format || b->stopped || child_leash_is_pulled(child_leash_held()))
                        return -EHOSTDOWN;
                if (b->ours && b->looked_ms >= since)
                        return 1;
                if (!b->asking)
                        break;
                (void)pthread_cond_wait(&b->changed, &b->lock);
        }
        b->asking = true;
        return 0;
}

static void note_whose(struct bucket *b, int64_t when, int r, const struct strbuf *why)
{
        LOCK_SCOPE(&b->lock);

        b->asking = false;
        (void)pthread_cond_broadcast(&b->changed);
        b->ours = r == 0;
        b->looked_ms = when;
        if (r != -EROFS || b->taker)
                return;
        b->taker = strdup(strbuf_text(why));
        atomic_store(b->taken, true);
}

/* By one at a time. */
static int ask_whose(struct bucket *b)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        const int64_t when = now_ms();
        struct claim claim = b->claim;
        bool writes = false;
        int r;

        if (claim.number > 0) {
                r = claim_hold(b->reads, &claim, &why);
        } else {
                r = look_whose(b->reads, b->format, &why); /* which is set once */
                if (r == -ENOENT) {
                        strbuf_reset(&why);
                        strbuf_add(&why, "what this blob store has put into the bucket is not there any more");
                }
                if (r == 0)
                        r = claim_find(b->reads, b->dir_fd, &claim, &why);
                writes = r == 0;
                if (r == 0)
                        r = claim_make(b->writes, b->dir_fd, &claim, &why);
        }
        if (r == -ENOENT)
                r = -EBUSY; /* whoever removed that is not us */
        if (r == 0)
                b->claim = claim;
        else if (r == -EBUSY)
                b->claim.number = 0;
        note_whose(b, when, r, &why);
        return r == -EROFS ? r : judge(b, writes, r, &why);
}

/* Before a change: is the bucket there, and this copy's? It may have been looked so long ago. */
static int may_change(struct bucket *b, int64_t ago_ms)
{
        const int r = is_known(b, now_ms() - ago_ms);

        return r == 0 ? ask_whose(b) : r < 0 ? r : 0;
}

int bucket_look(struct bucket *b)
{
        return may_change(b, 0);
}

bool bucket_is_taken(struct bucket *b, struct strbuf *who)
{
        LOCK_SCOPE(&b->lock);

        if (b->taker && who)
                strbuf_add(who, b->taker);
        return b->taker != NULL;
}

/* It is not there: for a copy that has been taken over from that means nothing. */
static int missing(struct bucket *b)
{
        int r;

        if (b->dir_fd < 0)
                return -ENOENT;
        r = may_change(b, 0);
        return r == 0 ? -ENOENT : r == -ENOMEM ? r : -EHOSTDOWN;
}

/* ---- objects ---- */

/* Is what is there the same? -EEXIST: it is not. */
static int compare(struct bucket *b, const char *name, int fd, uint64_t size)
{
        CLEANUP_FREE char *here = malloc(BUCKET_READ_MAX), *there = malloc(BUCKET_READ_MAX);
        CLEANUP_STRBUF struct strbuf why = { 0 };
        uint64_t found;
        int r;

        if (!here || !there)
                return -ENOMEM;
        r = s3_size(b->reads, name, &found, &why);
        for (uint64_t at = 0; r == 0 && at < size && found == size; at += BUCKET_READ_MAX) {
                const size_t n = size - at < BUCKET_READ_MAX ? (size_t)(size - at) : BUCKET_READ_MAX;
                size_t got = 0;

                r = s3_get(b->reads, name, at, there, n, &got, NULL, &why);
                if (r == 0 && (got != n || pread_full(fd, here, n, at) != (ssize_t)n || memcmp(here, there, n) != 0))
                        return -EEXIST;
        }
        return r < 0 ? judge(b, false, r, &why) : found == size ? 0 : -EEXIST;
}

int bucket_put(struct bucket *b, const char *name, int fd, uint64_t size)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        int r;

        r = may_change(b, LOOKED_MS);
        if (r < 0)
                return r;
        r = s3_put(b->writes, name, fd, size, &why);
        /* It may have been put before a crash, or by a call that came to no end. */
        return r == -EEXIST ? compare(b, name, fd, size) : judge(b, true, r, &why);
}

int bucket_get(struct bucket *b, const char *name, uint64_t from, void *buf, size_t n, size_t *ret_n, uint64_t *ret_size)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        int r;

        r = bucket_is_away(b, NULL) ? -EHOSTDOWN
                                    : judge(b, false, s3_get(b->reads, name, from, buf, n, ret_n, ret_size, &why), &why);
        return r == -ENOENT ? missing(b) : r;
}

int bucket_size(struct bucket *b, const char *name, uint64_t *ret)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        int r;

        r = bucket_is_away(b, NULL) ? -EHOSTDOWN : judge(b, false, s3_size(b->reads, name, ret, &why), &why);
        return r == -ENOENT ? missing(b) : r;
}

int bucket_remove(struct bucket *b, const char *name)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        int64_t since;
        int r;

        for (unsigned looks = 1;; looks++) {
                since = s3_clock_ms(); /* before it is looked whose it is */
                r = may_change(b, 0);
                if (r < 0)
                        return r;
                strbuf_reset(&why);
                r = s3_remove_until(b->writes, name, since + REMOVE_MS, &why);
                if (r != -ESTALE)
                        return judge(b, true, r, &why);
                if (looks == REMOVE_LOOKS)
                        return judge(b, true, -ETIMEDOUT, &why);
        }
}

struct listing {
        s3_each_fn *each;
        void *ctx;
        int error; /* the caller's own */
};

static int list_one(void *ctx, const char *name, uint64_t size)
{
        struct listing *l = ctx;

        l->error = l->each(l->ctx, name, size);
        return l->error;
}

int bucket_each(struct bucket *b, const char *start, s3_each_fn *each, void *ctx)
{
        struct listing l = { .each = each, .ctx = ctx };
        CLEANUP_STRBUF struct strbuf why = { 0 };
        int r;

        if (bucket_is_away(b, NULL))
                return -EHOSTDOWN;
        r = s3_list(b->reads, start, list_one, &l, &why);
        return l.error < 0 ? l.error : judge(b, false, r, &why);
}

/* ---- a new store's ---- */

static int find_any(void *ctx, const char *name, uint64_t size)
{
        (void)ctx, (void)name, (void)size;
        return -ENOTEMPTY;
}

int bucket_probe(struct bucket *b, struct strbuf *why)
{
        int r;

        r = s3_list(b->reads, "", find_any, NULL, why);
        if (r == -ENOTEMPTY) {
                strbuf_reset(why);
                strbuf_add(why, "something lies there already: write another prefix, of which nothing is in the bucket yet");
        }
        return r < 0 ? r : s3_probe(b->reads, why);
}

int bucket_compare(struct bucket *b, const char *format, int dir_fd, struct strbuf *why)
{
        struct claim claim;
        int r;

        r = look_whose(b->reads, format, why);
        if (r == 0)
                r = claim_find(b->reads, dir_fd, &claim, why);
        if (r == 0 && !claim.text[0])
                r = -ENOENT;
        if (r == 0)
                r = claim_hold(b->reads, &claim, why);
        if (r != -ENOENT && r != -EROFS && r != -EBUSY)
                return r;
        strbuf_reset(why);
        strbuf_add(why, "what lies there is not what this region has in its bucket now: nobody moves that but you");
        return -EBUSY;
}

int bucket_claim(struct bucket *b, const struct bucket_store *store, struct strbuf *why)
{
        CLEANUP_CLOSE int fd = memfd_create("format", MFD_CLOEXEC);
        const size_t n = strlen(store->format);
        int r;

        if (fd < 0 || n > FORMAT_MAX)
                return -ENOMEM;
        r = pwrite_full(fd, store->format, n, 0);
        if (r == 0)
                r = s3_put(b->writes, FORMAT_OBJECT, fd, n, why);
        if (r == -EEXIST) {
                strbuf_reset(why);
                r = look_whose(b->reads, store->format, why);
        }
        if (r == 0)
                r = bucket_expect(b, store);
        if (r == 0)
                r = bucket_look(b);
        if (r == -EROFS)
                (void)bucket_is_taken(b, why);
        else if (r == -EHOSTDOWN)
                (void)bucket_is_away(b, why);
        return r;
}

int bucket_expect(struct bucket *b, const struct bucket_store *store)
{
        LOCK_SCOPE(&b->lock);

        if (b->format)
                return 0;
        b->dir_fd = store->dir_fd;
        b->taken = store->taken;
        b->format = strdup(store->format);
        return b->format ? 0 : -ENOMEM;
}
