/* SPDX-License-Identifier: MIT */

#include "blobstore/blobstore.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sqlite3.h>
#include <unistd.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MIB (UINT64_C(1) << 20)
#define BLOCK ((size_t)4096)

struct findings {
        int count[4];
        struct blob_id last; /* of those that concern a blob */
};

static void note(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        struct findings *f = ctx;

        assert_non_null(text);
        f->count[kind]++;
        if (id)
                f->last = *id;
}

/* Opens the store for looking only, and checks it. */
static struct findings check(struct store *s, bool read_data)
{
        struct blobstore_opts opts = { .read_only = true };
        struct findings f = { 0 };
        char path[2 * TEMPDIR_MAX];
        struct blobstore *bs;
        int n;

        store_close(s);
        store_path(s, "", path);
        assert_ok(blobstore_open(path, &opts, &bs));
        n = blobstore_check(bs, read_data, note, &f);
        assert_int_equal(n, f.count[0] + f.count[1] + f.count[2] + f.count[3]);
        blobstore_close(bs);
        return f;
}

static struct blob_id store_image(struct store *s, uint64_t seed)
{
        uint8_t *bytes = image_make(seed, 4 * MIB);
        struct blob *b = image_store(s, bytes, 4 * MIB);
        struct blob_id id = *blob_get_id(b);

        blob_close(b);
        free(bytes);
        return id;
}

static void map_file(const struct store *s, const struct blob_id *id, char ret[2 * TEMPDIR_MAX])
{
        char name[64];
        int n = snprintf(name, sizeof(name), "maps/%02x/", id->bytes[0]);

        for (size_t i = 0; i < BLOB_ID_SIZE; i++)
                n += snprintf(name + n, sizeof(name) - (size_t)n, "%02x", id->bytes[i]);
        store_path(s, name, ret);
}

static void sql(const struct store *s, const char *text)
{
        char path[2 * TEMPDIR_MAX];
        sqlite3 *db;

        store_path(s, "index.db", path);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_sound_store_has_no_problems(void **state)
{
        static const struct findings none;
        struct store *s = *state;
        struct findings f;

        (void)store_image(s, 1);
        (void)store_image(s, 2);
        f = check(s, true);
        assert_memory_equal(&f, &none, sizeof(none));
}

static void test_missing_map_is_told_with_its_blob(void **state)
{
        struct store *s = *state;
        struct blob_id id = store_image(s, 1);
        char path[2 * TEMPDIR_MAX];
        struct findings f;

        (void)store_image(s, 2);
        map_file(s, &id, path);
        assert_ok(unlink(path));
        f = check(s, false);
        assert_int_equal(f.count[BLOBSTORE_PROBLEM_MAP], 1);
        assert_memory_equal(&f.last, &id, sizeof(id));
}

static void test_damaged_map_is_told_with_its_blob(void **state)
{
        struct store *s = *state;
        struct blob_id id = store_image(s, 1);
        char path[2 * TEMPDIR_MAX];
        struct findings f;

        map_file(s, &id, path);
        assert_ok(truncate(path, 5000));
        f = check(s, false);
        assert_int_equal(f.count[BLOBSTORE_PROBLEM_MAP], 1);
        assert_memory_equal(&f.last, &id, sizeof(id));
}

static void test_damaged_chunk_is_told_for_each_blob_that_has_it(void **state)
{
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];
        struct findings f;
        int fd;

        (void)store_image(s, 1);
        (void)store_image(s, 1);
        store_path(s, "segments/00000001.seg", path);
        fd = open(path, O_WRONLY);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "xxxxxxxx", 8, 3000), 8);
        (void)close(fd);
        f = check(s, false);
        assert_int_equal(f.count[BLOBSTORE_PROBLEM_CHUNK], 0);
        f = check(s, true);
        assert_int_equal(f.count[BLOBSTORE_PROBLEM_CHUNK], 2);
}

