/* SPDX-License-Identifier: MIT */
/* Segments of a store in a bucket, which is a directory here that may refuse. */

#include "blobstore/chunks/segment.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/lock.h"
#include "blobstore/objects/bucket.h"
#include "blobstore/objects/range_cache.h"
#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

/* ---- a bucket ---- */

struct bucket {
        int dir_fd;
        pthread_mutex_t lock; /* everything below */
        pthread_cond_t changed;
        int refusal; /* of every change: a negative errno */
        int race[2]; /* 0: none. Else of the first two puts, which are answered one after the other */
        int unread; /* of what is read, likewise */
        bool away, stopped;
        unsigned wait_ms; /* whoever is to wait for a moment waits so long */
        unsigned puts, gets, waits, long_waits;
        unsigned too_early; /* of the puts, what a power cut would have taken from the disk here */
};

/* ---- what a power cut would leave ---- */

static atomic_ullong synced_file; /* the inode of the last that was, with all that was in it */
static atomic_uint synced_names;

static int note_synced(int fd, int r)
{
        struct stat st;

        if (r == 0 && fstatat(fd, "", &st, AT_EMPTY_PATH) == 0) {
                if (S_ISDIR(st.st_mode))
                        atomic_fetch_add(&synced_names, 1);
                else
                        atomic_store(&synced_file, st.st_ino);
        }
        return r;
}

