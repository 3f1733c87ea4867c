/* SPDX-License-Identifier: MIT */

#include "blobstore/hash/checksum.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MOST (64 << 10)

/* Bytes, zeros and bytes again, the zeros added as such or as bytes. */
static void sum_up(const uint8_t *bytes, size_t before, size_t zeros, size_t after, bool as_bytes,
                   uint8_t ret[HASH128_SIZE])
{
        struct checksum *c = checksum_new();
        uint8_t *none = calloc(1, zeros + 1);

        assert_non_null(c);
        assert_non_null(none);
        checksum_add(c, bytes, before);
        if (as_bytes)
                checksum_add(c, none, zeros);
        else
                checksum_add_zeros(c, zeros);
        checksum_add(c, bytes, after);
        checksum_get(c, ret);
        checksum_free(c);
        free(none);
}

static void check_zeros(const uint8_t *bytes, size_t before, size_t zeros, size_t after)
{
        uint8_t as_bytes[HASH128_SIZE], as_zeros[HASH128_SIZE];

        sum_up(bytes, before, zeros, after, true, as_bytes);
        sum_up(bytes, before, zeros, after, false, as_zeros);
        if (memcmp(as_bytes, as_zeros, sizeof(as_bytes)) != 0)
                fail_msg("%zu bytes, %zu zeros, %zu bytes", before, zeros, after);
}

/* Zeros are skipped by what is known of the hash's inside: wherever in its blocks and buffers they begin and end. */
static void test_zeros_sum_up_as_bytes_of_zero_do(void **state)
{
        uint8_t *bytes = malloc(MOST);
        uint64_t seed = 7;

        (void)state;
        assert_non_null(bytes);
        random_fill(&seed, bytes, MOST);
        for (size_t before = 0; before < 2100; before += before < 300 ? 1 : 61)
                check_zeros(bytes, before, 4096 + 1024 + before % 7, before % 300);
        for (size_t zeros = 0; zeros < 9000; zeros += 13)
                check_zeros(bytes, zeros * 5 % 1500, zeros, zeros % 2);
        for (int i = 0; i < 500; i++)
                check_zeros(bytes, random_next(&seed) % MOST, random_next(&seed) % (1 << 20),
                            random_next(&seed) % MOST);
        free(bytes);
}

static void test_zeros_are_added_one_after_the_other(void **state)
{
        struct checksum *twice = checksum_new(), *once = checksum_new();
        uint8_t a[HASH128_SIZE], b[HASH128_SIZE];

        (void)state;
        assert_true(twice && once);
        checksum_add_zeros(twice, 100000);
        checksum_add_zeros(twice, 12345678901);
        checksum_add_zeros(once, 12345778901);
        checksum_get(twice, a);
        checksum_get(once, b);
        assert_memory_equal(a, b, sizeof(a));
        checksum_free(twice);
        checksum_free(once);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_zeros_sum_up_as_bytes_of_zero_do),
                cmocka_unit_test(test_zeros_are_added_one_after_the_other),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
