/* SPDX-License-Identifier: MIT */

/*
 * Nothing is given back on the word of an index that is older than the store, or that could not count everything: what
 * this used to cut off, write over and punch.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blobstore/blobstore.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MIB (UINT64_C(1) << 20)

/* ---- a file with an unreadable sector ---- */

static char unreadable[64]; /* part of its path; "": none */

static bool is_unreadable(int fd)
{
        char link[32], path[4096] = "";

        if (!unreadable[0])
                return false;
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        return readlink(link, path, sizeof(path) - 1) > 0 && strstr(path, unreadable);
}

ssize_t pread64(int fd, void *buf, size_t n, off64_t off)
{
        if (is_unreadable(fd)) {
                errno = EIO;
                return -1;
        }
        return syscall(SYS_pread64, fd, buf, n, off);
}

/* ---- pieces ---- */

static uint8_t *noise(uint64_t seed, size_t n)
{
        uint8_t *bytes = malloc(n);

        assert_non_null(bytes);
        random_fill(&seed, bytes, n);
        return bytes;
}

static struct blob_id put(struct store *s, const uint8_t *bytes, size_t n)
{
        struct blob *b = image_store(s, bytes, n);
        struct blob_id id = *blob_get_id(b);

        blob_close(b);
        return id;
}

static void assert_holds(struct store *s, const struct blob_id *id, const uint8_t *bytes, size_t n)
{
        struct blob *b;

        assert_ok(blob_open(s->bs, id, &b));
        image_assert_same(b, bytes, n);
        blob_close(b);
}

static void hex_of(const struct blob_id *id, char ret[2 * BLOB_ID_SIZE + 1])
{
        for (size_t i = 0; i < BLOB_ID_SIZE; i++)
                (void)snprintf(ret + 2 * i, 3, "%02x", id->bytes[i]);
}

static void map_path(struct store *s, const struct blob_id *id, char ret[2 * TEMPDIR_MAX])
{
        char hex[2 * BLOB_ID_SIZE + 1], name[64];

        hex_of(id, hex);
        (void)snprintf(name, sizeof(name), "maps/%.2s/%s", hex, hex);
        store_path(s, name, ret);
}

/* Flips a bit of a map's byte AT, from the end where it is negative. */
static void flip(struct store *s, const struct blob_id *id, long at)
{
        char path[2 * TEMPDIR_MAX];
        uint8_t byte;
        off_t off;
        int fd;

        map_path(s, id, path);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        off = lseek(fd, at, at < 0 ? SEEK_END : SEEK_SET);
        assert_int_equal(syscall(SYS_pread64, fd, &byte, 1, off), 1);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, off), 1);
        (void)close(fd);
}

static void copy_index(struct store *s, const char *from, const char *to)
{
        char command[5 * TEMPDIR_MAX];

        (void)snprintf(command, sizeof(command), "cp '%s/store/%s' '%s/store/%s' && rm -f '%s'/store/index.db-*",
                       s->dir, from, s->dir, to, s->dir);
        assert_int_equal(system(command), 0);
}

/* Has the index made again at the next opening. */
static void drop_index(struct store *s)
{
        char path[2 * TEMPDIR_MAX];

        store_path(s, "index.db", path);
        assert_int_equal(unlink(path), 0);
}

/* ---- an index that is older ---- */

/* A backup file by file, of a store that went on: 48 MiB were cut off, and ids used again. */
static void test_an_older_index_takes_nothing_from_newer_blobs(void **state)
{
        uint8_t *a = noise(1, 10 * MIB), *b = noise(2, 80 * MIB), *c = noise(3, 5 * MIB);
        struct store *s = *state;
        struct blob_id a_id = put(s, a, 10 * MIB), b_id, c_id;

        store_close(s);
        copy_index(s, "index.db", "../older");
        assert_ok(store_open(s));
        b_id = put(s, b, 80 * MIB);
        store_close(s);
        copy_index(s, "../older", "index.db");

        assert_ok(store_open(s));
        assert_holds(s, &b_id, b, 80 * MIB);
        c_id = put(s, c, 5 * MIB);
        (void)store_gc(s);
        assert_holds(s, &b_id, b, 80 * MIB);
        store_reopen(s);
        (void)store_gc(s);
        assert_holds(s, &a_id, a, 10 * MIB);
        assert_holds(s, &b_id, b, 80 * MIB);
        assert_holds(s, &c_id, c, 5 * MIB);
        store_assert_clean(s);
        free(a), free(b), free(c);
}

