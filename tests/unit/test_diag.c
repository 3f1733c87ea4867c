/* SPDX-License-Identifier: MIT */

#include "model/core/diag.h"
#include "tests/lib/expect.h"

static void test_gives_back_the_error_and_keeps_the_sentence(void **state)
{
        struct diag diag = { 0 };

        (void)state;
        assert_err(diag_set(&diag, -EBUSY, "%s is busy", "web"), -EBUSY);
        assert_err(diag.error, -EBUSY);
        assert_string_equal(diag.text, "web is busy");
}

static void test_the_first_sentence_stays(void **state)
{
        struct diag diag = { 0 };

        (void)state;
        diag_set(&diag, -EBUSY, "the cause");
        assert_err(diag_set(&diag, -EINVAL, "somebody above"), -EINVAL);
        assert_err(diag.error, -EBUSY);
        assert_string_equal(diag.text, "the cause");
}

static void test_works_without_a_diag(void **state)
{
        (void)state;
        assert_err(diag_set(NULL, -EPERM, "nobody listens"), -EPERM);
}

/* A sentence that is too long ends with a whole character, whatever its length in bytes. */
static void test_cuts_at_a_character(void **state)
{
        static const char *const characters[] = { "a", "ä", "€", "😀" };

        (void)state;
        for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
                for (size_t pad = 0; pad < 4; pad++) {
                        size_t n = strlen(characters[i]);
                        struct diag diag = { 0 };
                        char text[2 * DIAG_TEXT_MAX] = "";

                        for (size_t j = 0; j < pad; j++)
                                strcat(text, "x");
                        while (strlen(text) + n < sizeof(text))
                                strcat(text, characters[i]);
                        diag_set(&diag, -EINVAL, "%s", text);
                        assert_true(strlen(diag.text) > DIAG_TEXT_MAX - 1 - n);
                        assert_int_equal((strlen(diag.text) - pad) % n, 0);
                }
        }
}

/* Sentences name what was asked for, and that may be anything: it never writes on anybody's terminal. */
static void test_a_sentence_is_one_clean_line(void **state)
{
        static const struct {
                const char *name, *shown;
        } names[] = {
                { "web\nroot", "web?root" },
                { "\x1b[31mred\r\t\x7f", "?[31mred???" },
                { "\xc2\x9b" "31m", "??31m" }, /* a C1 control */
                { "cut\xc3", "cut?" },
                { "\xff\xc0\xaf\xed\xa0\x80", "??????" },
                { "名前 \xe2\x80\xae", "名前 \xe2\x80\xae" }, /* format characters are no control characters */
        };

        (void)state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                struct diag diag = { 0 };

                diag_set(&diag, -ENOENT, "there is no %s", names[i].name);
                assert_string_equal(diag.text + strlen("there is no "), names[i].shown);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_gives_back_the_error_and_keeps_the_sentence),
                cmocka_unit_test(test_the_first_sentence_stays),
                cmocka_unit_test(test_works_without_a_diag),
                cmocka_unit_test(test_cuts_at_a_character),
                cmocka_unit_test(test_a_sentence_is_one_clean_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
