/* SPDX-License-Identifier: MIT */
/* The index by itself: which chunk becomes the base of another, and what it learns of what a killed process left. */

#include "blobstore/chunks/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

#define LEN 4096

/* Of segments. */
static atomic_bool fail_syncs, fail_writes;

static bool is_segment(int fd)
{
        char path[64], name[256] = { 0 };

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return readlink(path, name, sizeof(name) - 1) > 0 && strstr(name, ".seg");
}

int fsync(int fd)
{
        if (atomic_load(&fail_syncs) && is_segment(fd)) {
                errno = EIO;
                return -1;
        }
        return (int)syscall(SYS_fsync, fd);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t off)
{
        if (atomic_load(&fail_writes) && is_segment(fd)) {
                errno = ENOSPC;
                return -1;
        }
        return (ssize_t)syscall(SYS_pwrite64, fd, buf, n, off);
}

struct fixture {
        char dir[TEMPDIR_MAX];
        int dir_fd;
        atomic_bool degraded;
        struct segments *segments;
        struct index *ix;
        struct segment *seg;
        struct index_writer w;
};

static void open_index(struct fixture *f)
{
        assert_ok(segments_new(f->dir_fd, &f->degraded, &f->segments));
        assert_ok(index_open(f->dir_fd, f->segments, &f->degraded, &f->ix));
        assert_ok(index_recover(f->ix, NULL));
        assert_ok(segments_take(f->segments, &f->seg));
        index_writer_begin(f->ix, &f->w);
}

