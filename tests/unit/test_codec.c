/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/codec.h"

#include <stdlib.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

static struct codec *codec_borrow(struct codec_pool **ret_pool)
{
        struct codec *c;

        assert_ok(codec_pool_new(ret_pool));
        assert_ok(codec_pool_get(*ret_pool, &c));
        return c;
}

static void codec_return(struct codec_pool *pool, struct codec *c)
{
        codec_pool_put(pool, c);
        codec_pool_free(pool);
}

static void test_text_shrinks_and_comes_back(void **state)
{
        static uint8_t raw[CHUNK_SIZE_MAX], back[CHUNK_SIZE_MAX];
        struct codec_pool *pool;
        struct codec *c = codec_borrow(&pool);
        size_t len;

        (void)state;
        for (size_t i = 0; i < sizeof(raw); i++)
                raw[i] = (uint8_t)(i / 100);
        assert_ok(codec_encode(c, CODEC_FAST, raw, sizeof(raw), NULL, c->stored, &len));
        assert_true(len < sizeof(raw) / 4);
        assert_ok(codec_decode(c, c->stored, len, NULL, back, sizeof(back)));
        assert_memory_equal(raw, back, sizeof(raw));
        codec_return(pool, c);
}

static void test_noise_is_stored_as_it_is(void **state)
{
        static uint8_t raw[CHUNK_SIZE_MAX], back[CHUNK_SIZE_MAX];
        struct codec_pool *pool;
        struct codec *c = codec_borrow(&pool);
        uint64_t seed = 1;
        size_t len;

        (void)state;
        random_fill(&seed, raw, sizeof(raw));
        for (size_t n = 1; n <= sizeof(raw); n = n * 3 + 1) {
                assert_ok(codec_encode(c, CODEC_FAST, raw, n, NULL, c->stored, &len));
                assert_int_equal(len, n);
                assert_ok(codec_decode(c, raw, n, NULL, back, n));
                assert_memory_equal(raw, back, n);
        }
        codec_return(pool, c);
}

/* Sentences of few words: the nearest place with the same word is seldom that of the longest match. */
static void fill_with_sentences(uint8_t *to, size_t n)
{
        static uint8_t words[16][5], sentences[128][16][5];
        uint64_t seed = 7;
        uint8_t pick;

        random_fill(&seed, words, sizeof(words));
        for (size_t i = 0; i < 128 * 16; i++) {
                random_fill(&seed, &pick, 1);
                memcpy(sentences[i / 16][i % 16], words[pick % 16], sizeof(words[0]));
        }
        for (size_t i = 0; i + sizeof(sentences[0]) <= n; i += sizeof(sentences[0])) {
                random_fill(&seed, &pick, 1);
                memcpy(to + i, sentences[pick % 128], sizeof(sentences[0]));
        }
}

/* More work is done on a chunk where the one before was worth it, by the same codec; and what comes back is the same. */
static void test_a_chunk_is_taken_to_be_like_the_one_before(void **state)
{
        static uint8_t text[65536], noise[65536], back[65536];
        size_t first, like, after_noise, len;
        struct codec_pool *pool;
        struct codec *c = codec_borrow(&pool);
        uint64_t seed = 3;

        (void)state;
        fill_with_sentences(text, sizeof(text));
        random_fill(&seed, noise, sizeof(noise));
        assert_ok(codec_encode(c, CODEC_FAST, text, sizeof(text), NULL, c->stored, &first));
        assert_true(first < sizeof(text) * 9 / 20);
        assert_ok(codec_encode(c, CODEC_FAST, text, sizeof(text), NULL, c->stored, &like));
        assert_true(like < first);
        assert_ok(codec_decode(c, c->stored, like, NULL, back, sizeof(back)));
        assert_memory_equal(text, back, sizeof(text));

        assert_ok(codec_encode(c, CODEC_FAST, noise, sizeof(noise), NULL, c->stored, &len));
        assert_int_equal(len, sizeof(noise));
        assert_ok(codec_encode(c, CODEC_FAST, text, sizeof(text), NULL, c->stored, &after_noise));
        assert_int_equal(after_noise, first);
        codec_return(pool, c);
}

