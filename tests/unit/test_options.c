/* SPDX-License-Identifier: MIT */
/* The command line: what is understood, and that everything else is refused. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/options.h"

#define PARSE(opts, ...)                                                          \
        ({                                                                        \
                char *argv_[] = { (char *)"imagefs", __VA_ARGS__, NULL };         \
                options_parse((int)(sizeof(argv_) / sizeof(argv_[0])) - 1, argv_, opts); \
        })

#define ARG(text) ((char *)(text))

static void test_store_and_mountpoint_with_options_in_any_order(void **state)
{
        struct options o;

        (void)state;
        assert_int_equal(PARSE(&o, ARG("-f"), ARG("/s"), ARG("-o"), ARG("cache=2M,workers=3"), ARG("/m"), ARG("-oallow_other")), 0);
        assert_string_equal(o.store, "/s");
        assert_string_equal(o.mountpoint, "/m");
        assert_true(o.foreground);
        assert_true(o.allow_other);
        assert_false(o.debug);
        assert_int_equal(o.cache_bytes, 2 << 20);
        assert_int_equal(o.workers, 3);
        assert_true(o.cache_disk_bytes == UINT64_MAX);
        options_done(&o);
        assert_int_equal(PARSE(&o, ARG("/s"), ARG("/m"), ARG("-ocache-disk=0")), 0);
        assert_int_equal(o.cache_disk_bytes, 0);
        options_done(&o);
}

static void test_names_that_look_like_options_follow_two_dashes(void **state)
{
        struct options o;

        (void)state;
        assert_int_equal(PARSE(&o, ARG("--"), ARG("-s"), ARG("-m")), 0);
        assert_string_equal(o.store, "-s");
        assert_string_equal(o.mountpoint, "-m");
        options_done(&o);
}

static void test_what_is_not_understood_is_refused(void **state)
{
        static const char *const bad[] = { "-x", "--nonsense", "-onosuch", "-ocache", "-ocache=12Q", "-oworkers=-1", "-oworkers=0", "-ocache=0",
                                           "-oallow_other=yes", "-o", "third", "-olease=0", "-olease=3601" };

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                struct options o;

                assert_int_equal(PARSE(&o, ARG("/s"), ARG("/m"), ARG(bad[i])), -EINVAL);
                options_done(&o);
        }
}

static void test_both_directories_are_needed(void **state)
{
        struct options o;

        (void)state;
        assert_int_equal(PARSE(&o, ARG("/s")), -EINVAL);
        options_done(&o);
        assert_int_equal(PARSE(&o, ARG("--help")), 0);
        assert_true(o.help);
        options_done(&o);
}

static void test_help_names_every_option_that_has_a_help_line(void **state)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        (void)state;
        assert_non_null(f);
        options_help(f);
        assert_int_equal(fclose(f), 0);
        assert_non_null(strstr(text, "allow_other"));
        assert_non_null(strstr(text, "cache=SIZE"));
        assert_non_null(strstr(text, "imagefs check"));
        assert_non_null(strstr(text, "imagefs migrate"));
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_store_and_mountpoint_with_options_in_any_order),
                cmocka_unit_test(test_names_that_look_like_options_follow_two_dashes),
                cmocka_unit_test(test_what_is_not_understood_is_refused),
                cmocka_unit_test(test_both_directories_are_needed),
                cmocka_unit_test(test_help_names_every_option_that_has_a_help_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
