/* SPDX-License-Identifier: MIT */
/* Chunks that have some blocks in common are stored as what differs, and the first of them stays as long as one needs
 * it. */

#include "blobstore/chunks/similar.h"

#include <stdlib.h>
#include <string.h>

#include "blobstore/blobstore.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MIB (UINT64_C(1) << 20)
#define BYTES (8 * MIB)

/* Noise, and the same with every eighth block another one. */
static void make_two(uint8_t **ret_a, uint8_t **ret_b)
{
        uint64_t seed = 1;

        *ret_a = malloc(BYTES);
        *ret_b = malloc(BYTES);
        assert_true(*ret_a && *ret_b);
        random_fill(&seed, *ret_a, BYTES);
        memcpy(*ret_b, *ret_a, BYTES);
        for (size_t at = 3 * BLOB_BLOCK_SIZE; at < BYTES; at += 8 * BLOB_BLOCK_SIZE)
                random_fill(&seed, *ret_b + at, BLOB_BLOCK_SIZE);
}

static void test_same_blocks_are_picked_wherever_they_lie(void **state)
{
        struct chunk_features a, b;
        uint8_t *x, *y;
        unsigned n = 0;

        (void)state;
        make_two(&x, &y);
        chunk_features_of(x, 64 * BLOB_BLOCK_SIZE, &a);
        assert_in_range(a.n, 4, CHUNK_FEATURES_MAX);
        chunk_features_of(x + 5 * BLOB_BLOCK_SIZE, 59 * BLOB_BLOCK_SIZE, &b);
        for (unsigned i = 0; i < a.n; i++)
                for (unsigned j = 0; j < b.n; j++)
                        n += a.block[i] == b.block[j];
        assert_true(n + 5 >= b.n && n > 0);

        /* One block again and again is one feature, where it is picked at all. */
        a.n = 0;
        for (int byte = 1; a.n == 0; byte++) {
                memset(x, byte, 8 * BLOB_BLOCK_SIZE);
                chunk_features_of(x, BLOB_BLOCK_SIZE, &a);
        }
        chunk_features_of(x, 8 * BLOB_BLOCK_SIZE, &a);
        assert_int_equal(a.n, 1);
        chunk_features_of(x, BLOB_BLOCK_SIZE - 1, &a);
        assert_int_equal(a.n, 0);
        free(x);
        free(y);
}

static void test_similar_chunks_are_stored_as_what_differs(void **state)
{
        struct store *s = *state;
        struct blob *a, *b;
        struct blob_id id;
        uint64_t before;
        uint8_t *x, *y;

        make_two(&x, &y);
        a = image_store(s, x, BYTES);
        before = store_stats(s).stored_bytes;
        assert_true(before >= BYTES);
        b = image_store(s, y, BYTES);
        assert_true(store_stats(s).stored_bytes - before < BYTES / 3);
        image_assert_same(b, y, BYTES);
        store_assert_clean(s);

        /* What it is the base of, needs it. */
        id = *blob_get_id(a);
        blob_close(a);
        blob_close(b);
        assert_ok(blob_remove(s->bs, &id));
        (void)store_gc(s);
        store_reopen(s);
        store_assert_clean(s);
        b = image_store(s, y, BYTES);
        image_assert_same(b, y, BYTES);
        blob_close(b);
        free(x);
        free(y);
}

static bool nothing_lives(void *ctx, const struct blob_id *id)
{
        (void)ctx, (void)id;
        return false;
}

static void test_base_goes_with_the_last_that_needs_it(void **state)
{
        struct store *s = *state;
        struct blobstore_gc_stats stats;
        uint8_t *x, *y;

        make_two(&x, &y);
        blob_close(image_store(s, x, BYTES));
        blob_close(image_store(s, y, BYTES));
        (void)store_gc(s);
        assert_ok(blobstore_gc(s->bs, nothing_lives, NULL, NULL, 0, &stats));
        assert_int_equal(store_stats(s).chunks, 0);
        assert_int_equal(store_stats(s).stored_bytes, 0);
        store_reopen(s);
        (void)store_gc(s);
        assert_true(store_segment_bytes(s) <= 65536);
        store_assert_clean(s);
        free(x);
        free(y);
}

/* The index made again from segments and maps knows bases, too. */
static void test_bases_are_counted_again(void **state)
{
        struct store *s = *state;
        struct blobstore_stats before;
        char path[2 * TEMPDIR_MAX];
        struct blob *a, *b;
        struct blob_id id;
        uint8_t *x, *y;

        make_two(&x, &y);
        a = image_store(s, x, BYTES);
        id = *blob_get_id(a);
        blob_close(a);
        blob_close(image_store(s, y, BYTES));
        before = store_stats(s);
        store_close(s);
        store_path(s, "index.db", path);
        assert_int_equal(remove(path), 0);
        assert_ok(store_open(s));
        assert_int_equal(store_stats(s).stored_bytes, before.stored_bytes);
        assert_int_equal(store_stats(s).chunks, before.chunks);
        store_assert_clean(s);

        assert_ok(blob_remove(s->bs, &id));
        (void)store_gc(s);
        b = image_store(s, y, BYTES); /* found by name, and nothing new */
        assert_true(store_stats(s).stored_bytes <= before.stored_bytes);
        image_assert_same(b, y, BYTES);
        blob_close(b);
        free(x);
        free(y);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
        const struct CMUnitTest tests[] = {
                T(test_same_blocks_are_picked_wherever_they_lie),
                T(test_similar_chunks_are_stored_as_what_differs),
                T(test_base_goes_with_the_last_that_needs_it),
                T(test_bases_are_counted_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
