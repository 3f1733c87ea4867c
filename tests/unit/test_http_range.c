/* SPDX-License-Identifier: MIT */

/* Ranges and tags as clients write them, well or badly. */

#include "tests/lib/expect.h"

#include "fs/http/http_range.h"

static void assert_range(const char *text, uint64_t size, uint64_t begin, uint64_t len)
{
        struct http_range range;

        assert_err(http_range_parse(text, size, &range), 1);
        assert_int_equal(range.begin, begin);
        assert_int_equal(range.len, len);
}

static void assert_no_range(const char *text, uint64_t size, int wanted)
{
        struct http_range range = { 7, 7 };

        assert_err(http_range_parse(text, size, &range), wanted);
        assert_int_equal(range.begin, 7);
        assert_int_equal(range.len, 7);
}

static void test_one_range_is_taken(void **state)
{
        (void)state;
        assert_range("bytes=0-0", 100, 0, 1);
        assert_range("bytes=0-99", 100, 0, 100);
        assert_range("bytes=10-", 100, 10, 90);
        assert_range("bytes=99-", 100, 99, 1);
        assert_range("Bytes= 5-6 ", 100, 5, 2);
        assert_range("bytes=50-18446744073709551615", 100, 50, 50);
        assert_range("bytes=0-", UINT64_C(1) << 46, 0, UINT64_C(1) << 46);
}

static void test_ends_are_counted_from_behind(void **state)
{
        (void)state;
        assert_range("bytes=-1", 100, 99, 1);
        assert_range("bytes=-100", 100, 0, 100);
        assert_range("bytes=-101", 100, 0, 100);
        assert_range("bytes=-18446744073709551615", 100, 0, 100);
}

static void test_what_lies_outside_is_out_of_range(void **state)
{
        (void)state;
        assert_no_range("bytes=100-", 100, -ERANGE);
        assert_no_range("bytes=100-200", 100, -ERANGE);
        assert_no_range("bytes=-0", 100, -ERANGE);
        assert_no_range("bytes=0-", 0, -ERANGE);
        assert_no_range("bytes=-5", 0, -ERANGE);
}

static void test_what_is_no_single_range_is_none(void **state)
{
        static const char *const texts[] = {
                "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=5-4", "bytes=0-1,3-4", "bytes=1-2x",
                "bytes=--5", "bytes=+1-2", "bytes=1 -2", "bytes=99999999999999999999-", "bytes=18446744073709551616-",
                "bytes=0-99999999999999999999", "lines=1-2", "bytes:1-2", "bytes=1--2", "bytes=0x1-2",
                "bytes=000000000000000000000001-2",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_no_range(texts[i], 100, 0);
}

static void test_tags_are_found_in_lists(void **state)
{
        (void)state;
        assert_true(http_tag_matches("\"a\"", "\"a\""));
        assert_true(http_tag_matches("\"x\", \"a\"", "\"a\""));
        assert_true(http_tag_matches("\"x\",W/\"a\" , \"y\"", "\"a\""));
        assert_true(http_tag_matches("*", "\"a\""));
        assert_false(http_tag_matches("", "\"a\""));
        assert_false(http_tag_matches(" , ,", "\"a\""));
        assert_false(http_tag_matches("a", "\"a\""));
        assert_false(http_tag_matches("\"ab\"", "\"a\""));
        assert_false(http_tag_matches("\"b\", \"c\"", "\"a\""));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_range_is_taken),
                cmocka_unit_test(test_ends_are_counted_from_behind),
                cmocka_unit_test(test_what_lies_outside_is_out_of_range),
                cmocka_unit_test(test_what_is_no_single_range_is_none),
                cmocka_unit_test(test_tags_are_found_in_lists),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
