/* SPDX-License-Identifier: MIT */
/* Converting local images. */

#include "model/core/quota.h"
#include "model/work/convert.h"
#include "tests/lib/work.h"

#define SIZE 200000

static struct conversion conversion(struct library *l, uint64_t id)
{
        struct conversion c;

        assert_ok(image_get_conversion(l->m, id, &c));
        return c;
}

static bool not_running(struct library *l, uint64_t id)
{
        return conversion(l, id).status != CONVERT_RUNNING;
}

static void test_a_local_image_becomes_a_cloud_image_beside_it(void **state)
{
        struct library *l = *state;
        uint64_t id = work_image(l, &l->alice, l->region, "web", "local", SIZE, 1);
        struct model_stats before, after;
        struct object snapshot;
        uint64_t result;

        assert_ok(image_set(l->m, &l->alice, id, IMAGE_FIELD_OS, "linux", library_diag(l)));
        assert_ok(model_get_stats(l->m, &before));
        assert_int_equal(conversion(l, id).status, CONVERT_IDLE);
        assert_ok(image_convert(l->m, &l->alice, id, "cloud", library_diag(l)));
        work_wait(l, not_running, id);

        result = work_find(l, l->region, CLASS_PRIVATE, "web-cloud");
        assert_int_not_equal(result, 0);
        work_wait_available(l, result);
        assert_int_equal(conversion(l, id).status, CONVERT_DONE);
        assert_int_equal(conversion(l, id).percent, 100);
        assert_string_equal(conversion(l, id).image, work_get(l, result).ident);
        assert_int_equal(work_get(l, result).type, TYPE_CLOUD);
        assert_string_equal(work_get(l, result).name, "web");
        assert_string_equal(work_get(l, result).os, "linux");
        assert_int_equal(work_get(l, id).status, IMAGE_AVAILABLE);
        work_assert_bytes(l, result, SIZE, 1);
        assert_ok(snapshot_find(l->m, l->region, "web", &snapshot));

        assert_ok(model_get_stats(l->m, &after));
        assert_int_equal(after.blobs.logical_bytes, before.blobs.logical_bytes);
        work_assert_clean(l);

        /* The bytes are there as long as either names them. */
        assert_ok(image_remove(l->m, &l->alice, id, library_diag(l)));
        assert_ok(image_destroy(l->m, &l->alice, id, library_diag(l)));
        assert_string_equal(conversion(l, result).image, "");
        work_assert_clean(l);
        work_assert_bytes(l, result, SIZE, 1);
}

static void test_a_name_given_is_the_name_and_the_handle(void **state)
{
        struct library *l = *state;
        uint64_t id = work_image(l, &l->alice, l->region, "web", "local", SIZE, 1);

        assert_ok(image_convert(l->m, &l->alice, id, "cloud my web", library_diag(l)));
        work_wait(l, not_running, id);
        id = work_find(l, l->region, CLASS_PRIVATE, "my web");
        assert_int_not_equal(id, 0);
        assert_string_equal(work_get(l, id).name, "my web");
}

static void test_taken_names_get_a_number(void **state)
{
        struct library *l = *state;
        uint64_t id = work_image(l, &l->alice, l->region, "web", "local", SIZE, 1);

        for (int i = 0; i < 2; i++) {
                assert_ok(image_convert(l->m, &l->alice, id, "cloud", library_diag(l)));
                work_wait(l, not_running, id);
        }
        assert_int_not_equal(work_find(l, l->region, CLASS_PRIVATE, "web-cloud-2"), 0);
        assert_int_equal(work_tasks(l), 3); /* with the import; the older conversion is shown in /tasks only */
        work_assert_clean(l);
}

static void test_a_long_handle_is_cut_for_the_suffix(void **state)
{
        struct library *l = *state;
        char handle[NAME_LEN_MAX + 1] = "";
        uint64_t id;

        for (size_t i = 0; i < NAME_LEN_MAX; i += 2)
                strcat(handle, "\xc3\xa9");
        id = work_image(l, &l->alice, l->region, handle, "local", SIZE, 1);
        assert_ok(image_convert(l->m, &l->alice, id, "cloud", library_diag(l)));
        work_wait(l, not_running, id);
        assert_int_equal(conversion(l, id).status, CONVERT_DONE);
}

static void test_what_is_refused_changes_nothing(void **state)
{
        struct library *l = *state;
        uint64_t cloud = work_image(l, &l->alice, l->region, "cloud", NULL, SIZE, 1);
        uint64_t local = work_image(l, &l->alice, l->region, "local", "local", SIZE, 2);
        uint64_t queued = library_image(l, "queued"), empty = library_image(l, "empty"), public;

        assert_ok(image_set(l->m, &l->alice, queued, IMAGE_FIELD_TYPE, "local", library_diag(l)));
        assert_ok(image_create(l->m, &l->admin, l->region, CLASS_PUBLIC, "public", library_diag(l), &public));

        assert_refused(l, image_convert(l->m, &l->alice, cloud, "cloud", library_diag(l)), -EOPNOTSUPP);
        assert_refused(l, image_convert(l->m, &l->alice, queued, "cloud", library_diag(l)), -EBUSY);
        assert_refused(l, image_convert(l->m, &l->alice, empty, "cloud", library_diag(l)), -EBUSY);
        assert_refused(l, image_convert(l->m, &l->alice, public, "cloud", library_diag(l)), -EPERM);
        assert_refused(l, image_convert(l->m, &l->alice, local, "", library_diag(l)), -EINVAL);
        assert_refused(l, image_convert(l->m, &l->alice, local, "local", library_diag(l)), -EINVAL);
        assert_refused(l, image_convert(l->m, &l->alice, local, "clouds", library_diag(l)), -EINVAL);
        assert_refused(l, image_convert(l->m, &l->alice, local, "cloud a/b", library_diag(l)), -EINVAL);
        assert_refused(l, image_convert(l->m, &l->alice, local, "cloud ", library_diag(l)), -EINVAL);
        assert_err(image_convert(l->m, &l->alice, 4711, "cloud", library_diag(l)), -ENOENT);

        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=1", library_diag(l)));
        assert_refused(l, image_convert(l->m, &l->alice, local, "cloud", library_diag(l)), -EDQUOT);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=20", library_diag(l)));
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "private-images limit=4", library_diag(l)));
        assert_refused(l, image_convert(l->m, &l->alice, local, "cloud", library_diag(l)), -EDQUOT);

        assert_int_equal(conversion(l, local).status, CONVERT_IDLE);
        assert_int_equal(work_snapshots(l, l->region), 1);
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_PRIVATE_IMAGES), 4);
        work_assert_clean(l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_a_local_image_becomes_a_cloud_image_beside_it),
                TEST(test_a_name_given_is_the_name_and_the_handle),
                TEST(test_taken_names_get_a_number),
                TEST(test_a_long_handle_is_cut_for_the_suffix),
                TEST(test_what_is_refused_changes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