/* Nothing in the segments tells that the index is older: the newer blob shares all that it has. */
static void test_an_older_index_does_not_count_what_is_shared(void **state)
{
        uint8_t *bytes = noise(4, 10 * MIB);
        struct store *s = *state;
        struct blob_id a = put(s, bytes, 10 * MIB), b;

        store_close(s);
        copy_index(s, "index.db", "../older");
        assert_ok(store_open(s));
        b = put(s, bytes, 10 * MIB);
        store_close(s);
        copy_index(s, "../older", "index.db");

        assert_ok(store_open(s));
        assert_ok(blob_remove(s->bs, &a));
        (void)store_gc(s);
        (void)store_gc(s);
        assert_holds(s, &b, bytes, 10 * MIB);
        store_reopen(s);
        (void)store_gc(s);
        assert_holds(s, &b, bytes, 10 * MIB);
        store_assert_clean(s);
        free(bytes);
}

/* Puts the store as it is on disk now in place of what it is when it has been closed, as a crash would leave it. */
static void crash(struct store *s)
{
        char command[5 * TEMPDIR_MAX];

        (void)snprintf(command, sizeof(command), "cp -a '%s/store' '%s/crashed'", s->dir, s->dir);
        assert_int_equal(system(command), 0);
        store_close(s);
        (void)snprintf(command, sizeof(command), "rm -r '%s/store' && mv '%s/crashed' '%s/store'", s->dir, s->dir,
                       s->dir);
        assert_int_equal(system(command), 0);
}

/*
 * What a crash leaves behind a segment's known end is nobody's, as far as the index knows; it is given back by a
 * collection after unnamed-days.
 */
static void test_what_a_crash_left_is_given_back_when_its_time_is_up(void **state)
{
        uint8_t *a = noise(5, 10 * MIB), *junk = noise(6, 20 * MIB);
        struct store *s = *state;
        struct blob_id id = put(s, a, 10 * MIB), other;
        struct blobstore_gc_stats stats;
        char path[2 * TEMPDIR_MAX];
        int fd;

        store_path(s, "segments/00000001.seg", path);
        fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_int_equal(write(fd, junk, 20 * MIB), 20 * MIB);
        (void)close(fd);
        store_path(s, "segments/00000007.seg", path); /* one that no row came to name */
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, junk, 20 * MIB), 20 * MIB);
        (void)close(fd);
        crash(s);

        assert_ok(store_open(s));
        other = put(s, junk, 1 * MIB);
        assert_ok(blobstore_gc(s->bs, NULL, NULL, NULL, UINT64_C(86400) * 1000000, &stats));
        assert_true(store_segment_bytes(s) >= 51 * MIB);
        store_assert_clean(s);
        (void)store_gc(s);
        assert_in_range(store_segment_bytes(s), 11 * MIB, 12 * MIB);
        assert_holds(s, &id, a, 10 * MIB);
        assert_holds(s, &other, junk, 1 * MIB);
        store_assert_clean(s);
        store_reopen(s);
        assert_holds(s, &id, a, 10 * MIB);
        store_assert_clean(s);
        free(a), free(junk);
}

/* ---- a row that is damaged ---- */

/* A count of two that had become one was none after the next removal, and the chunks were punched. */
static void test_a_damaged_count_gives_nothing_back(void **state)
{
        uint8_t *bytes = noise(60, 10 * MIB);
        struct store *s = *state;
        struct blob_id a = put(s, bytes, 10 * MIB), b = put(s, bytes, 10 * MIB);
        struct blobstore_gc_stats stats;
        char path[2 * TEMPDIR_MAX];
        sqlite3 *db;

        store_close(s);
        store_path(s, "index.db", path);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "UPDATE chunk SET refs = 1 WHERE refs = 2", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);

        assert_ok(store_open(s));
        assert_err(blob_remove(s->bs, &a), -EBADMSG);
        (void)blobstore_gc(s->bs, NULL, NULL, NULL, 0, &stats);
        assert_holds(s, &b, bytes, 10 * MIB);
        store_reopen(s); /* counted again */
        (void)store_gc(s);
        assert_holds(s, &b, bytes, 10 * MIB);
        store_assert_clean(s);
        free(bytes);
}

/* ---- an index that names what was given back ---- */

/* Nobody compares bytes before sharing: an index that is older must not be asked. */
static void test_an_older_index_names_nothing_that_is_gone(void **state)
{
        uint8_t *bytes = noise(61, 10 * MIB);
        struct store *s = *state;
        struct blob_id a = put(s, bytes, 10 * MIB), b;

        store_close(s);
        copy_index(s, "index.db", "../older");
        assert_ok(store_open(s));
        assert_ok(blob_remove(s->bs, &a));
        (void)store_gc(s);
        store_close(s);
        copy_index(s, "../older", "index.db");

        assert_ok(store_open(s));
        b = put(s, bytes, 10 * MIB);
        assert_holds(s, &b, bytes, 10 * MIB);
        (void)store_gc(s);
        store_assert_clean(s);
        free(bytes);
}

/* ---- a map that cannot be counted ---- */

