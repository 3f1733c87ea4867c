/* SPDX-License-Identifier: MIT */
/* Several images at once: all or none. */

#include "model/core/quota.h"
#include "model/core/state.h"
#include "model/image/image_row.h"
#include "model/work/batch.h"
#include "tests/lib/work.h"

static int run(struct library *l, const struct caller *c, const char *line)
{
        return batch_run(l->m, c, l->region, line, library_diag(l));
}

static uint64_t recycled(struct library *l, const char *handle)
{
        return work_find(l, l->region, CLASS_RECYCLE, handle);
}

static void test_images_are_deleted_by_handle_and_id(void **state)
{
        struct library *l = *state;
        uint64_t a = work_image(l, &l->alice, l->region, "a", NULL, 5000, 1), queued = library_image(l, "queued");
        char line[100];

        (void)snprintf(line, sizeof(line), "delete %s  queued ", work_get(l, a).ident);
        assert_ok(run(l, &l->alice, line));
        assert_int_equal(recycled(l, "a"), a);
        assert_int_equal(library_wait_image(l, queued), IMAGE_DELETED);
        assert_int_equal(work_find(l, l->region, CLASS_PRIVATE, "queued"), 0);
        work_assert_clean(l);
}

static void test_one_that_is_refused_keeps_all(void **state)
{
        struct library *l = *state;
        uint64_t bobs;

        (void)work_image(l, &l->alice, l->region, "a", NULL, 5000, 1);
        (void)work_image(l, &l->alice, l->region, "b", "local", 5000, 2);
        (void)work_region(l, "r2");
        assert_ok(image_create(l->m, &l->bob, l->region, CLASS_PRIVATE, "bobs", library_diag(l), &bobs));

        assert_refused(l, run(l, &l->alice, "delete a nothing"), -ENOENT);
        assert_refused(l, run(l, &l->alice, "delete a bobs"), -EACCES);
        assert_refused(l, run(l, &l->alice, "delete a b a"), -EINVAL);
        assert_refused(l, run(l, &l->alice, "copy r2 a b"), -EOPNOTSUPP);
        assert_refused(l, run(l, &l->alice, "copy r3 a"), -ENOENT);
        assert_refused(l, run(l, &l->alice, "copy r1 a"), -EINVAL);
        assert_int_equal(recycled(l, "a"), 0);
        assert_int_equal(work_tasks(l), 2); /* the imports */
        work_assert_clean(l);

        assert_ok(run(l, &l->admin, "delete a b bobs"));
        assert_int_not_equal(recycled(l, "b"), 0);
}

static unsigned told;

static void count_gone(struct model *m, uint64_t image, uint64_t region, const char *ident)
{
        (void)m;
        (void)image;
        (void)region;
        (void)ident;
        told++;
}

/*
 * What works on an image that is gone is stopped. One in the recycle bin may be back by then, and be copied: its task
 * would never end.
 */
static void test_only_what_is_gone_for_good_is_said_to_be_gone(void **state)
{
        struct library *l = *state;
        const struct image_hooks *hooks = l->m->image_hooks;
        struct image_hooks counting = *hooks;

        (void)work_image(l, &l->alice, l->region, "a", NULL, 5000, 1);
        (void)work_image(l, &l->alice, l->region, "b", NULL, 5000, 1);
        (void)library_image(l, "queued");
        counting.gone = count_gone;
        l->m->image_hooks = &counting;
        assert_ok(run(l, &l->alice, "delete a b"));
        assert_int_equal(told, 0);
        assert_ok(run(l, &l->alice, "delete queued"));
        assert_int_equal(told, 1);
        l->m->image_hooks = hooks;
        work_assert_clean(l);
}

static void test_the_number_is_limited(void **state)
{
        struct library *l = *state;

        assert_refused(l, run(l, &l->alice, "delete a b c d e f"), -E2BIG);
        assert_refused(l, run(l, &l->alice, "delete a b c d e f g h i j k l m n o p"), -E2BIG);
        assert_refused(l, run(l, &l->alice, "delete a b c d e"), -ENOENT);
        assert_ok(limit_set_line(l->m, &l->admin, "images-per-batch 1", library_diag(l)));
        assert_refused(l, run(l, &l->alice, "delete a b"), -E2BIG);
}

static void test_what_is_no_command_is_invalid(void **state)
{
        static const char *const lines[] = { "", " ", "delete", "copy", "copy r2", "move a b", "deletea", "copy  " };
        struct library *l = *state;

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
                assert_refused(l, run(l, &l->alice, lines[i]), -EINVAL);
}

static bool tasks_ended(struct library *l, uint64_t region)
{
        static const char *const handles[] = { "a", "b" };

        for (size_t i = 0; i < 2; i++)
                if (work_get(l, work_find(l, region, CLASS_PRIVATE, handles[i])).status != IMAGE_AVAILABLE)
                        return false;
        return true;
}

static void test_several_are_copied(void **state)
{
        struct library *l = *state;
        uint64_t r2 = work_far_region(l, "r2");

        (void)work_image(l, &l->alice, l->region, "a", NULL, 50000, 1);
        (void)work_image(l, &l->alice, l->region, "b", NULL, 50000, 2);
        assert_ok(run(l, &l->alice, "copy r2 a b"));
        assert_int_equal(work_used(l, r2, &l->alice, LIMIT_SNAPSHOTS), 2);
        work_wait(l, tasks_ended, r2);
        work_assert_bytes(l, work_find(l, r2, CLASS_PRIVATE, "b"), 50000, 2);
        work_assert_clean(l);
}

/* Each by itself would do; together they are one too many. */
static void test_quotas_count_what_comes_before_in_the_same_command(void **state)
{
        struct library *l = *state;
        uint64_t r2 = work_region(l, "r2");

        (void)work_image(l, &l->alice, l->region, "a", NULL, 50000, 1);
        (void)work_image(l, &l->alice, l->region, "b", NULL, 50000, 2);
        assert_ok(quota_set_line(l->m, &l->admin, r2, "private-images limit=1", library_diag(l)));
        assert_refused(l, run(l, &l->alice, "copy r2 a b"), -EDQUOT);
        assert_int_equal(work_used(l, r2, &l->alice, LIMIT_PRIVATE_IMAGES), 0);
        assert_ok(run(l, &l->alice, "copy r2 b"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_images_are_deleted_by_handle_and_id),
                TEST(test_one_that_is_refused_keeps_all),
                TEST(test_only_what_is_gone_for_good_is_said_to_be_gone),
                TEST(test_the_number_is_limited),
                TEST(test_what_is_no_command_is_invalid),
                TEST(test_several_are_copied),
                TEST(test_quotas_count_what_comes_before_in_the_same_command),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
