/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/chunker.h"

#include <stdlib.h>

#include "blobstore/base/block.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

static void test_zero_block_found_and_any_other_byte_seen(void **state)
{
        uint8_t block[BLOB_BLOCK_SIZE] = { 0 };

        (void)state;
        assert_true(block_is_zero(block, sizeof(block)));
        for (size_t i = 0; i < sizeof(block); i++) {
                block[i] = 1;
                assert_false(block_is_zero(block, sizeof(block)));
                block[i] = 0;
        }
}

static void test_short_blocks_are_looked_at_to_their_end_and_no_further(void **state)
{
        uint8_t block[64] = { 0 };

        (void)state;
        for (size_t n = 1; n < sizeof(block); n++) {
                block[n] = 1;
                assert_true(block_is_zero(block, n));
                assert_false(block_is_zero(block, n + 1));
                block[n] = 0;
        }
}

static unsigned blocks_until_cut(struct chunker *c, const uint8_t *block)
{
        unsigned n = 1;

        while (!chunker_add(c, block, BLOB_BLOCK_SIZE))
                n++;
        return n;
}

static void test_same_block_never_cutting_ends_at_the_maximum(void **state)
{
        uint8_t block[BLOB_BLOCK_SIZE];
        struct chunker c = { 0 };
        uint64_t seed = 1;
        unsigned n;

        (void)state;
        do { /* one that ends at the minimum is picked, and so is each other of it */
                random_fill(&seed, block, sizeof(block));
                chunker_reset(&c);
                n = blocks_until_cut(&c, block);
        } while (n == CHUNK_BLOCKS_MIN);
        assert_int_equal(n, CHUNK_BLOCKS_MAX);
        assert_int_equal(blocks_until_cut(&c, block), CHUNK_BLOCKS_MAX);
}

/* Of what no file ends in: the minimum, and then one in sixteen, were there no maximum. */
static void test_average_is_about_the_minimum_and_sixteen_blocks(void **state)
{
        uint8_t block[BLOB_BLOCK_SIZE];
        struct chunker c = { 0 };
        uint64_t seed = 2;
        unsigned cuts = 0;

        (void)state;
        for (int i = 0; i < 16000; i++) {
                random_fill(&seed, block, sizeof(block));
                cuts += chunker_add(&c, block, sizeof(block));
        }
        assert_in_range(cuts, 640, 780);
}

static void test_a_files_last_block_ends_a_chunk_behind_the_minimum(void **state)
{
        uint8_t last[BLOB_BLOCK_SIZE];
        struct chunker c = { 0 };
        uint64_t seed = 4;

        (void)state;
        for (size_t zeros = 0; zeros <= 64; zeros += 16) {
                do {
                        random_fill(&seed, last, sizeof(last));
                        last[sizeof(last) - zeros - 1] = 1;
                        memset(last + sizeof(last) - zeros, 0, zeros);
                        chunker_reset(&c);
                } while (zeros < 64 && blocks_until_cut(&c, last) == CHUNK_BLOCKS_MIN); /* picked by its hash */
                chunker_reset(&c);
                assert_int_equal(blocks_until_cut(&c, last), zeros < 64 ? CHUNK_BLOCKS_MAX : CHUNK_BLOCKS_MIN);
        }
}

/* A blob's last block may be short: its zeros say nothing, and nothing before it is looked at. */
static void test_a_short_block_is_no_files_end(void **state)
{
        uint8_t block[BLOB_BLOCK_SIZE] = { 0 };
        unsigned cuts = 0;

        (void)state;
        for (block[0] = 1; block[0] < 200; block[0]++) {
                struct chunker c = { .blocks = CHUNK_BLOCKS_MIN };

                cuts += chunker_add(&c, block, 63);
        }
        assert_in_range(cuts, 1, 40); /* picked by their hash */
}

static void test_cuts_are_found_again_after_an_insertion(void **state)
{
        struct chunker a = { 0 }, b = { 0 };
        uint8_t block[BLOB_BLOCK_SIZE];
        uint64_t seed = 3;
        bool met = false;
        int same = 0;

        (void)state;
        random_fill(&seed, block, sizeof(block));
        (void)chunker_add(&b, block, sizeof(block));
        for (int i = 0; i < 2000; i++) {
                bool cut_a, cut_b;

                random_fill(&seed, block, sizeof(block));
                cut_a = chunker_add(&a, block, sizeof(block));
                cut_b = chunker_add(&b, block, sizeof(block));
                if (met)
                        assert_int_equal(cut_a, cut_b);
                met |= cut_a && cut_b;
                same += cut_a && cut_b;
        }
        assert_true(same > 80);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_zero_block_found_and_any_other_byte_seen),
                cmocka_unit_test(test_short_blocks_are_looked_at_to_their_end_and_no_further),
                cmocka_unit_test(test_same_block_never_cutting_ends_at_the_maximum),
                cmocka_unit_test(test_average_is_about_the_minimum_and_sixteen_blocks),
                cmocka_unit_test(test_a_files_last_block_ends_a_chunk_behind_the_minimum),
                cmocka_unit_test(test_a_short_block_is_no_files_end),
                cmocka_unit_test(test_cuts_are_found_again_after_an_insertion),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