/* Damages a live blob's map at AT, has the index made again, and collects: its chunks are there when it is mended. */
static void try_damage(struct store *s, uint64_t seed, long at)
{
        uint8_t *a = noise(seed, 20 * MIB), *b = noise(seed + 1, 5 * MIB);
        struct blob_id a_id = put(s, a, 20 * MIB), b_id = put(s, b, 5 * MIB);

        store_close(s);
        flip(s, &a_id, at);
        drop_index(s);
        assert_ok(store_open(s));
        (void)store_gc(s);
        assert_ok(blob_remove(s->bs, &b_id)); /* and so has every reason to */
        (void)store_gc(s);
        store_close(s);
        flip(s, &a_id, at);
        assert_ok(store_open(s));
        (void)store_gc(s);
        assert_holds(s, &a_id, a, 20 * MIB);
        store_reopen(s);
        (void)store_gc(s);
        assert_holds(s, &a_id, a, 20 * MIB);
        store_assert_clean(s);
        assert_in_range(store_segment_bytes(s), 20 * MIB, 21 * MIB); /* and the other's space came back */
        assert_ok(blob_remove(s->bs, &a_id));
        (void)store_gc(s);
        assert_in_range(store_segment_bytes(s), 0, 1 * MIB);
        free(a), free(b);
}

static void test_a_damaged_map_costs_no_chunk(void **state)
{
        static const long places[] = { 0, 100, 4096 + 200, -3 }; /* magic, header, a page, the table */

        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
                try_damage(*state, 10 + 2 * i, places[i]);
}

/* Who removes what is damaged has said that it may go: then space comes back again. */
static void test_the_damaged_blob_removed_lets_space_return(void **state)
{
        uint8_t *a = noise(30, 20 * MIB), *b = noise(31, 5 * MIB);
        struct store *s = *state;
        struct blob_id a_id = put(s, a, 20 * MIB), b_id = put(s, b, 5 * MIB);

        store_close(s);
        flip(s, &a_id, 100);
        drop_index(s);
        assert_ok(store_open(s));
        assert_ok(blob_remove(s->bs, &a_id));
        assert_int_equal(store_gc(s).blobs_kept, 0); /* all that can be done is */
        store_reopen(s);
        (void)store_gc(s);
        assert_in_range(store_segment_bytes(s), 5 * MIB, 6 * MIB);
        assert_holds(s, &b_id, b, 5 * MIB);
        store_assert_clean(s);
        free(a), free(b);
}

/* ---- an unreadable sector ---- */

/* Every later collection failed, and no space came back. */
static void test_a_map_that_cannot_be_read_stops_nobody_else(void **state)
{
        uint8_t *a = noise(40, 5 * MIB), *b = noise(41, 20 * MIB), *c = noise(42, 5 * MIB);
        struct store *s = *state;
        struct blob_id a_id = put(s, a, 5 * MIB), b_id = put(s, b, 20 * MIB), c_id = put(s, c, 5 * MIB);

        hex_of(&a_id, unreadable);
        assert_ok(blob_remove(s->bs, &a_id)); /* as far as it goes: it is dead */
        assert_ok(blob_remove(s->bs, &b_id));
        (void)store_gc(s);
        assert_in_range(store_segment_bytes(s), 10 * MIB, 11 * MIB);
        unreadable[0] = '\0';
        (void)store_gc(s);
        assert_in_range(store_segment_bytes(s), 5 * MIB, 6 * MIB);
        assert_holds(s, &c_id, c, 5 * MIB);
        free(a), free(b), free(c);
}

/* The store did not open. */
static void test_a_map_that_cannot_be_read_keeps_no_store_closed(void **state)
{
        uint8_t *a = noise(50, 5 * MIB), *b = noise(51, 5 * MIB);
        struct store *s = *state;
        struct blob_id a_id = put(s, a, 5 * MIB), b_id = put(s, b, 5 * MIB);

        store_close(s);
        drop_index(s);
        hex_of(&a_id, unreadable);
        assert_ok(store_open(s));
        assert_holds(s, &b_id, b, 5 * MIB);
        (void)store_gc(s);
        store_close(s);
        unreadable[0] = '\0';
        assert_ok(store_open(s));
        (void)store_gc(s);
        assert_holds(s, &a_id, a, 5 * MIB);
        assert_holds(s, &b_id, b, 5 * MIB);
        store_assert_clean(s);
        free(a), free(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_an_older_index_takes_nothing_from_newer_blobs),
                TEST(test_an_older_index_does_not_count_what_is_shared),
                TEST(test_what_a_crash_left_is_given_back_when_its_time_is_up),
                TEST(test_a_damaged_count_gives_nothing_back),
                TEST(test_an_older_index_names_nothing_that_is_gone),
                TEST(test_a_damaged_map_costs_no_chunk),
                TEST(test_the_damaged_blob_removed_lets_space_return),
                TEST(test_a_map_that_cannot_be_read_stops_nobody_else),
                TEST(test_a_map_that_cannot_be_read_keeps_no_store_closed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
