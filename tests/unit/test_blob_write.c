/* SPDX-License-Identifier: MIT */

#include "blobstore/blobstore.h"

#include <stdlib.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MIB (UINT64_C(1) << 20)

static void test_round_trip_of_many_sizes(void **state)
{
        static const size_t sizes[] = { 0, 1, 511, 4095, 4096, 4097, 65536, 262144, 262145, 1000003, 3 * MIB, 5 * MIB + 777 };
        struct store *s = *state;

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                uint8_t *bytes = image_make(i, sizes[i]);
                struct blob *b = image_store(s, bytes, sizes[i]), *again;
                struct blob_id id = *blob_get_id(b);

                image_assert_same(b, bytes, sizes[i]);
                blob_close(b);
                store_reopen(s);
                assert_ok(blob_open(s->bs, &id, &again));
                image_assert_same(again, bytes, sizes[i]);
                blob_close(again);
                free(bytes);
        }
}

static void test_holes_of_any_length_are_zeros_appended(void **state)
{
        struct store *s = *state;
        uint64_t seed = 42;

        for (int round = 0; round < 20; round++) {
                uint8_t *bytes = calloc(1, 4 * MIB);
                struct blob_writer *w;
                struct blob *b;
                size_t n = 0, part;

                assert_non_null(bytes);
                assert_ok(blob_writer_new(s->bs, &w));
                while (n < 3 * MIB) {
                        part = random_next(&seed) % (random_next(&seed) % 2 ? 10000 : 200000);
                        if (random_next(&seed) % 2) {
                                assert_ok(blob_writer_hole(w, part));
                        } else {
                                if (random_next(&seed) % 3)
                                        random_fill(&seed, bytes + n, part);
                                assert_ok(blob_writer_append(w, bytes + n, part));
                        }
                        n += part;
                }
                assert_ok(blob_writer_commit(w, &b));
                blob_writer_free(w);
                image_assert_same(b, bytes, n);
                blob_close(b);
                free(bytes);
        }
}

static void test_blocks_of_zeros_are_not_stored(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = calloc(1, 2 * MIB);
        struct blob *b;

        assert_non_null(bytes);
        bytes[MIB + 5] = 1;
        b = image_store(s, bytes, 2 * MIB);
        assert_int_equal(blob_get_info(b)->data_bytes, 4096);
        assert_int_equal(store_stats(s).logical_bytes, 4096);
        image_assert_same(b, bytes, 2 * MIB);
        blob_close(b);
        free(bytes);
}

static void test_huge_hole_is_a_map_of_nothing(void **state)
{
        struct store *s = *state;
        struct blob_writer *w;
        struct blob *b;
        uint64_t pos;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_hole(w, UINT64_C(8) << 30));
        assert_ok(blob_writer_append(w, "x", 1));
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        assert_int_equal(blob_get_info(b)->data_bytes, 1);
        assert_ok(blob_seek(b, 5, SEEK_DATA, &pos));
        assert_int_equal(pos, UINT64_C(8) << 30);
        assert_err(blob_seek(b, pos + 1, SEEK_DATA, &pos), -ENXIO);
        blob_close(b);
}

static void test_more_than_the_limit_is_refused_for_good(void **state)
{
        struct store *s = *state;
        struct blob_writer *w;
        struct blob *b;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_append(w, "x", 1));
        assert_ok(blob_writer_hole(w, BLOB_SIZE_MAX - 2));
        assert_ok(blob_writer_append(w, "x", 1));
        assert_err(blob_writer_hole(w, 1), -EFBIG);
        assert_err(blob_writer_append(w, "x", 1), -EFBIG);
        assert_err(blob_writer_commit(w, &b), -EFBIG);
        blob_writer_free(w);
}

static void test_same_image_twice_is_stored_once(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(7, 6 * MIB);
        struct blob *a = image_store(s, bytes, 6 * MIB), *b;
        struct blobstore_stats one = store_stats(s), two;

        b = image_store(s, bytes, 6 * MIB);
        two = store_stats(s);
        assert_int_equal(two.blobs, 2);
        assert_int_equal(two.chunks, one.chunks);
        assert_int_equal(two.stored_bytes, one.stored_bytes);
        assert_int_equal(two.logical_bytes, 2 * one.logical_bytes);
        assert_memory_not_equal(blob_get_id(a)->bytes, blob_get_id(b)->bytes, BLOB_ID_SIZE);
        image_assert_same(b, bytes, 6 * MIB);
        blob_close(a);
        blob_close(b);
        free(bytes);
}

