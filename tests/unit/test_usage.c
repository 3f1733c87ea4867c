/* SPDX-License-Identifier: MIT */

#include "model/usage.h"

#include <stdio.h>

#include "tests/lib/work.h"

#define SIZE 3000000

static void count_up(void *ctx, const char *what, uint64_t done, uint64_t total)
{
        assert_string_equal(what, "maps");
        assert_int_equal(done, ++*(uint64_t *)ctx);
        assert_in_range(done, 1, total);
}

static void assert_same_part(const struct usage_part *a, const struct usage_part *b)
{
        assert_memory_equal(a, b, sizeof(*a));
}

/* A table of all chunks would take more memory than a machine has: it is the same, counted part by part. */
static void test_what_is_counted_in_parts_is_what_is_counted_at_once(void **state)
{
        struct library *l = *state;
        const uint64_t far = work_region(l, "far");
        uint64_t once = 0, often = 0;
        char dir[TEMPDIR_MAX + 8];
        struct usage a, b;

        (void)work_image(l, &l->alice, l->region, "web", NULL, SIZE, 1);
        (void)work_image(l, &l->alice, l->region, "again", NULL, SIZE, 1);
        (void)work_image(l, &l->alice, l->region, "other", NULL, SIZE, 2);
        (void)work_image(l, &l->alice, far, "there", NULL, SIZE, 2);
        library_close(l);
        (void)snprintf(dir, sizeof(dir), "%s/lib", l->dir);

        assert_ok(model_usage(dir, USAGE_AT_ONCE, count_up, &once, library_diag(l), &a));
        assert_ok(model_usage(dir, 3, count_up, &often, library_diag(l), &b));
        assert_true(often > 2 * once);
        assert_int_equal(a.n_images, 4);
        assert_int_equal(b.n_images, 4);
        assert_int_equal(a.unread + b.unread, 0);
        assert_true(a.images[3].part.shared > 0);
        assert_int_equal(a.images[3].part.unique, 0);
        for (size_t i = 0; i < 4; i++)
                assert_same_part(&a.images[i].part, &b.images[i].part);
        for (size_t i = 0; i < 2; i++)
                assert_same_part(&a.regions[i].part, &b.regions[i].part);
        usage_done(&a);
        usage_done(&b);
        assert_ok(library_open(l));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_what_is_counted_in_parts_is_what_is_counted_at_once, library_setup,
                                                library_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
