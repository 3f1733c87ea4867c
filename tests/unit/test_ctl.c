/* SPDX-License-Identifier: MIT */
/* What a write(2) to a control file may be, and what of it reaches the store function. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/ops/file.h"

static const struct entry line = { .name = "name" };
static const struct entry text = { .name = "description", .flags = ENTRY_TEXT };

#define assert_command(entry, written, n, wanted)                               \
        do {                                                                    \
                struct diag diag_ = { 0 };                                      \
                CLEANUP_FREE char *got_ = NULL;                                 \
                assert_int_equal(ctl_command(entry, written, n, &got_, &diag_), 0); \
                assert_string_equal(got_, wanted);                              \
        } while (0)

#define assert_refused(entry, written, n, wanted)                               \
        do {                                                                    \
                struct diag diag_ = { 0 };                                      \
                char *got_ = NULL;                                              \
                assert_int_equal(ctl_command(entry, written, n, &got_, &diag_), wanted); \
                assert_null(got_);                                              \
                assert_int_equal(diag_.error, wanted);                          \
                assert_true(diag_.text[0]);                                     \
        } while (0)

static void test_the_final_newline_is_optional(void **state)
{
        (void)state;
        assert_command(&line, "web\n", 4, "web");
        assert_command(&line, "web", 3, "web");
        assert_command(&line, "\n", 1, "");
        assert_command(&text, "a\nb\n", 4, "a\nb");
}

static void test_more_than_one_line_is_for_texts(void **state)
{
        (void)state;
        assert_refused(&line, "a\nb", 3, -EINVAL);
        assert_refused(&line, "a\n\n", 3, -EINVAL);
        assert_command(&text, "a\n\n", 3, "a\n");
}

static void test_zero_bytes_are_refused(void **state)
{
        (void)state;
        assert_refused(&line, "a\0b", 3, -EINVAL);
        assert_refused(&text, "a\0", 2, -EINVAL);
}

static void test_a_command_has_64_kib_at_most(void **state)
{
        CLEANUP_FREE char *big = malloc(65537);
        CLEANUP_FREE char *got = NULL;

        (void)state;
        assert_non_null(big);
        memset(big, 'x', 65537);
        assert_refused(&line, big, 65537, -E2BIG);
        assert_int_equal(ctl_command(&line, big, 65536, &got, NULL), 0);
        assert_int_equal(strlen(got), 65536);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_final_newline_is_optional),
                cmocka_unit_test(test_more_than_one_line_is_for_texts),
                cmocka_unit_test(test_zero_bytes_are_refused),
                cmocka_unit_test(test_a_command_has_64_kib_at_most),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