static void test_related_image_shares_all_but_what_changed(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(8, 8 * MIB);
        struct blob *a = image_store(s, bytes, 8 * MIB), *b;
        struct blobstore_stats one = store_stats(s), two;
        uint64_t seed = 9;

        random_fill(&seed, bytes + 3 * MIB, 4096);
        random_fill(&seed, bytes + 6 * MIB + 100, 4096);
        b = image_store(s, bytes, 8 * MIB);
        two = store_stats(s);
        assert_true(two.unique_bytes - one.unique_bytes <= 1024 * 1024);
        assert_true(two.unique_bytes > one.unique_bytes);
        image_assert_same(b, bytes, 8 * MIB);
        blob_close(a);
        blob_close(b);
        free(bytes);
}

static void test_one_chunk_repeated_is_stored_once(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = malloc(4 * MIB);
        uint64_t seed = 10;
        struct blob *b;

        assert_non_null(bytes);
        random_fill(&seed, bytes, 4096);
        for (size_t i = 4096; i < 4 * MIB; i += 4096)
                memcpy(bytes + i, bytes, 4096);
        b = image_store(s, bytes, 4 * MIB);
        assert_int_equal(store_stats(s).chunks, 1);
        image_assert_same(b, bytes, 4 * MIB);
        blob_close(b);
        free(bytes);
}

static void test_nothing_is_left_of_a_writer_that_gave_up(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(11, 4 * MIB);
        struct blob_writer *w;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_append(w, bytes, 4 * MIB));
        blob_writer_free(w);
        assert_int_equal(store_stats(s).blobs, 0);
        (void)store_gc(s);
        assert_int_equal(store_stats(s).chunks, 0);
        assert_true(store_segment_bytes(s) <= 3 * 8192);
        free(bytes);
}

static void test_writer_finds_what_one_that_gives_up_has_written(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(12, 4 * MIB);
        struct blob_writer *a, *b;
        struct blob *blob;

        assert_ok(blob_writer_new(s->bs, &a));
        assert_ok(blob_writer_new(s->bs, &b));
        for (size_t i = 0; i < 4 * MIB; i += MIB / 2) {
                assert_ok(blob_writer_append(a, bytes + i, MIB / 2));
                assert_ok(blob_writer_append(b, bytes + i, MIB / 2));
        }
        blob_writer_free(a);
        (void)store_gc(s);
        assert_ok(blob_writer_commit(b, &blob));
        blob_writer_free(b);
        (void)store_gc(s);
        image_assert_same(blob, bytes, 4 * MIB);
        blob_close(blob);
        free(bytes);
}

/* Where no chunk came yet, the renewed one's own checksum was lost, in memory. */
static void test_writer_with_nothing_but_holes_is_renewed(void **state)
{
        const size_t size = 3 * MIB + 777;
        uint8_t *bytes = calloc(1, size);
        struct store *s = *state;
        struct blob_writer *w;
        struct blob *b;

        assert_non_null(bytes);
        bytes[size - 1] = 'x';
        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_renew(&w));
        assert_ok(blob_writer_hole(w, MIB));
        assert_ok(blob_writer_renew(&w));
        assert_ok(blob_writer_append(w, bytes, MIB + 5)); /* a part of a block, too */
        assert_ok(blob_writer_renew(&w));
        assert_ok(blob_writer_append(w, bytes + 2 * MIB + 5, size - 2 * MIB - 5));
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        image_assert_same(b, bytes, size); /* and its checksum is theirs */
        blob_close(b);
        (void)store_gc(s);
        assert_int_equal(store_stats(s).blobs, 1);
        free(bytes);
}

static void test_committed_writer_is_used_up(void **state)
{
        struct store *s = *state;
        struct blob_writer *w;
        struct blob *b, *other;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_commit(w, &b));
        assert_err(blob_writer_append(w, "x", 1), -EINVAL);
        assert_err(blob_writer_commit(w, &other), -EINVAL);
        blob_writer_free(w);
        assert_int_equal(blob_get_info(b)->size_bytes, 0);
        blob_close(b);
}

static void test_image_larger_than_a_segment(void **state)
{
        struct store *s = *state;
        size_t n = 150 * MIB;
        uint8_t *bytes = malloc(n);
        uint64_t seed = 13;
        struct blob *b;

        assert_non_null(bytes);
        random_fill(&seed, bytes, n);
        b = image_store(s, bytes, n);
        image_assert_same(b, bytes, n);
        blob_close(b);
        free(bytes);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
        const struct CMUnitTest tests[] = {
                T(test_round_trip_of_many_sizes),
                T(test_holes_of_any_length_are_zeros_appended),
                T(test_blocks_of_zeros_are_not_stored),
                T(test_huge_hole_is_a_map_of_nothing),
                T(test_more_than_the_limit_is_refused_for_good),
                T(test_same_image_twice_is_stored_once),
                T(test_related_image_shares_all_but_what_changed),
                T(test_one_chunk_repeated_is_stored_once),
                T(test_nothing_is_left_of_a_writer_that_gave_up),
                T(test_writer_finds_what_one_that_gives_up_has_written),
                T(test_writer_with_nothing_but_holes_is_renewed),
                T(test_committed_writer_is_used_up),
                T(test_image_larger_than_a_segment),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
