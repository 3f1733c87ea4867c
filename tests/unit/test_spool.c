/* SPDX-License-Identifier: MIT */
/* Bytes that grow, in memory, in a file, and back in memory where the file takes no more. */

#include "model/core/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

#define THING ((size_t)10007) /* what is added at once: no round number */

struct fixture {
        char dir[TEMPDIR_MAX];
        int dir_fd;
        struct rlimit limit;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        f->dir_fd = tempdir_open(f->dir);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &f->limit), 0);
        (void)signal(SIGXFSZ, SIG_IGN); /* the errno is wanted */
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(setrlimit(RLIMIT_FSIZE, &f->limit), 0);
        (void)close(f->dir_fd);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

/* From now on no file is longer: a full disk. */
static void limit_files(const struct fixture *f, size_t bytes)
{
        const struct rlimit l = { .rlim_cur = bytes, .rlim_max = f->limit.rlim_max };

        assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static char byte_of(size_t thing, size_t i)
{
        return (char)(thing * 31 + i % 251);
}

static void add(struct spool *s, size_t from, size_t to)
{
        for (size_t n = from; n < to; n++) {
                char thing[THING];

                for (size_t i = 0; i < THING; i++)
                        thing[i] = byte_of(n, i);
                strbuf_add_bytes(&s->buf, thing, THING);
                spool_step(s);
        }
}

static void expect(const struct spool *s, size_t things)
{
        CLEANUP(spool_reader_done) struct spool_reader r = { .s = s };
        const char *at;

        assert_ok(spool_error(s));
        assert_int_equal(spool_size(s), things * THING);
        for (size_t n = 0; n < things; n++) {
                assert_ok(spool_read(&r, THING, &at));
                for (size_t i = 0; i < THING; i += 97)
                        assert_int_equal(at[i], byte_of(n, i));
        }
        assert_err(spool_read(&r, 1, &at), -EIO);
}

static void test_a_little_stays_in_memory(void **state)
{
        struct fixture *f = *state;
        CLEANUP(spool_done) struct spool s = SPOOL_IN(f->dir_fd);

        expect(&s, 0);
        add(&s, 0, 3);
        spool_end(&s);
        assert_int_equal(s.fd, -1);
        expect(&s, 3);
}

static void test_much_takes_no_memory(void **state)
{
        struct fixture *f = *state;
        CLEANUP(spool_done) struct spool s = SPOOL_IN(f->dir_fd);

        add(&s, 0, 1000);
        assert_true(s.fd >= 0);
        assert_true(s.buf.size < 1 << 20);
        expect(&s, 1000); /* some of it is in memory still */
        spool_end(&s);
        assert_int_equal(s.written, 1000 * THING);
        expect(&s, 1000);
}

static void test_what_was_added_can_be_changed(void **state)
{
        struct fixture *f = *state;
        CLEANUP(spool_done) struct spool s = SPOOL_IN(f->dir_fd);
        CLEANUP(spool_reader_done) struct spool_reader r = { .s = &s };
        const char *at;

        add(&s, 0, 100);
        assert_true(s.written > 0 && s.buf.len > 4);
        spool_patch(&s, 0, "first", 5);
        spool_patch(&s, s.written - 2, "both", 4);
        spool_patch(&s, spool_size(&s) - 4, "last", 4);
        assert_memory_equal(s.buf.text, "th", 2);
        spool_end(&s);
        for (size_t n = 0; n < 100; n++) {
                assert_ok(spool_read(&r, THING, &at));
                if (n == 0)
                        assert_memory_equal(at, "first", 5);
        }
        assert_memory_equal(at + THING - 4, "last", 4);
}

static void test_without_a_file_some_is_held(void **state)
{
        CLEANUP(spool_done) struct spool s = SPOOL_IN(INT_MAX);

        (void)state;
        add(&s, 0, 1000);
        spool_end(&s);
        assert_int_equal(s.fd, -1);
        expect(&s, 1000);
        add(&s, 1000, SPOOL_HELD_MAX / THING + 50);
        assert_err(spool_error(&s), -EBADF);
        assert_true(s.buf.len < 1 << 20); /* what cannot be had is not collected */
        spool_patch(&s, 0, "x", 1);
        assert_err(spool_error(&s), -EBADF);
}

static void test_all_in_memory(void **state)
{
        CLEANUP(spool_done) struct spool s = SPOOL_IN_MEMORY;

        (void)state;
        add(&s, 0, 1000);
        spool_end(&s);
        expect(&s, 1000);
}

static void test_a_disk_gets_full(void **state)
{
        struct fixture *f = *state;
        CLEANUP(spool_done) struct spool s = SPOOL_IN(f->dir_fd), long_one = SPOOL_IN(f->dir_fd);

        add(&s, 0, 100);
        assert_true(s.written > 0 && s.buf.len > 0);
        limit_files(f, s.written);
        spool_end(&s);
        assert_int_equal(s.fd, -1);
        expect(&s, 100);
        add(&s, 100, 200);
        expect(&s, 200);

        limit_files(f, SPOOL_HELD_MAX);
        add(&long_one, 0, SPOOL_HELD_MAX / THING + 50);
        assert_err(spool_error(&long_one), -EFBIG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_a_little_stays_in_memory),
                TEST(test_much_takes_no_memory),
                TEST(test_what_was_added_can_be_changed),
                TEST(test_without_a_file_some_is_held),
                TEST(test_all_in_memory),
                TEST(test_a_disk_gets_full),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
