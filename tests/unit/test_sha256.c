/* SPDX-License-Identifier: MIT */

/*
 * SHA-256 of several messages at once, held against OpenSSL's of one. On a processor without the instructions for it
 * both are OpenSSL's.
 */

#include <stdlib.h>
#include <string.h>

#include "blobstore/hash/sha256.h"
#include "tests/lib/expect.h"

#define BYTES ((size_t)1 << 20)

static uint8_t *bytes;

static int set_up(void **state)
{
        uint64_t x = 1;

        (void)state;
        bytes = malloc(BYTES);
        assert_non_null(bytes);
        for (size_t i = 0; i < BYTES; i++) {
                x = x * 6364136223846793005 + 1442695040888963407;
                bytes[i] = (uint8_t)(x >> 56);
        }
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        free(bytes);
        return 0;
}

static void check(struct sha256_message *m, size_t n)
{
        uint8_t digest[SHA256_SIZE];

        for (size_t i = 0; i < n; i++)
                memset(m[i].digest, 0, sizeof(m[i].digest));
        assert_int_equal(sha256_all(m, n), 0);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(sha256(m[i].bytes, m[i].n, digest), 0);
                assert_memory_equal(m[i].digest, digest, SHA256_SIZE);
        }
}

/* The bit and the length go into the last block, or into one more. */
static void test_two_of_every_length(void **state)
{
        (void)state;
        for (size_t n = 0; n <= 260; n++) {
                struct sha256_message m[] = { { .bytes = bytes + 1, .n = n },
                                              { .bytes = bytes + 7, .n = (n * 37) % 261 } };

                check(m, 2);
        }
}

static void test_many_of_different_lengths(void **state)
{
        (void)state;
        for (size_t n = 0; n <= 9; n++) {
                struct sha256_message m[9];

                for (size_t i = 0; i < n; i++)
                        m[i] = (struct sha256_message){ .bytes = bytes + i,
                                                        .n = (n * 7919 + i * i * 104729) % (BYTES - 9) };
                check(m, n);
        }
}

static void test_one_that_is_much_longer(void **state)
{
        (void)state;
        for (size_t i = 0; i < 3; i++) {
                struct sha256_message m[3] = { { .bytes = bytes, .n = 100 },
                                               { .bytes = bytes, .n = 0 },
                                               { .bytes = bytes } };

                m[i].n = BYTES;
                check(m, 3);
        }
}

/* FIPS 180-4's example of two blocks. */
static void test_published_digest(void **state)
{
        static const char text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        static const uint8_t digest[SHA256_SIZE] = {
                0x24, 0x8d, 0x6a, 0x61, 0xd2, 0x06, 0x38, 0xb8, 0xe5, 0xc0, 0x26, 0x93, 0x0c, 0x3e, 0x60, 0x39,
                0xa3, 0x3c, 0xe4, 0x59, 0x64, 0xff, 0x21, 0x67, 0xf6, 0xec, 0xed, 0xd4, 0x19, 0xdb, 0x06, 0xc1,
        };
        struct sha256_message m[2] = { { .bytes = text, .n = 56 }, { .bytes = text, .n = 56 } };

        (void)state;
        assert_int_equal(sha256_all(m, 2), 0);
        assert_memory_equal(m[0].digest, digest, SHA256_SIZE);
        assert_memory_equal(m[1].digest, digest, SHA256_SIZE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_two_of_every_length),
                cmocka_unit_test(test_many_of_different_lengths),
                cmocka_unit_test(test_one_that_is_much_longer),
                cmocka_unit_test(test_published_digest),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