int fsync(int fd)
{
        return note_synced(fd, (int)syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
        return note_synced(fd, (int)syscall(SYS_fdatasync, fd));
}

static bool is_durable(int fd)
{
        struct stat st;

        assert_ok(fstatat(fd, "", &st, AT_EMPTY_PATH));
        return atomic_load(&synced_file) == st.st_ino && atomic_load(&synced_names) > 0;
}

/* ---- a bucket: what is done to it ---- */

/* Call with the lock held. The second is not answered before what the first was told has been noted. */
static int race(struct bucket *b)
{
        const unsigned nth = b->puts;

        while (b->puts < 2 || b->waits + 1 < nth)
                (void)pthread_cond_wait(&b->changed, &b->lock);
        return b->race[nth - 1];
}

int bucket_put(struct bucket *b, const char *name, int fd, uint64_t size)
{
        CLEANUP_CLOSE int out = -1;
        void *bytes;

        LOCK_SCOPE(&b->lock);
        b->puts++;
        b->too_early += !is_durable(fd);
        (void)pthread_cond_broadcast(&b->changed);
        if (b->race[0] && b->puts <= 2)
                return race(b);
        if (b->refusal)
                return b->refusal;
        bytes = malloc(size);
        assert_non_null(bytes);
        assert_int_equal(pread(fd, bytes, size, 0), size);
        out = openat(b->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_true(out >= 0);
        assert_int_equal(write(out, bytes, size), size);
        free(bytes);
        return 0;
}

int bucket_get(struct bucket *b, const char *name, uint64_t from, void *buf, size_t n, size_t *ret_n, uint64_t *ret_size)
{
        CLEANUP_CLOSE int fd = openat(b->dir_fd, name, O_RDONLY);
        ssize_t got;

        LOCK_SCOPE(&b->lock);
        b->gets++;
        if (b->away)
                return -EHOSTDOWN;
        if (b->unread)
                return b->unread;
        if (fd < 0)
                return -errno;
        got = pread(fd, buf, n, (off_t)from);
        assert_true(got >= 0);
        *ret_n = (size_t)got;
        return bucket_size(b, name, ret_size);
}

int bucket_size(struct bucket *b, const char *name, uint64_t *ret)
{
        struct stat st;

        if (fstatat(b->dir_fd, name, &st, 0) < 0)
                return -errno;
        *ret = (uint64_t)st.st_size;
        return 0;
}

int bucket_remove(struct bucket *b, const char *name)
{
        LOCK_SCOPE(&b->lock);
        if (b->refusal)
                return b->refusal;
        return unlinkat(b->dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

struct listing {
        struct bucket *bucket;
        const char *folder;
        s3_each_fn *each;
        void *ctx;
};

static int list_one(void *ctx, const char *name)
{
        const struct listing *l = ctx;
        char path[256];
        uint64_t size = 0;

        (void)snprintf(path, sizeof(path), "%s%s", l->folder, name);
        assert_ok(bucket_size(l->bucket, path, &size));
        return l->each(l->ctx, path, size);
}

int bucket_each(struct bucket *b, const char *start, s3_each_fn *each, void *ctx)
{
        struct listing l = { b, start, each, ctx };

        return dir_each(b->dir_fd, start, list_one, &l);
}

bool bucket_is_away(struct bucket *b, struct strbuf *trouble)
{
        (void)trouble;
        LOCK_SCOPE(&b->lock);
        return b->away;
}

bool bucket_is_stopped(struct bucket *b)
{
        LOCK_SCOPE(&b->lock);
        return b->stopped;
}

bool bucket_wait(struct bucket *b, unsigned ms)
{
        struct timespec until;

        assert_true(ms >= 1000);
        LOCK_SCOPE(&b->lock);
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += b->wait_ms % 1000 * 1000000;
        until.tv_sec += b->wait_ms / 1000 + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        b->waits++;
        b->long_waits += b->wait_ms >= 1000;
        (void)pthread_cond_broadcast(&b->changed);
        while (b->refusal && !b->stopped && pthread_cond_timedwait(&b->changed, &b->lock, &until) == 0)
                continue;
        return !b->stopped;
}

static void bucket_does(struct bucket *b, int refusal, bool stopped)
{
        LOCK_SCOPE(&b->lock);
        b->refusal = refusal;
        b->stopped = stopped;
        (void)pthread_cond_broadcast(&b->changed);
}

static void bucket_waits(struct bucket *b, unsigned ms)
{
        LOCK_SCOPE(&b->lock);
        b->wait_ms = ms;
}

static void bucket_was_asked(struct bucket *b, const unsigned *count, unsigned times)
{
        LOCK_SCOPE(&b->lock);
        while (*count < times)
                (void)pthread_cond_wait(&b->changed, &b->lock);
}

/* ---- a file whose size cannot be told ---- */

static atomic_bool no_size;

int fstat(int fd, struct stat *st)
{
        if (atomic_load(&no_size)) {
                errno = EIO;
                return -1;
        }
        return fstatat(fd, "", st, AT_EMPTY_PATH);
}

/* ---- a store's segments ---- */

static const struct footer_record nothing;

struct fixture {
        char dir[TEMPDIR_MAX];
        int files;
        atomic_bool degraded;
        struct bucket bucket;
        struct segments *s;
};

static void fixture_open(struct fixture *f)
{
        struct range_cache_opts cache = { .dir_fd = f->files, .bytes = 8 << 20 };

        assert_ok(segments_new(f->files, &f->degraded, &f->s));
        assert_ok(segments_set_bucket(f->s, &f->bucket, &cache));
}

static void fixture_close(struct fixture *f)
{
        bucket_does(&f->bucket, f->bucket.refusal, true);
        segments_free(f->s);
        f->s = NULL;
        bucket_does(&f->bucket, 0, false);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        char path[TEMPDIR_MAX + 32];

        assert_non_null(f);
        tempdir_make(f->dir);
        for (int i = 0; i < 3; i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", f->dir, ((const char *[]){ "here", "far", "far/segments" })[i]);
                assert_ok(mkdir(path, 0700));
                if (i == 0)
                        f->files = open(path, O_RDONLY | O_DIRECTORY);
                if (i == 1)
                        f->bucket.dir_fd = open(path, O_RDONLY | O_DIRECTORY);
        }
        f->bucket.wait_ms = 10; /* no test wants to wait as long as it is told */
        pthread_mutex_init(&f->bucket.lock, NULL);
        pthread_cond_init(&f->bucket.changed, NULL);
        fixture_open(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        fixture_close(f);
        (void)close(f->files);
        (void)close(f->bucket.dir_fd);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

static uint64_t append(struct segment *seg, const char *text)
{
        uint64_t place;

        assert_ok(segment_append(seg, text, strlen(text), &nothing, NULL, &place));
        return place;
}

/* A new segment with this in it, which nobody appends to. */
static uint64_t written(struct fixture *f, const char *text)
{
        struct segment *seg;
        uint64_t place;

        assert_ok(segments_begin(f->s, &seg));
        place = append(seg, text);
        segments_give(f->s, seg);
        return place;
}

static void record(struct fixture *f)
{
        struct segment_state *states;
        size_t n;

        assert_ok(segments_unrecorded(f->s, &states, &n)); /* what is settled is durable */
        segments_recorded(f->s, states, n);
        free(states);
}

static bool is_here(struct fixture *f, uint64_t place)
{
        char name[32];

        (void)snprintf(name, sizeof(name), "%08x.seg", place_segment(place));
        return faccessat(f->files, name, F_OK, 0) == 0;
}

static bool is_far(struct fixture *f, uint64_t place)
{
        char name[32];

        (void)snprintf(name, sizeof(name), "segments/%08x.seg", place_segment(place));
        return faccessat(f->bucket.dir_fd, name, F_OK, 0) == 0;
}

static void assert_reads(struct fixture *f, uint64_t place, const char *text)
{
        char buf[64];

        assert_ok(segments_read(f->s, place, buf, strlen(text)));
        assert_memory_equal(buf, text, strlen(text));
}

static void test_what_is_settled_is_there_and_its_file_goes_when_it_is_recorded(void **state)
{
        struct fixture *f = *state;
        struct segment *a, *b, *alone, *empty;
        uint64_t in_a, in_b, in_alone, size, allocated, at;
        struct footer footer = { 0 };

        assert_ok(segments_take(f->s, &a));
        assert_ok(segments_take(f->s, &b));
        assert_ok(segments_take(f->s, &empty));
        assert_ok(segments_begin(f->s, &alone));
        in_a = append(a, "the one");
        in_b = append(b, "another");
        in_alone = append(alone, "its own");
        assert_ok(segments_settle(f->s));
        assert_true(is_far(f, in_a));
        assert_true(is_far(f, in_b));
        assert_false(is_far(f, in_alone));
        assert_int_equal(f->bucket.puts, 2);
        assert_err(segment_append(a, "more", 4, &nothing, NULL, &at), -ESTALE);
        assert_ok(segment_append(alone, "more", 4, &nothing, NULL, &at));
        assert_ok(segment_append(empty, "more", 4, &nothing, NULL, &at));
        assert_true(is_here(f, in_a)); /* the index does not know it yet */
        segments_give(f->s, a);
        segments_give(f->s, b);
        record(f);
        assert_false(is_here(f, in_a));
        assert_false(is_here(f, in_b));
        assert_false(segments_is_active(f->s, place_segment(in_a)));

        assert_int_equal(f->bucket.gets, 0);
        assert_reads(f, in_a, "the one");
        assert_reads(f, in_b, "another");
        assert_int_equal(f->bucket.gets, 2);
        assert_reads(f, in_a, "the one");
        assert_int_equal(f->bucket.gets, 2);
        segments_drop_cached(f->s, place_segment(in_a));
        assert_reads(f, in_a, "the one");
        assert_int_equal(f->bucket.gets, 3);
        assert_err(segments_read(f->s, place_make(77, 16), &at, 1), -EBADMSG);
        assert_err(segments_punch(f->s, place_segment(in_a), 0, 8192), -EOPNOTSUPP);

        assert_ok(segments_stat(f->s, place_segment(in_a), &size, &allocated));
        assert_true(size > SEGMENT_HEADER_SIZE + strlen("the one"));
        assert_int_equal(size, allocated);
        assert_ok(segments_describe(f->s, place_segment(in_a), &footer));
        footer_done(&footer);
        assert_err(segments_describe(f->s, 77, &footer), -ENOENT);
        assert_ok(segments_add_footer(f->s, place_segment(in_a), &footer, &at));
        assert_int_equal(at, size);

        f->bucket.away = true;
        segments_drop_cached(f->s, place_segment(in_a));
        assert_err(segments_read(f->s, in_a, &at, 1), -EHOSTDOWN);
        f->bucket.away = false;
        f->bucket.unread = -ECANCELED; /* the mount ends */
        assert_err(segments_read(f->s, in_a, &at, 1), -EHOSTDOWN);
        f->bucket.unread = 0;
        assert_true(segments_doubt(f->s));
        segments_give(f->s, alone);
        segments_give(f->s, empty);
}

static int count_each(void *ctx, uint32_t id, uint64_t size)
{
        unsigned *seen = ctx;

        assert_true(id < 8);
        assert_true(size > 0);
        seen[id]++;
        return id == 7 ? -ENOTTY : 0;
}

static void test_those_that_are_here_and_there_are_each_told(void **state)
{
        struct fixture *f = *state;
        unsigned seen[8] = { 0 };
        struct segment *seg;
        uint64_t there;

        assert_ok(segments_take(f->s, &seg));
        there = append(seg, "there");
        assert_ok(segments_settle(f->s));
        assert_ok(segments_each(f->s, count_each, seen)); /* it is a file, too */
        assert_int_equal(seen[1], 1);
        segments_give(f->s, seg);
        record(f);
        assert_false(is_here(f, there));
        (void)written(f, "here");
        (void)close(openat(f->bucket.dir_fd, "segments/else", O_WRONLY | O_CREAT, 0600));
        assert_ok(segments_each(f->s, count_each, seen));
        assert_int_equal(seen[1], 2);
        assert_int_equal(seen[2], 1);
        segments_set_next(f->s, 7);
        (void)written(f, "seven");
        assert_err(segments_each(f->s, count_each, seen), -ENOTTY);
}

/* Is it settled, now that nothing is refused any more? What was refused just before may be told once by each that sends. */
static void assert_settles(struct fixture *f)
{
        int r = -EHOSTDOWN;

        for (int i = 0; r < 0 && i < 8; i++)
                r = segments_settle(f->s);
        assert_ok(r);
}

static void test_who_settles_is_told_why_it_does_not_go_and_it_goes_later(void **state)
{
        static const struct {
                int refusal, told;
        } cases[] = { { -EHOSTDOWN, -EHOSTDOWN }, { -EIO, -EHOSTDOWN }, { -EDQUOT, -EDQUOT } };
        struct fixture *f = *state;
        struct segment *seg;
        uint64_t place;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                bucket_does(&f->bucket, cases[i].refusal, false);
                assert_ok(segments_take(f->s, &seg));
                place = append(seg, "waits");
                assert_err(segments_settle(f->s), cases[i].told);
                assert_true(is_here(f, place));
                assert_false(is_far(f, place));
                assert_false(atomic_load(&f->degraded));
                assert_false(segments_are_contested(f->s));
                assert_reads(f, place, "waits");
                bucket_does(&f->bucket, 0, false);
                assert_settles(f);
                assert_true(is_far(f, place));
                segments_give(f->s, seg);
        }
}

static void test_what_cannot_be_read_here_is_not_put(void **state)
{
        struct fixture *f = *state;
        struct segment *seg;
        uint64_t place;

        assert_ok(segments_take(f->s, &seg));
        place = append(seg, "waits");
        atomic_store(&no_size, true);
        assert_err(segments_settle(f->s), -EHOSTDOWN);
        atomic_store(&no_size, false);
        assert_settles(f);
        assert_int_equal(f->bucket.puts, 1);
        assert_true(is_far(f, place));
        segments_give(f->s, seg);
}

static void test_a_bucket_that_is_away_or_stopped_is_not_waited_for(void **state)
{
        struct fixture *f = *state;
        struct segment *seg;
        unsigned puts;

        bucket_does(&f->bucket, -EHOSTDOWN, false);
        assert_ok(segments_take(f->s, &seg));
        (void)append(seg, "waits");
        assert_err(segments_settle(f->s), -EHOSTDOWN);
        bucket_waits(&f->bucket, 60000);
        for (unsigned senders = 1; senders <= 4; senders++) { /* each finds that it is refused */
                segments_send(f->s);
                bucket_was_asked(&f->bucket, &f->bucket.long_waits, senders);
        }
        puts = f->bucket.puts;
        f->bucket.away = true;
        assert_err(segments_settle(f->s), -EHOSTDOWN);
        assert_int_equal(f->bucket.puts, puts); /* so nobody waited until it was tried again */
        f->bucket.away = false;
        bucket_does(&f->bucket, -EHOSTDOWN, true);
        assert_err(segments_settle(f->s), -EHOSTDOWN);
        segments_give(f->s, seg);
}

static void test_where_somebody_else_writes_nothing_is_put_any_more(void **state)
{
        static const int refusals[] = { -EEXIST, -EROFS };
        struct fixture *f = *state;
        struct segment *seg;
        uint64_t place;
        unsigned puts;

        for (int i = 0; i < 2; i++) {
                bucket_does(&f->bucket, refusals[i], false);
                assert_ok(segments_take(f->s, &seg));
                place = append(seg, "theirs");
                assert_err(segments_settle(f->s), -EROFS);
                assert_int_equal(segments_are_contested(f->s), refusals[i] == -EEXIST);
                assert_int_equal(atomic_load(&f->degraded), refusals[i] == -EEXIST);
                atomic_store(&f->degraded, false);
                bucket_was_asked(&f->bucket, &f->bucket.waits, (unsigned)i + 1);
                puts = f->bucket.puts;
                bucket_does(&f->bucket, 0, false);
                assert_err(segments_settle(f->s), -EROFS);
                assert_int_equal(f->bucket.puts, puts);
                assert_false(is_far(f, place));
                assert_true(is_here(f, place));
                segments_give(f->s, seg);
                fixture_close(f);
                fixture_open(f);
        }
}

/* What another sender met then was all that was known: the rest was put, and nobody was told of the other writer any more. */
static void test_somebody_else_who_writes_is_not_forgotten_over_a_later_refusal(void **state)
{
        static const int races[][2] = { { -EEXIST, -EHOSTDOWN }, { -EEXIST, -EROFS }, { -EROFS, -EDQUOT }, { -EROFS, -EEXIST } };
        struct fixture *f = *state;
        struct segment *a, *b;

        for (size_t i = 0; i < sizeof(races) / sizeof(races[0]); i++) {
                memcpy(f->bucket.race, races[i], sizeof(races[i]));
                f->bucket.puts = f->bucket.waits = 0;
                assert_ok(segments_take(f->s, &a));
                assert_ok(segments_take(f->s, &b));
                (void)append(a, "the one");
                (void)append(b, "another");
                assert_err(segments_settle(f->s), -EROFS);
                bucket_was_asked(&f->bucket, &f->bucket.waits, 2);
                atomic_store(&f->degraded, false);
                assert_err(segments_settle(f->s), -EROFS);
                assert_int_equal(segments_are_contested(f->s), races[i][0] == -EEXIST || races[i][1] == -EEXIST);
                assert_int_equal(f->bucket.puts, 2);
                segments_give(f->s, a);
                segments_give(f->s, b);
                fixture_close(f);
                memset(f->bucket.race, 0, sizeof(f->bucket.race));
                fixture_open(f);
        }
}

static void test_without_a_bucket_nothing_is_sent(void **state)
{
        struct fixture *f = *state;
        struct segment *seg;
        struct segments *s;
        uint64_t place;

        assert_ok(segments_new(f->files, &f->degraded, &s));
        assert_ok(segments_take(s, &seg));
        place = append(seg, "stays");
        assert_ok(segments_adopt(s));
        segments_send(s);
        assert_ok(segments_settle(s));
        assert_false(segments_doubt(s));
        assert_false(segments_are_contested(s));
        assert_true(is_here(f, place));
        segments_give(s, seg);
        segments_free(s);
}

static void test_what_was_sealed_before_is_put_again_and_nothing_else(void **state)
{
        struct fixture *f = *state;
        struct segment *seg;
        uint64_t sealed, unsealed, now;

        bucket_does(&f->bucket, -EHOSTDOWN, false);
        assert_ok(segments_take(f->s, &seg));
        sealed = append(seg, "sealed");
        assert_ok(segment_seal(seg));
        unsealed = written(f, "not sealed");
        segments_give(f->s, seg);
        fixture_close(f);
        assert_false(is_far(f, sealed));
        fixture_open(f);
        f->bucket.puts = 0;

        assert_ok(segments_take(f->s, &seg)); /* what is at work now is not looked at */
        now = append(seg, "now");
        assert_ok(segments_adopt(f->s));
        assert_int_equal(f->bucket.puts, 0);
        segments_send(f->s);
        bucket_was_asked(&f->bucket, &f->bucket.puts, 1); /* which no one who settles has to ask for */
        assert_ok(segments_settle(f->s));
        assert_true(is_far(f, sealed));
        assert_true(is_far(f, now));
        assert_int_equal(f->bucket.puts, 2);
        assert_false(is_here(f, sealed));
        assert_true(is_here(f, unsealed));
        assert_false(is_far(f, unsealed));
        assert_reads(f, sealed, "sealed");
        segments_give(f->s, seg);
}

/* A power cut left an object under a number that was not known here, or known of other bytes, and nothing could be put any more. */
static void test_what_is_put_is_durable_here(void **state)
{
        struct fixture *f = *state;
        struct segment *seg;

        atomic_store(&synced_names, 0);
        assert_ok(segments_begin(f->s, &seg));
        (void)append(seg, "sealed, and put before anybody settles");
        assert_ok(segment_seal(seg));
        bucket_was_asked(&f->bucket, &f->bucket.puts, 1);
        assert_int_equal(f->bucket.too_early, 0);
        segments_give(f->s, seg);
}

static void test_what_is_removed_goes_in_both_places_and_is_not_put_any_more(void **state)
{
        struct fixture *f = *state;
        struct segment *seg;
        uint64_t place;
        char buf[8];

        assert_ok(segments_take(f->s, &seg));
        place = append(seg, "there");
        assert_ok(segments_settle(f->s));
        segments_give(f->s, seg);
        record(f);
        assert_reads(f, place, "there");
        bucket_does(&f->bucket, -EHOSTDOWN, false);
        assert_err(segments_unlink(f->s, place_segment(place)), -EHOSTDOWN);
        assert_true(is_far(f, place));
        bucket_does(&f->bucket, 0, false);
        assert_ok(segments_unlink(f->s, place_segment(place)));
        assert_false(is_far(f, place));
        assert_err(segments_read(f->s, place, buf, 5), -EBADMSG); /* what is kept nearby goes, too */
        assert_ok(segments_unlink(f->s, place_segment(place)));

        /* One that waits, and whose file is there. */
        bucket_does(&f->bucket, -EHOSTDOWN, false);
        assert_ok(segments_take(f->s, &seg));
        place = append(seg, "waits");
        assert_err(segments_settle(f->s), -EHOSTDOWN);
        segments_give(f->s, seg);
        assert_err(segments_unlink(f->s, place_segment(place)), -EHOSTDOWN);
        assert_true(is_here(f, place));
        f->bucket.puts = 0;
        bucket_does(&f->bucket, 0, false);
        assert_ok(segments_unlink(f->s, place_segment(place)));
        assert_ok(segments_settle(f->s));
        assert_false(is_here(f, place));
        assert_false(is_far(f, place));
        assert_int_equal(f->bucket.puts, 0);
}

/* A segment of so many bytes that is to be sent; 0: of as many as it has. Gives them. */
static uint64_t waits(struct fixture *f, uint64_t size, uint32_t *ret_id)
{
        struct segment *seg;
        uint64_t allocated;
        char name[32];

        assert_ok(segments_begin(f->s, &seg));
        *ret_id = place_segment(append(seg, "waits"));
        (void)snprintf(name, sizeof(name), "%08x.seg", *ret_id);
        if (size) {
                CLEANUP_CLOSE int fd = openat(f->files, name, O_RDWR);

                assert_ok(ftruncate(fd, (off_t)size));
        }
        assert_ok(segment_seal(seg));
        assert_ok(segments_stat(f->s, *ret_id, &size, &allocated));
        segments_give(f->s, seg);
        return size;
}

static void test_only_so_much_waits_on_the_disk(void **state)
{
        static const uint64_t most = UINT64_C(256) << 20;
        struct fixture *f = *state;
        uint32_t small, large, last;
        struct segment *seg;
        uint64_t size;

        bucket_does(&f->bucket, -EHOSTDOWN, false);
        size = waits(f, 0, &small);
        assert_int_equal(waits(f, most - 2 * size, &large), most - 2 * size);
        assert_int_equal(waits(f, 0, &last), size);
        assert_err(segments_begin(f->s, &seg), -EHOSTDOWN);
        assert_err(segments_take(f->s, &seg), -EHOSTDOWN);
        assert_err(segments_unlink(f->s, small), -EHOSTDOWN); /* it need not be sent any more */
        assert_ok(segments_begin(f->s, &seg));
        segments_give(f->s, seg);
        assert_err(segments_unlink(f->s, large), -EHOSTDOWN);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_what_is_settled_is_there_and_its_file_goes_when_it_is_recorded),
                T(test_those_that_are_here_and_there_are_each_told),
                T(test_who_settles_is_told_why_it_does_not_go_and_it_goes_later),
                T(test_what_cannot_be_read_here_is_not_put),
                T(test_a_bucket_that_is_away_or_stopped_is_not_waited_for),
                T(test_where_somebody_else_writes_nothing_is_put_any_more),
                T(test_somebody_else_who_writes_is_not_forgotten_over_a_later_refusal),
                T(test_without_a_bucket_nothing_is_sent),
                T(test_what_was_sealed_before_is_put_again_and_nothing_else),
                T(test_what_is_put_is_durable_here),
                T(test_what_is_removed_goes_in_both_places_and_is_not_put_any_more),
                T(test_only_so_much_waits_on_the_disk),
        };
#undef T
        return cmocka_run_group_tests(tests, NULL, NULL);
}
