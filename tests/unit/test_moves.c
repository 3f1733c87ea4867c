/* SPDX-License-Identifier: MIT */
/* The tables of chunks that were moved: what is recorded is found, after opening them again, too, and damage is said. */

#include "blobstore/chunks/moves.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/chunks/segment.h"
#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

#define SEGMENT 0x10203 /* no two bytes of it are the same */

struct fixture {
        char dir[TEMPDIR_MAX];
        int dir_fd;
        atomic_bool degraded;
        struct moves *m;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->dir_fd = tempdir_open(f->dir);
        assert_ok(moves_new(f->dir_fd, &f->degraded, &f->m));
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        moves_free(f->m);
        (void)close(f->dir_fd);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

static void reopen(struct fixture *f)
{
        moves_free(f->m);
        assert_ok(moves_new(f->dir_fd, &f->degraded, &f->m));
}

static struct moved_chunk moved(uint32_t segment, uint32_t i)
{
        return (struct moved_chunk){ place_make(segment, 100 * i), place_make(7, 1000 * i), 10 + i };
}

static void assert_found(struct fixture *f, uint32_t segment, uint32_t i)
{
        const struct moved_chunk wanted = moved(segment, i);
        struct moved_chunk found;

        assert_err(moves_find(f->m, wanted.place, &found), 1);
        assert_int_equal(found.place, wanted.place);
        assert_int_equal(found.at, wanted.at);
        assert_int_equal(found.stored_len, wanted.stored_len);
}

static void assert_not_found(struct fixture *f, uint64_t place)
{
        struct moved_chunk found;

        assert_ok(moves_find(f->m, place, &found));
}

static int note_segment(void *ctx, uint32_t segment)
{
        *(uint32_t *)ctx = segment;
        return 0;
}

static void test_what_is_recorded_is_found_and_no_other(void **state)
{
        const struct moved_chunk first[] = { moved(SEGMENT, 2), moved(SEGMENT, 4), moved(SEGMENT, 6) };
        const struct moved_chunk then[] = { moved(SEGMENT, 1), moved(SEGMENT, 5), moved(SEGMENT, 9) };
        const struct moved_chunk elsewhere = { first[1].place, place_make(8, 1), 1 };
        struct fixture *f = *state;
        uint32_t seen = 0;

        assert_ok(moves_record(f->m, &elsewhere, 1));
        assert_ok(moves_record(f->m, first, 3));
        assert_ok(moves_record(f->m, then, 3));
        for (int again = 0; again < 2; again++) {
                for (uint32_t i = 0; i < 12; i++) {
                        if (i == 0 || i == 3 || i == 7 || i == 8 || i > 9)
                                assert_not_found(f, place_make(SEGMENT, 100 * i));
                        else
                                assert_found(f, SEGMENT, i);
                        assert_not_found(f, place_make(SEGMENT, 100 * i + 1));
                        assert_not_found(f, place_make(SEGMENT + 1, 100 * i));
                        assert_not_found(f, place_make(3, 100 * i));
                }
                assert_ok(moves_each(f->m, note_segment, &seen));
                assert_int_equal(seen, SEGMENT);
                assert_ok(moves_verify(f->m, SEGMENT));
                assert_ok(moves_verify(f->m, SEGMENT - 1));
                assert_ok(moves_verify(f->m, SEGMENT + 1));
                reopen(f);
        }
}

static void test_a_table_takes_the_place_of_the_one_before(void **state)
{
        const struct moved_chunk first[] = { moved(SEGMENT, 2), moved(SEGMENT, 4) }, then[] = { moved(SEGMENT, 3) };
        struct fixture *f = *state;
        uint32_t seen = 0;

        assert_ok(moves_record(f->m, first, 2));
        assert_found(f, SEGMENT, 2);
        assert_ok(moves_replace(f->m, SEGMENT, then, 1));
        for (int again = 0; again < 2; again++) {
                assert_not_found(f, first[0].place);
                assert_found(f, SEGMENT, 3);
                reopen(f);
        }
        assert_ok(moves_replace(f->m, SEGMENT, NULL, 0));
        for (int again = 0; again < 2; again++) {
                assert_not_found(f, then[0].place);
                assert_ok(moves_each(f->m, note_segment, &seen));
                assert_int_equal(seen, 0);
                reopen(f);
        }
        assert_err(faccessat(f->dir_fd, "00010203", F_OK, 0), -1);
}

static void write_byte(struct fixture *f, off_t at, uint8_t change)
{
        int fd = openat(f->dir_fd, "00010203", O_RDWR);
        uint8_t byte;

        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= change;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        (void)close(fd);
}

static void test_damage_anywhere_is_said(void **state)
{
        const struct moved_chunk rows[] = { moved(SEGMENT, 2), moved(SEGMENT, 4) };
        struct fixture *f = *state;
        struct moved_chunk found;
        struct stat st;

        assert_ok(moves_record(f->m, rows, 2));
        assert_ok(fstatat(f->dir_fd, "00010203", &st, 0));
        assert_int_equal(st.st_size, 32 + 2 * 16);
        for (off_t at = 0; at < st.st_size; at++) {
                if (at >= 20 && at < 24)
                        continue; /* nothing */
                write_byte(f, at, 1);
                assert_err(moves_verify(f->m, SEGMENT), -EBADMSG);
                reopen(f);
                assert_err(moves_find(f->m, rows[1].place, &found), -EBADMSG);
                write_byte(f, at, 1);
                reopen(f);
                assert_ok(moves_verify(f->m, SEGMENT));
                assert_found(f, SEGMENT, 4);
        }
        for (off_t size = 0; size < st.st_size; size += 8) {
                char path[TEMPDIR_MAX + 16];

                (void)snprintf(path, sizeof(path), "%s/00010203", f->dir);
                assert_ok(moves_replace(f->m, SEGMENT, rows, 2));
                assert_ok(truncate(path, size));
                assert_err(moves_verify(f->m, SEGMENT), -EBADMSG);
                reopen(f);
                assert_err(moves_find(f->m, rows[1].place, &found), -EBADMSG); /* nor is an empty one absent */
        }
        assert_err(moves_record(f->m, rows, 2), -EBADMSG); /* what was in it may be the only one to know */
        assert_ok(moves_replace(f->m, SEGMENT, rows, 2));
        assert_found(f, SEGMENT, 4);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_what_is_recorded_is_found_and_no_other),
                T(test_a_table_takes_the_place_of_the_one_before),
                T(test_damage_anywhere_is_said),
        };
#undef T
        return cmocka_run_group_tests(tests, NULL, NULL);
}
