/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/segment.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

/* The next syncs of data fail. */
static atomic_bool fail_syncs;

int fdatasync(int fd)
{
        if (atomic_load(&fail_syncs)) {
                errno = EIO;
                return -1;
        }
        return (int)syscall(SYS_fdatasync, fd);
}

/* A disk that is slow with names: the next sync of a directory says that it has begun, and waits to be let go. */
static struct {
        atomic_bool armed, ended;
        sem_t begun, go;
} slow_names;

int fsync(int fd)
{
        struct timespec until;
        int r;

        if (!atomic_exchange(&slow_names.armed, false))
                return (int)syscall(SYS_fsync, fd);
        sem_post(&slow_names.begun);
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 200000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)sem_timedwait(&slow_names.go, &until); /* whoever does wait for the disk does not let it go */
        r = (int)syscall(SYS_fsync, fd);
        atomic_store(&slow_names.ended, true);
        return r;
}

static const struct footer_record nothing; /* to be said of a payload */

struct fixture {
        char dir[TEMPDIR_MAX];
        int dir_fd;
        atomic_bool degraded;
        struct segments *s;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->dir_fd = tempdir_open(f->dir);
        assert_ok(segments_new(f->dir_fd, &f->degraded, &f->s));
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        atomic_store(&fail_syncs, false);
        segments_free(f->s);
        (void)close(f->dir_fd);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

static void test_what_is_appended_is_read_at_its_place(void **state)
{
        struct fixture *f = *state;
        struct segment *seg;
        uint64_t a, b;
        char buf[8];

        assert_ok(segments_take(f->s, &seg));
        assert_ok(segment_append(seg, "first", 5, &nothing, NULL, &a));
        assert_ok(segment_append(seg, "second", 6, &nothing, NULL, &b));
        assert_int_equal(a, place_make(1, SEGMENT_HEADER_SIZE));
        assert_int_equal(b, place_make(1, SEGMENT_HEADER_SIZE + 5));
        assert_ok(segments_read(f->s, b, buf, 6));
        assert_memory_equal(buf, "second", 6);
        assert_err(segments_read(f->s, b, buf, 7), -EBADMSG);
        assert_err(segments_read(f->s, place_make(9, 16), buf, 1), -EBADMSG);
        segments_give(f->s, seg);

        /* There is no bucket. */
        assert_ok(segments_settle(f->s));
        assert_ok(segments_adopt(f->s));
        segments_send(f->s);
        assert_false(segments_doubt(f->s));
        assert_false(segments_are_contested(f->s));
}

static void test_writers_at_once_have_segments_of_their_own_and_the_next_one_goes_on(void **state)
{
        struct fixture *f = *state;
        struct segment *a, *b, *c;
        uint64_t place;

        assert_ok(segments_take(f->s, &a));
        assert_ok(segments_take(f->s, &b));
        assert_ptr_not_equal(a, b);
        assert_true(segments_is_busy(f->s, 1));
        segments_give(f->s, a);
        assert_false(segments_is_busy(f->s, 1));
        assert_ok(segments_take(f->s, &c));
        assert_ok(segment_append(c, "x", 1, &nothing, NULL, &place));
        assert_int_equal(place_segment(place), 1);
        segments_give(f->s, b);
        segments_give(f->s, c);
}

static void test_only_what_is_durable_is_to_be_recorded(void **state)
{
        struct fixture *f = *state;
        struct segment_state *states;
        struct segment *seg;
        uint64_t place;
        size_t n;

        assert_ok(segments_take(f->s, &seg));
        assert_ok(segment_append(seg, "first", 5, &nothing, NULL, &place));
        assert_ok(segments_unrecorded(f->s, &states, &n));
        assert_int_equal(n, 0);
        free(states);
        assert_ok(segments_sync(f->s));
        assert_ok(segment_append(seg, "second", 6, &nothing, NULL, &place));
        assert_ok(segments_unrecorded(f->s, &states, &n));
        assert_int_equal(n, 1);
        assert_int_equal(states[0].end, SEGMENT_HEADER_SIZE + 5);
        assert_false(states[0].sealed);
        segments_recorded(f->s, states, n);
        free(states);
        assert_ok(segments_unrecorded(f->s, &states, &n));
        assert_int_equal(n, 0);
        free(states);
        segments_give(f->s, seg);
}

static void assert_disowned(struct fixture *f, size_t n, uint64_t from, uint64_t to)
{
        struct segment_range *ranges;
        size_t have;

        assert_ok(segments_disown(f->s, &ranges, &have));
        assert_int_equal(have, n);
        assert_true(n == 0 || (ranges[0].id == 1 && ranges[0].from == from && ranges[0].to == to));
        free(ranges);
}

/* What lost its rows is told once. Of a sealed segment nothing is: its description lies there, too. */
static void test_what_was_not_recorded_is_disowned_once(void **state)
{
        struct fixture *f = *state;
        struct segment_state *states;
        struct segment *seg;
        uint64_t place;
        size_t n;

        assert_ok(segments_take(f->s, &seg));
        assert_disowned(f, 0, 0, 0);
        assert_ok(segment_append(seg, "first", 5, &nothing, NULL, &place));
        assert_disowned(f, 1, SEGMENT_HEADER_SIZE, SEGMENT_HEADER_SIZE + 5);
        assert_disowned(f, 0, 0, 0);
        assert_ok(segment_append(seg, "second", 6, &nothing, NULL, &place));
        assert_ok(segments_sync(f->s));
        assert_ok(segments_unrecorded(f->s, &states, &n));
        segments_recorded(f->s, states, n);
        free(states);
        assert_disowned(f, 0, 0, 0);
        assert_ok(segment_append(seg, "third", 5, &nothing, NULL, &place));
        assert_disowned(f, 1, SEGMENT_HEADER_SIZE + 11, SEGMENT_HEADER_SIZE + 16);

        assert_ok(segment_append(seg, "fourth", 6, &nothing, NULL, &place));
        segments_give(f->s, seg);
        segments_seal(f->s);
        assert_disowned(f, 0, 0, 0);
}

static void test_full_segment_is_sealed_once_its_appender_is_done(void **state)
{
        struct fixture *f = *state;
        static uint8_t bytes[1 << 20];
        struct segment_state *states;
        struct segment *seg, *next;
        uint64_t place;
        size_t n;

        assert_ok(segments_take(f->s, &seg));
        while (!segment_is_full(seg))
                assert_ok(segment_append(seg, bytes, sizeof(bytes), &nothing, NULL, &place));
        assert_true(place_offset(place) + sizeof(bytes) >= SEGMENT_SIZE_SEALED);
        assert_ok(segments_sync(f->s));
        assert_ok(segments_unrecorded(f->s, &states, &n));
        assert_int_equal(n, 1);
        assert_false(states[0].sealed);
        segments_recorded(f->s, states, n);
        free(states);
        segments_give(f->s, seg);
        assert_ok(segments_unrecorded(f->s, &states, &n));
        assert_int_equal(n, 0); /* its footer is not durable yet */
        free(states);
        assert_ok(segments_sync(f->s));
        assert_ok(segments_unrecorded(f->s, &states, &n));
        assert_int_equal(n, 1);
        assert_true(states[0].sealed);
        segments_recorded(f->s, states, n);
        free(states);
        assert_ok(segments_take(f->s, &next));
        assert_ok(segment_append(next, "x", 1, &nothing, NULL, &place));
        assert_int_equal(place_segment(place), 2);
        segments_give(f->s, next);
}

static void test_failed_sync_is_final(void **state)
{
        struct fixture *f = *state;
        struct segment_state *states;
        struct segment *seg;
        uint64_t place;
        size_t n;

        assert_ok(segments_take(f->s, &seg));
        assert_ok(segment_append(seg, "first", 5, &nothing, NULL, &place));
        atomic_store(&fail_syncs, true);
        assert_err(segments_sync(f->s), -EIO);
        assert_true(f->degraded);
        atomic_store(&fail_syncs, false);
        assert_err(segments_sync(f->s), -EROFS);
        assert_err(segment_append(seg, "x", 1, &nothing, NULL, &place), -EROFS);
        assert_ok(segments_unrecorded(f->s, &states, &n));
        assert_int_equal(n, 0);
        free(states);
        segments_give(f->s, seg);
}

static void *sync_names(void *ctx)
{
        return (void *)(intptr_t)segments_sync_dir(ctx);
}

/* A collection syncs the names; a writer's sync used to find nothing left to do, and ended before that had. */
static void test_sync_ends_when_names_are_durable_whoever_syncs_them(void **state)
{
        struct fixture *f = *state;
        struct segment *seg;
        pthread_t thread;
        void *result;

        assert_ok(segments_take(f->s, &seg));
        assert_ok(sem_init(&slow_names.begun, 0, 0));
        assert_ok(sem_init(&slow_names.go, 0, 0));
        atomic_store(&slow_names.armed, true);
        assert_ok(pthread_create(&thread, NULL, sync_names, f->s));
        assert_ok(sem_wait(&slow_names.begun));
        assert_ok(segments_sync(f->s));
        assert_true(atomic_load(&slow_names.ended));
        assert_ok(sem_post(&slow_names.go));
        assert_ok(pthread_join(thread, &result));
        assert_ok((int)(intptr_t)result);
        segments_give(f->s, seg);
}

/* It used to stay, empty, and nothing ever looked at it again but the check, which called it strange. */
static void test_segment_that_could_not_be_begun_leaves_no_file(void **state)
{
        struct rlimit before, none;
        struct fixture *f = *state;
        uint64_t size, allocated;
        struct segment *seg;

        assert_ok(getrlimit(RLIMIT_FSIZE, &before));
        none = before;
        none.rlim_cur = 0;
        (void)signal(SIGXFSZ, SIG_IGN);
        assert_ok(setrlimit(RLIMIT_FSIZE, &none));
        assert_err(segments_take(f->s, &seg), -EFBIG);
        assert_ok(setrlimit(RLIMIT_FSIZE, &before));
        assert_err(segments_stat(f->s, 1, &size, &allocated), -ENOENT);
}

static void test_number_is_not_used_again(void **state)
{
        struct fixture *f = *state;
        struct segment *seg;
        uint64_t place, size, allocated;
        char bytes[11];

        assert_ok(segments_take(f->s, &seg));
        assert_ok(segment_append(seg, "firstsecond", 11, &nothing, NULL, &place));
        segments_give(f->s, seg);
        segments_free(f->s);
        assert_ok(segments_new(f->dir_fd, &f->degraded, &f->s));
        /* Whatever who told of it believed. */
        segments_set_next(f->s, 1);
        assert_ok(segments_take(f->s, &seg));
        assert_ok(segment_append(seg, "x", 1, &nothing, NULL, &place));
        assert_int_equal(place, place_make(2, SEGMENT_HEADER_SIZE));
        segments_give(f->s, seg);
        assert_ok(segments_stat(f->s, 1, &size, &allocated));
        assert_int_equal(size, SEGMENT_HEADER_SIZE + 11);
        assert_ok(segments_read(f->s, place_make(1, SEGMENT_HEADER_SIZE), bytes, 11));
        assert_memory_equal(bytes, "firstsecond", 11);
}

/* What a record, and its features, say. */
static void assert_described(struct fixture *f, uint32_t id, size_t n)
{
        struct footer footer;

        assert_ok(segments_describe(f->s, id, &footer));
        assert_int_equal(footer.n, n);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(footer.records[i].raw_len, 100 + i);
                assert_int_equal(footer.records[i].stored_len, 5);
                assert_int_equal(footer.records[i].offset, SEGMENT_HEADER_SIZE + 5 * i);
                assert_int_equal(footer.records[i].place, place_make(id, footer.records[i].offset));
                assert_int_equal(footer.records[i].base, 7 + i);
                assert_int_equal(footer.records[i].name.bytes[23], i + 1);
                assert_int_equal(footer.records[i].n_features, 2);
                assert_int_equal(footer.features[2 * i + 1], 2000 + i);
        }
        footer_done(&footer);
}

