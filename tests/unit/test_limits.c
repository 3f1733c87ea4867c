/* SPDX-License-Identifier: MIT */

#include "model/core/region.h"

#include "model/core/limits.h"
#include "tests/lib/expect.h"
#include "tests/lib/library.h"

static uint64_t value(struct library *l, enum limit limit)
{
        uint64_t n;

        assert_ok(limit_get(l->m, limit, &n));
        return n;
}

static void test_defaults_are_those_of_the_contract(void **state)
{
        static const struct {
                const char *name;
                uint64_t value;
        } wanted[LIMIT_COUNT] = {
                { "private-images", 5 },   { "snapshots", 20 },      { "shared-images", 5 },
                { "instances", 50 },       { "disks", 50 },          { "disk-bytes", UINT64_C(10) << 40 },
                { "shares-per-image", 5 }, { "images-per-batch", 5 }, { "download-hours", 24 },
                { "recycle-days", 30 },    { "ended-tasks", 100 },   { "unnamed-days", 30 },
                { "scrub-days", 30 },
                { "events", 10000 },
                { "follows", 20 },
        };

        for (enum limit i = 0; i < LIMIT_COUNT; i++) {
                assert_string_equal(limit_name(i), wanted[i].name);
                assert_int_equal(value(*state, i), wanted[i].value);
        }
}

static void test_a_line_changes_one(void **state)
{
        struct library *l = *state;

        assert_ok(limit_set_line(l->m, &l->admin, "recycle-days 7", library_diag(l)));
        assert_ok(limit_set_line(l->m, &l->admin, "  snapshots   0 ", library_diag(l)));
        assert_ok(limit_set_line(l->m, &l->admin, "recycle-days 8", library_diag(l)));
        assert_int_equal(value(l, LIMIT_RECYCLE_DAYS), 8);
        assert_int_equal(value(l, LIMIT_SNAPSHOTS), 0);
        library_close(l);
        assert_ok(library_open(l));
        assert_int_equal(value(l, LIMIT_RECYCLE_DAYS), 8);
}

static void test_bytes_have_units(void **state)
{
        static const struct {
                const char *line;
                uint64_t value;
        } wanted[] = {
                { "disk-bytes 0", 0 },
                { "disk-bytes 1000001", 1000001 },
                { "disk-bytes 3K", 3072 },
                { "disk-bytes 1048576T", UINT64_C(1) << 60 },
        };
        static const char *const refused[] = { "disk-bytes 1048577T", "disk-bytes 1P", "disk-bytes -1",
                                               "disk-bytes 18446744073709551615", "recycle-days 1K" };
        struct library *l = *state;

        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
                assert_ok(limit_set_line(l->m, &l->admin, wanted[i].line, library_diag(l)));
                assert_int_equal(value(l, LIMIT_DISK_BYTES), wanted[i].value);
        }
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
                assert_err(limit_set_line(l->m, &l->admin, refused[i], library_diag(l)), -EINVAL);
                assert_true(l->diag.text[0] != '\0');
        }
        assert_int_equal(value(l, LIMIT_DISK_BYTES), UINT64_C(1) << 60);
}

static void test_refuses_what_it_does_not_understand(void **state)
{
        static const char *const lines[] = {
                "",
                "recycle-days",
                "recycle-days x",
                "recycle-days -1",
                "recycle-days 1 2",
                "recycle-days 1x",
                "days 3",
                "recycle-days 1000001",
                "recycle-days 18446744073709551616",
                "recycle-days=3",
        };
        struct library *l = *state;

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
                assert_err(limit_set_line(l->m, &l->admin, lines[i], library_diag(l)), -EINVAL);
                assert_true(l->diag.text[0] != '\0');
        }
        assert_int_equal(value(l, LIMIT_RECYCLE_DAYS), 30);
}

static void test_only_the_administrator_changes_them(void **state)
{
        struct library *l = *state;

        assert_err(limit_set_line(l->m, &l->alice, "recycle-days 7", library_diag(l)), -EPERM);
        assert_int_equal(value(l, LIMIT_RECYCLE_DAYS), 30);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_defaults_are_those_of_the_contract),
                TEST(test_a_line_changes_one),
                TEST(test_bytes_have_units),
                TEST(test_refuses_what_it_does_not_understand),
                TEST(test_only_the_administrator_changes_them),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