static void close_index(struct fixture *f)
{
        index_writer_end(f->ix, &f->w);
        segments_give(f->segments, f->seg);
        index_close(f->ix);
        segments_free(f->segments);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->dir_fd = tempdir_open(f->dir);
        assert_ok(segments_new(f->dir_fd, &f->degraded, &f->segments));
        assert_ok(index_new(f->dir_fd, f->segments, &f->degraded, &f->ix));
        assert_ok(index_publish(f->ix, f->dir_fd));
        index_close(f->ix);
        segments_free(f->segments);
        open_index(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        close_index(f);
        (void)close(f->dir_fd);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

/* Adds a chunk with these features; its place. */
static uint64_t add(struct fixture *f, uint8_t name, struct chunk_features features)
{
        struct index_chunk chunk = { .name = { { 1, [CHUNK_NAME_SIZE - 1] = name } }, .raw_len = LEN, .stored_len = 1 };
        const struct footer_record what = { .name = chunk.name, .raw_len = LEN };

        assert_ok(segment_append(f->seg, "x", 1, &what, &features, &chunk.place));
        assert_ok(index_add(f->ix, &f->w, &chunk, &features));
        return chunk.place;
}

/* The place of the base for what has these features; 0: none. */
static uint64_t base_of(struct fixture *f, struct chunk_features features)
{
        struct index_twin twin = { 0 };
        int r = index_find_base(f->ix, &f->w, &features, &twin);

        assert_in_range(r, 0, 1);
        assert_true(r == 0 || (twin.raw_len == LEN && twin.stored_len == 1));
        return twin.place;
}

#define FEATURES(...)                                                                                                  \
        ((struct chunk_features){ .n = sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t),                         \
                                  .block = { __VA_ARGS__ } })

static void test_base_is_the_chunk_with_most_of_the_features(void **state)
{
        struct fixture *f = *state;
        uint64_t a = add(f, 1, FEATURES(11, 12, 13)), b = add(f, 2, FEATURES(21, 22, 23));

        assert_int_equal(base_of(f, FEATURES(11, 21, 22)), b);
        assert_int_equal(base_of(f, FEATURES(21, 11, 12)), a);
        assert_int_equal(base_of(f, FEATURES(13)), a);
        assert_int_equal(base_of(f, FEATURES(31, 32)), 0);
        assert_int_equal(base_of(f, (struct chunk_features){ 0 }), 0);
}

/* One block that nobody had before was enough to find nothing. */
static void test_features_that_no_chunk_has_do_not_count(void **state)
{
        struct fixture *f = *state;
        uint64_t a = add(f, 1, FEATURES(11, 12));

        assert_int_equal(base_of(f, FEATURES(31, 11)), a);
        assert_int_equal(base_of(f, FEATURES(31, 32, 33, 12, 34)), a);
}

static void test_damaged_chunk_is_no_base(void **state)
{
        struct fixture *f = *state;
        uint64_t a = add(f, 1, FEATURES(11, 12)), b = add(f, 2, FEATURES(21));

        index_distrust(f->ix, a);
        assert_int_equal(base_of(f, FEATURES(11, 12)), 0);
        assert_int_equal(base_of(f, FEATURES(21)), b);
        assert_false(atomic_load(&f->degraded));
}

/* By another process, the index being closed here. */
static void be_killed_before_the_first_change(struct fixture *f)
{
        const struct footer_record what = { .name = { { 1 } }, .raw_len = LEN };
        uint64_t place;
        pid_t killed;
        int how;

        killed = fork();
        if (killed == 0) {
                open_index(f);
                _exit(segment_append(f->seg, "x", 1, &what, NULL, &place) == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(killed, &how, 0), killed);
        assert_int_equal(how, 0);
}

/* The index knows all of its own, and yet nothing of the segment that was begun. */
static void test_segment_begun_before_the_first_change_is_found(void **state)
{
        struct fixture *f = *state;
        struct segment_state s;
        uint32_t known;

        (void)add(f, 1, FEATURES(11));
        known = segment_id(f->seg);
        assert_int_equal(index_orphans_since(f->ix), 0);
        close_index(f);
        be_killed_before_the_first_change(f);

        open_index(f);
        assert_int_equal(index_segment_next(f->ix, known, &s), 1);
        assert_true(s.sealed && s.id < segment_id(f->seg));
        assert_true(index_orphans_since(f->ix) != 0); /* its bytes are to be given back */
}

/* The next start does it again. */
static void assert_recovery_fails(struct fixture *f, atomic_bool *fault, int error)
{
        close_index(f);
        be_killed_before_the_first_change(f);
        assert_ok(segments_new(f->dir_fd, &f->degraded, &f->segments));
        assert_ok(index_open(f->dir_fd, f->segments, &f->degraded, &f->ix));
        atomic_store(fault, true);
        assert_err(index_recover(f->ix, NULL), error);
        atomic_store(fault, false);
        index_close(f->ix);
        segments_free(f->segments);
        assert_true(atomic_load(&f->degraded) == (error == -EIO));

        atomic_store(&f->degraded, false);
        open_index(f);
        assert_true(index_orphans_since(f->ix) != 0);
}

/* What says what is in that segment may be on no disk: nothing goes on with it. */
static void test_recovery_that_cannot_be_synced_is_none(void **state)
{
        assert_recovery_fails(*state, &fail_syncs, -EIO);
}

static void test_recovery_on_a_full_disk_is_none(void **state)
{
        assert_recovery_fails(*state, &fail_writes, -ENOSPC);
}

/* When it was that bytes were left without a name. */
static void test_since_when_there_are_orphans_outlives_a_restart(void **state)
{
        struct fixture *f = *state;
        uint64_t since;

        test_segment_begun_before_the_first_change_is_found(state);
        since = index_orphans_since(f->ix);
        close_index(f);
        open_index(f);
        assert_int_equal(index_orphans_since(f->ix), since);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_base_is_the_chunk_with_most_of_the_features),
                T(test_features_that_no_chunk_has_do_not_count),
                T(test_damaged_chunk_is_no_base),
                T(test_segment_begun_before_the_first_change_is_found),
                T(test_recovery_that_cannot_be_synced_is_none),
                T(test_recovery_on_a_full_disk_is_none),
                T(test_since_when_there_are_orphans_outlives_a_restart),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