static void append_described(struct segment *seg, unsigned i)
{
        const struct footer_record what = { .name = { .bytes = { [23] = (uint8_t)(i + 1) } },
                                            .base = 7 + i,
                                            .raw_len = 100 + i };
        const struct chunk_features features = { .n = 2, .block = { 1000 + i, 2000 + i } };
        uint64_t place;

        assert_ok(segment_append(seg, "bytes", 5, &what, &features, &place));
}

static void test_sealed_segment_says_what_is_in_it(void **state)
{
        static const uint8_t id[STORE_ID_SIZE] = "its store's name", other[STORE_ID_SIZE] = "another one's id";
        struct fixture *f = *state;
        struct footer footer;
        struct segment *seg;
        uint64_t size;

        segments_set_store(f->s, id);
        assert_ok(segments_take(f->s, &seg));
        for (unsigned i = 0; i < 3; i++)
                append_described(seg, i);
        segments_give(f->s, seg);
        assert_err(segments_describe(f->s, 1, &footer), -ENOENT);
        segments_seal(f->s);
        assert_described(f, 1, 3);
        assert_err(segments_describe(f->s, 2, &footer), -ENOENT);
        segments_set_store(f->s, other);
        assert_err(segments_describe(f->s, 1, &footer), -EBADMSG);
        segments_set_store(f->s, id);

        /* A footer that a crash cut short is followed by a whole one. */
        assert_ok(segments_describe(f->s, 1, &footer));
        assert_ok(segments_add_footer(f->s, 1, &footer, &size));
        footer_done(&footer);
        assert_described(f, 1, 3);

        assert_ok(segments_take(f->s, &seg));
        append_described(seg, 0);
        segments_give(f->s, seg);
        segments_seal(f->s);
        assert_described(f, 2, 1);
}

