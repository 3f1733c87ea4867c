/* SPDX-License-Identifier: MIT */

#include "model/intake/sums.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/expect.h"

#define A256 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B256 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C512 "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc" \
             "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define NAME "disk.qcow2"

static int find(const char *text, char ret[FILE_SUM_TEXT_MAX])
{
        CLEANUP_STRBUF struct strbuf list = { 0 }, reason = { 0 };
        int r;

        strbuf_add(&list, text);
        r = sums_find(&list, NAME, ret, &reason);
        assert_int_equal(r < 0, strbuf_text(&reason)[0] != '\0');
        return r;
}

static void test_lists_as_they_are_written(void **state)
{
        static const struct {
                const char *list, *sum;
        } known[] = {
                { A256 "  " NAME "\n", "sha256=" A256 },
                { A256 " *" NAME, "sha256=" A256 },
                { B256 "  other\n" A256 "  ./" NAME "\r\n", "sha256=" A256 },
                { "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA  " NAME "\n", "sha256=" A256 },
                { "# " NAME ": 12 bytes\nSHA256 (" NAME ") = " A256 "\n", "sha256=" A256 },
                { "SHA512 (" NAME ") = " C512 "\nSHA256 (" NAME ") = " A256, "sha512=" C512 },
                { C512 "  " NAME "\n" A256 "  " NAME "\n", "sha512=" C512 },
                { A256 "  " NAME "\n" A256 "  " NAME "\n", "sha256=" A256 },
        };
        char sum[FILE_SUM_TEXT_MAX];

        (void)state;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                assert_ok(find(known[i].list, sum));
                assert_string_equal(sum, known[i].sum);
        }
}

static void test_what_does_not_say_it(void **state)
{
        static const char *const bad[] = {
                "", "\n\n", NAME, A256, A256 "\n", A256 " " NAME "\n", A256 "   " NAME "\n", A256 "  " NAME " \n",
                A256 "  x" NAME "\n", A256 "  " NAME "x\n", A256 "  iso/" NAME "\n", A256 "a  " NAME "\n",
                "SHA256 (" NAME ") = " C512, "SHA512 (" NAME ") = " A256, "SHA256 (x) = " A256, "MD5 (" NAME ") = " A256,
                "SHA256(" NAME ")= " A256,
                A256 "  " NAME "\n" B256 "  " NAME "\n", /* which of them? */
                A256 "  " NAME "\nSHA256 (" NAME ") = " B256 "\n",
        };
        char sum[FILE_SUM_TEXT_MAX];

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_err(find(bad[i], sum), -EPROTO);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lists_as_they_are_written),
                cmocka_unit_test(test_what_does_not_say_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
