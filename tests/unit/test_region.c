/* SPDX-License-Identifier: MIT */

#include "model/core/region.h"

#include "tests/lib/expect.h"
#include "tests/lib/library.h"

static void test_made_found_and_listed(void **state)
{
        struct library *l = *state;
        struct region region;
        uint64_t id;

        assert_ok(region_create(l->m, &l->admin, "cn-east-2", library_diag(l), &id));
        assert_ok(region_find(l->m, "cn-east-2", &region));
        assert_int_equal(region.o.id, id);
        assert_int_equal(region.o.mode, 0755);
        assert_contains(region.store_path, "/lib/blobs");
        assert_ok(region_get(l->m, id, &region));
        assert_string_equal(region.o.handle, "cn-east-2");
        assert_err(region_find(l->m, "nowhere", &region), -ENOENT);
        assert_err(region_get(l->m, 99, &region), -ENOENT);
}

static int collect(void *ctx, const struct object *o)
{
        strcat(ctx, o->handle);
        strcat(ctx, " ");
        return 0;
}

static int stop(void *ctx, const struct object *o)
{
        (void)ctx;
        (void)o;
        return -ECANCELED;
}

static void test_listed_by_name(void **state)
{
        struct library *l = *state;
        char names[64] = "";
        uint64_t id;

        assert_ok(region_create(l->m, &l->admin, "b", library_diag(l), &id));
        assert_ok(region_create(l->m, &l->admin, "a", library_diag(l), &id));
        assert_ok(region_each(l->m, collect, names));
        assert_string_equal(names, "a b r1 ");
        assert_err(region_each(l->m, stop, NULL), -ECANCELED);
}

static void test_only_the_administrator_changes_them(void **state)
{
        struct library *l = *state;
        uint64_t id;

        assert_err(region_create(l->m, &l->alice, "r2", library_diag(l), &id), -EPERM);
        assert_err(region_rename(l->m, &l->alice, l->region, "r2", library_diag(l)), -EPERM);
        assert_err(region_set_store(l->m, &l->alice, l->region, l->dir, library_diag(l)), -EPERM);
        assert_err(region_remove(l->m, &l->alice, l->region, library_diag(l)), -EPERM);
        assert_contains(l->diag.text, "administrator");
}

static void test_names_are_valid_and_unique(void **state)
{
        struct library *l = *state;
        struct region region;
        uint64_t id;

        assert_err(region_create(l->m, &l->admin, ".x", library_diag(l), &id), -EINVAL);
        assert_err(region_create(l->m, &l->admin, "r1", library_diag(l), &id), -EEXIST);
        assert_contains(l->diag.text, "r1");
        assert_ok(region_create(l->m, &l->admin, "r2", library_diag(l), &id));
        assert_err(region_rename(l->m, &l->admin, id, "r1", library_diag(l)), -EEXIST);
        assert_err(region_rename(l->m, &l->admin, id, "a/b", library_diag(l)), -EINVAL);
        assert_err(region_rename(l->m, &l->admin, 99, "r3", library_diag(l)), -ENOENT);
        assert_ok(region_rename(l->m, &l->admin, id, "r3", library_diag(l)));
        assert_ok(region_get(l->m, id, &region));
        assert_string_equal(region.o.handle, "r3");
        assert_true(region.o.updated_us > region.o.created_us);
}

static void test_only_an_empty_one_is_removed(void **state)
{
        struct library *l = *state;
        struct region region;
        uint64_t image = library_image(l, "web");

        assert_err(region_remove(l->m, &l->admin, l->region, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "while it holds 1 image: remove it first");
        library_sql(l, "UPDATE image SET status = 'error'");
        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
        assert_err(region_remove(l->m, &l->admin, l->region, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "while it holds 1 recycled image: remove it first");
        assert_ok(image_destroy(l->m, &l->alice, image, library_diag(l)));
        assert_ok(region_remove(l->m, &l->admin, l->region, library_diag(l)));
        assert_err(region_get(l->m, l->region, &region), -ENOENT);
        assert_err(region_remove(l->m, &l->admin, l->region, library_diag(l)), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_made_found_and_listed),
                TEST(test_listed_by_name),
                TEST(test_only_the_administrator_changes_them),
                TEST(test_names_are_valid_and_unique),
                TEST(test_only_an_empty_one_is_removed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