static void test_other_length_and_garbage_are_damage(void **state)
{
        static uint8_t raw[65536], back[65536];
        struct codec_pool *pool;
        struct codec *c = codec_borrow(&pool);
        size_t len;

        (void)state;
        memset(raw, 'x', sizeof(raw));
        assert_ok(codec_encode(c, CODEC_FAST, raw, sizeof(raw), NULL, c->stored, &len));
        assert_err(codec_decode(c, c->stored, len, NULL, back, sizeof(back) - 1), -EBADMSG);
        assert_err(codec_decode(c, c->stored, len - 1, NULL, back, sizeof(back)), -EBADMSG);
        c->stored[0] ^= 1;
        assert_err(codec_decode(c, c->stored, len, NULL, back, sizeof(back)), -EBADMSG);
        codec_return(pool, c);
}

static void test_chunk_like_another_is_stored_as_the_difference(void **state)
{
        static uint8_t base_bytes[65536], raw[65536], back[65536];
        struct codec_base base = { .place = 12345678901, .raw_len = sizeof(base_bytes), .stored_len = 777 }, found;
        struct codec_pool *pool;
        struct codec *c = codec_borrow(&pool);
        uint64_t seed = 2;
        size_t len;

        (void)state;
        random_fill(&seed, base_bytes, sizeof(base_bytes));
        random_fill(&seed, raw, sizeof(raw));
        memcpy(raw + 8192, base_bytes + 20480, 40960);
        base.bytes = base_bytes;
        base.hash = codec_base_hash(base_bytes, sizeof(base_bytes));
        for (enum codec_effort effort = CODEC_FAST; effort < CODEC_EFFORTS; effort++) {
                assert_ok(codec_encode(c, effort, raw, sizeof(raw), &base, c->stored, &len));
                assert_true(len < sizeof(raw) - 40960 + 512);
                assert_true(codec_get_base(c->stored, len, sizeof(raw), &found));
                assert_int_equal(found.place, base.place);
                assert_int_equal(found.raw_len, base.raw_len);
                assert_int_equal(found.stored_len, base.stored_len);
                assert_int_equal(found.hash, base.hash);
                found.bytes = base_bytes;
                assert_ok(codec_decode(c, c->stored, len, &found, back, sizeof(back)));
                assert_memory_equal(raw, back, sizeof(raw));

                /* Without its base, or with another, it is nothing. */
                assert_err(codec_decode(c, c->stored, len, NULL, back, sizeof(back)), -EBADMSG);
                found.bytes = raw;
                if (codec_decode(c, c->stored, len, &found, back, sizeof(back)) == 0)
                        assert_memory_not_equal(raw, back, sizeof(raw));
        }

        /* What no base makes shorter has none. */
        random_fill(&seed, raw, sizeof(raw));
        assert_ok(codec_encode(c, CODEC_FAST, raw, sizeof(raw), &base, c->stored, &len));
        assert_int_equal(len, sizeof(raw));
        assert_false(codec_get_base(raw, len, sizeof(raw), &found));
        codec_return(pool, c);
}

static void test_pool_gives_the_same_codec_again(void **state)
{
        struct codec_pool *pool;
        struct codec *a = codec_borrow(&pool), *b, *again;

        (void)state;
        assert_ok(codec_pool_get(pool, &b));
        assert_ptr_not_equal(a, b);
        codec_pool_put(pool, b);
        assert_ok(codec_pool_get(pool, &again));
        assert_ptr_equal(again, b);
        codec_pool_put(pool, again);
        codec_return(pool, a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_shrinks_and_comes_back),
                cmocka_unit_test(test_noise_is_stored_as_it_is),
                cmocka_unit_test(test_a_chunk_is_taken_to_be_like_the_one_before),
                cmocka_unit_test(test_other_length_and_garbage_are_damage),
                cmocka_unit_test(test_chunk_like_another_is_stored_as_the_difference),
                cmocka_unit_test(test_pool_gives_the_same_codec_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