/* It lies in a page that the second borrows of the first. */
static void test_damaged_chunk_is_told_for_who_borrows_it(void **state)
{
        static const size_t same = 2 * MIB; /* of noise: more than a page of its chunks */
        struct store *s = *state;
        struct blob_share_stats stats;
        struct blob_writer *w;
        struct blob *from, *b;
        char path[2 * TEMPDIR_MAX];
        struct findings f;
        uint64_t seed = 3;
        uint8_t *bytes = malloc(same);
        int fd;

        assert_non_null(bytes);
        random_fill(&seed, bytes, same);
        for (size_t at = BLOCK; at < same; at += 2 * BLOCK) /* each of the others is a chunk */
                memset(bytes + at, 0, BLOCK);
        from = image_store(s, bytes, same);
        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_share(w, from, 0, same, &stats));
        assert_ok(blob_writer_append(w, bytes, BLOCK));
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        blob_close(from);
        blob_close(b);
        free(bytes);
        store_path(s, "segments/00000001.seg", path);
        fd = open(path, O_WRONLY);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "xxxxxxxx", 8, 10 * BLOCK), 8);
        (void)close(fd);
        f = check(s, true);
        assert_int_equal(f.count[BLOBSTORE_PROBLEM_CHUNK], 2);
        assert_int_equal(f.count[BLOBSTORE_PROBLEM_MAP], 0);
}

static void test_missing_segment_needs_no_reading(void **state)
{
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];

        (void)store_image(s, 1);
        store_path(s, "segments/00000001.seg", path);
        assert_ok(unlink(path));
        assert_int_equal(check(s, false).count[BLOBSTORE_PROBLEM_CHUNK], 1);
}

static void test_miscounted_index_is_told(void **state)
{
        static const char *const harm[] = {
                "UPDATE chunk SET refs = refs + 1 WHERE place = (SELECT min(place) FROM chunk)",
                "DELETE FROM chunk WHERE place = (SELECT min(place) FROM chunk)",
                "UPDATE chunk SET hash = hash + 1 WHERE place = (SELECT min(place) FROM chunk)",
                "UPDATE total SET blobs = blobs + 1",
                "UPDATE blob SET retained = retained - 1",
        };
        struct store *s = *state;

        for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
                if (!s->bs)
                        assert_ok(store_open(s));
                (void)store_image(s, i);
                store_close(s);
                sql(s, harm[i]);
                assert_true(check(s, false).count[BLOBSTORE_PROBLEM_INDEX] >= 1);
                sql(s, "PRAGMA user_version = 0"); /* and have it made again */
        }
        assert_ok(store_open(s));
}

static void test_strange_files_are_told(void **state)
{
        static const char *const names[] = { "maps/readme", "maps/ab", "segments/00000000.seg" };
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];

        (void)store_image(s, 1);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                store_path(s, names[i], path);
                if (access(path, F_OK) == 0)
                        continue; /* a directory that the image needs */
                (void)close(open(path, O_WRONLY | O_CREAT, 0600));
                assert_int_equal(check(s, false).count[BLOBSTORE_PROBLEM_ORPHAN], 1);
                assert_ok(unlink(path));
        }
}

static void test_missing_index_is_told_and_maps_are_checked_nevertheless(void **state)
{
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];
        struct findings f;

        (void)store_image(s, 1);
        store_close(s);
        store_path(s, "index.db", path);
        assert_ok(unlink(path));
        store_path(s, "segments/00000001.seg", path);
        assert_ok(truncate(path, 5000));
        f = check(s, false);
        assert_int_equal(f.count[BLOBSTORE_PROBLEM_INDEX], 1);
        assert_int_equal(f.count[BLOBSTORE_PROBLEM_CHUNK], 1);
}

static void test_removed_and_unused_things_are_no_problem(void **state)
{
        struct store *s = *state;
        struct blob_id id = store_image(s, 1);
        struct blob *b;

        assert_ok(blob_open(s->bs, &id, &b));
        assert_ok(blob_remove(s->bs, &id));
        store_assert_clean(s);
        blob_close(b);
        store_assert_clean(s);
        assert_int_equal(check(s, true).count[BLOBSTORE_PROBLEM_ORPHAN], 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
        const struct CMUnitTest tests[] = {
                T(test_sound_store_has_no_problems),
                T(test_missing_map_is_told_with_its_blob),
                T(test_damaged_map_is_told_with_its_blob),
                T(test_damaged_chunk_is_told_for_each_blob_that_has_it),
                T(test_damaged_chunk_is_told_for_who_borrows_it),
                T(test_missing_segment_needs_no_reading),
                T(test_miscounted_index_is_told),
                T(test_strange_files_are_told),
                T(test_missing_index_is_told_and_maps_are_checked_nevertheless),
                T(test_removed_and_unused_things_are_no_problem),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