static void test_damaged_description_is_none(void **state)
{
        struct fixture *f = *state;
        uint64_t size, allocated;
        struct footer footer;
        struct segment *seg;
        uint8_t byte;
        int fd;

        assert_ok(segments_take(f->s, &seg));
        for (unsigned i = 0; i < 3; i++)
                append_described(seg, i);
        segments_give(f->s, seg);
        segments_seal(f->s);
        assert_ok(segments_stat(f->s, 1, &size, &allocated));
        fd = openat(f->dir_fd, "00000001.seg", O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        for (uint64_t at = SEGMENT_HEADER_SIZE + 15; at < size; at++) {
                assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
                byte ^= 16;
                assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
                assert_true(segments_describe(f->s, 1, &footer) ==
                            (at >= size - 64 && at < size - 56 ? -ENOENT : -EBADMSG));
                byte ^= 16;
                assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
        }
        assert_described(f, 1, 3);
        for (uint64_t n = size - 1; n > 0; n -= n > 7 ? 7 : n) {
                assert_ok(ftruncate(fd, (off_t)n));
                assert_true(segments_describe(f->s, 1, &footer) < 0);
        }
        (void)close(fd);
}

static void test_punched_space_is_given_back_and_the_rest_stays(void **state)
{
        struct fixture *f = *state;
        static uint8_t bytes[1 << 20], buf[4096];
        uint64_t place, size, before, after, seed = 1;
        struct segment *seg;

        random_fill(&seed, bytes, sizeof(bytes));
        assert_ok(segments_take(f->s, &seg));
        assert_ok(segment_append(seg, bytes, sizeof(bytes), &nothing, NULL, &place));
        assert_ok(segments_sync(f->s));
        assert_ok(segments_stat(f->s, 1, &size, &before));
        assert_ok(segments_punch(f->s, 1, 65536, 65536 + 524288));
        assert_ok(segments_stat(f->s, 1, &size, &after));
        assert_int_equal(before - after, 524288);
        assert_ok(segments_read(f->s, place_make(1, 65536 - 4096), buf, sizeof(buf)));
        assert_memory_equal(buf, bytes + 65536 - 4096 - SEGMENT_HEADER_SIZE, sizeof(buf));
        segments_give(f->s, seg);
}

static void test_many_segments_are_read_with_few_descriptors(void **state)
{
        struct fixture *f = *state;
        struct segment *segs[400];
        uint64_t place;
        char buf;
        int fd;

        for (unsigned i = 0; i < 400; i++) {
                assert_ok(segments_take(f->s, &segs[i]));
                assert_ok(segment_append(segs[i], "x", 1, &nothing, NULL, &place));
        }
        segments_free(f->s); /* with 400 descriptors for appending */
        assert_ok(segments_new(f->dir_fd, &f->degraded, &f->s));
        for (uint32_t i = 1; i <= 400; i++)
                assert_ok(segments_read(f->s, place_make(i, SEGMENT_HEADER_SIZE), &buf, 1));
        fd = dup(f->dir_fd);
        assert_in_range(fd, 0, 300);
        (void)close(fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_what_is_appended_is_read_at_its_place),
                T(test_writers_at_once_have_segments_of_their_own_and_the_next_one_goes_on),
                T(test_only_what_is_durable_is_to_be_recorded),
                T(test_what_was_not_recorded_is_disowned_once),
                T(test_full_segment_is_sealed_once_its_appender_is_done),
                T(test_failed_sync_is_final),
                T(test_sync_ends_when_names_are_durable_whoever_syncs_them),
                T(test_segment_that_could_not_be_begun_leaves_no_file),
                T(test_number_is_not_used_again),
                T(test_sealed_segment_says_what_is_in_it),
                T(test_damaged_description_is_none),
                T(test_punched_space_is_given_back_and_the_rest_stays),
                T(test_many_segments_are_read_with_few_descriptors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
