/* SPDX-License-Identifier: MIT */
/* Copies of images in other regions. */

#include <stdlib.h>

#include "model/core/quota.h"
#include "model/work/copy.h"
#include "tests/lib/work.h"

#define SIZE 3000000

static uint64_t copy(struct library *l, uint64_t id, const char *region)
{
        uint64_t task;

        assert_ok(image_copy(l->m, &l->alice, id, region, library_diag(l), &task));
        return task;
}

static void assert_copied(struct library *l, uint64_t id, const char *region, uint64_t region_id)
{
        struct task task = work_wait_task(l, copy(l, id, region));
        char origin[200];

        assert_int_equal(task.status, TASK_DONE);
        assert_string_equal(task.error, "");
        assert_int_equal(task.progress.percent, 100);
        assert_string_equal(task.region_name, region);
        assert_int_equal(task.result, work_find(l, region_id, CLASS_PRIVATE, "web"));
        assert_int_equal(work_get(l, task.result).status, IMAGE_AVAILABLE);
        (void)snprintf(origin, sizeof(origin), "my disk\ncopied from r1/%s", work_get(l, id).ident);
        assert_string_equal(work_get(l, task.result).description, origin);
        work_assert_bytes(l, task.result, SIZE, 1);
        assert_int_equal(work_used(l, region_id, &l->alice, LIMIT_SNAPSHOTS), 1);
        assert_int_equal(work_used(l, region_id, &l->alice, LIMIT_PRIVATE_IMAGES), 1);
}

static uint64_t make_source(struct library *l)
{
        uint64_t id = work_image(l, &l->alice, l->region, "web", NULL, SIZE, 1);

        assert_ok(image_set(l->m, &l->alice, id, IMAGE_FIELD_DESCRIPTION, "my disk", library_diag(l)));
        return id;
}

static void test_within_a_store_nothing_is_moved(void **state)
{
        struct library *l = *state;
        uint64_t region = work_region(l, "r2"), id = make_source(l);
        struct model_stats before, after;

        assert_ok(model_get_stats(l->m, &before));
        assert_copied(l, id, "r2", region);
        assert_ok(model_get_stats(l->m, &after));
        assert_int_equal(after.blobs.blobs, before.blobs.blobs);
        work_assert_clean(l);
}

static void test_another_store_gets_the_bytes(void **state)
{
        struct library *l = *state;
        uint64_t region = work_far_region(l, "far"), id = make_source(l);

        assert_copied(l, id, "far", region);
        assert_ok(image_remove(l->m, &l->alice, id, library_diag(l)));
        work_assert_clean(l);
        work_assert_bytes(l, work_find(l, region, CLASS_PRIVATE, "web"), SIZE, 1);
}

static void test_a_copy_is_shown_under_its_region_until_it_is_forgotten(void **state)
{
        struct library *l = *state;
        uint64_t id = make_source(l), task;
        struct object o;

        (void)work_region(l, "r2");
        assert_err(copy_find(l->m, id, "r2", &o), -ENOENT);
        task = copy(l, id, "r2");
        assert_int_equal(work_wait_task(l, task).status, TASK_DONE);
        assert_ok(copy_find(l->m, id, "r2", &o));
        assert_string_equal(o.handle, "r2");
        assert_int_equal(o.id, task);

        assert_refused(l, image_copy(l->m, &l->alice, id, "r2", library_diag(l), &task), -EEXIST);
        assert_ok(copy_remove(l->m, &l->alice, o.id, library_diag(l)));
        assert_err(copy_find(l->m, id, "r2", &o), -ENOENT);
        assert_int_equal(work_tasks(l), 2); /* it is still shown in /tasks */

        /* The handle is taken now. */
        task = copy(l, id, "r2");
        assert_int_equal(work_wait_task(l, task).status, TASK_DONE);
        assert_string_equal(work_get(l, work_wait_task(l, task).result).o.handle, "web-2");
        assert_ok(task_remove(l->m, &l->alice, task, library_diag(l)));
        assert_ok(copy_find(l->m, id, "r2", &o));
        assert_ok(copy_remove(l->m, &l->alice, task, library_diag(l)));
        assert_err(copy_remove(l->m, &l->alice, task, library_diag(l)), -ENOENT);
        work_assert_clean(l);
}

static void test_what_is_refused_changes_nothing(void **state)
{
        struct library *l = *state;
        uint64_t id = make_source(l), local = work_image(l, &l->alice, l->region, "local", "local", 4096, 2);
        uint64_t queued = library_image(l, "queued"), public, task, region = work_region(l, "r2");

        assert_ok(image_create(l->m, &l->admin, l->region, CLASS_PUBLIC, "public", library_diag(l), &public));
        assert_refused(l, image_copy(l->m, &l->alice, public, "r2", library_diag(l), &task), -EPERM);
        assert_refused(l, image_copy(l->m, &l->alice, local, "r2", library_diag(l), &task), -EOPNOTSUPP);
        assert_refused(l, image_copy(l->m, &l->alice, queued, "r2", library_diag(l), &task), -EBUSY);
        /* What it is doing is told before what it is. */
        assert_ok(image_set(l->m, &l->alice, queued, IMAGE_FIELD_TYPE, "local", library_diag(l)));
        assert_refused(l, image_copy(l->m, &l->alice, queued, "r2", library_diag(l), &task), -EBUSY);
        assert_refused(l, image_copy(l->m, &l->alice, id, "r1", library_diag(l), &task), -EINVAL);
        assert_refused(l, image_copy(l->m, &l->alice, id, "nowhere", library_diag(l), &task), -ENOENT);
        assert_ok(quota_set_line(l->m, &l->admin, region, "snapshots limit=0", library_diag(l)));
        assert_refused(l, image_copy(l->m, &l->alice, id, "r2", library_diag(l), &task), -EDQUOT);
        assert_ok(quota_set_line(l->m, &l->admin, region, "snapshots limit=1", library_diag(l)));
        assert_ok(quota_set_line(l->m, &l->admin, region, "private-images limit=0", library_diag(l)));
        assert_refused(l, image_copy(l->m, &l->alice, id, "r2", library_diag(l), &task), -EDQUOT);

        assert_int_equal(work_tasks(l), 2);
        assert_int_equal(work_snapshots(l, region), 0);
        work_assert_clean(l);
}

static int take_target(void *ctx, const struct copy_target *t)
{
        struct copy_target *targets = ctx;

        targets[strcmp(t->region, "far") == 0] = *t;
        return 0;
}

static void test_targets_are_all_other_regions(void **state)
{
        struct library *l = *state;
        uint64_t id = make_source(l), local = work_image(l, &l->alice, l->region, "local", "local", 4096, 2);
        struct copy_target targets[2] = { 0 };

        (void)work_region(l, "r2");
        (void)work_far_region(l, "far");
        assert_ok(image_copy_targets(l->m, &l->alice, &local, 1, take_target, targets));
        assert_string_equal(targets[0].region, "");

        assert_ok(image_copy_targets(l->m, &l->alice, &id, 1, take_target, targets));
        assert_string_equal(targets[0].region, "r2");
        assert_int_equal(targets[0].bytes_to_move, 0);
        assert_int_equal(targets[0].needs_snapshots, 1);
        assert_string_equal(targets[1].region, "far");
        assert_true(targets[1].bytes_to_move > SIZE / 2 && targets[1].bytes_to_move < SIZE);
        assert_int_equal(targets[1].private_images.limit, 5);
        assert_int_equal(targets[1].snapshots.used, 0);
}

static void test_a_description_without_room_is_cut_for_the_origin(void **state)
{
        struct library *l = *state;
        uint64_t id = make_source(l);
        char text[IMAGE_TEXT_MAX + 1];
        struct image replica;

        memset(text, 'x', IMAGE_TEXT_MAX);
        text[IMAGE_TEXT_MAX] = '\0';
        (void)work_region(l, "r2");
        assert_ok(image_set(l->m, &l->alice, id, IMAGE_FIELD_DESCRIPTION, text, library_diag(l)));
        replica = work_get(l, work_wait_task(l, copy(l, id, "r2")).result);
        assert_int_equal(strlen(replica.description), IMAGE_TEXT_MAX);
        assert_contains(replica.description, "x\ncopied from r1/img-");
}

/* A far region whose store cannot take anything: what was made for the copy goes, the replica says why. */
static void test_a_failed_copy_leaves_the_replica_in_error(void **state)
{
        struct library *l = *state;
        uint64_t id = make_source(l), region = work_far_region(l, "far");
        char command[3 * TEMPDIR_MAX];
        struct task task;

        /* Segments of the source are damaged on disk, behind the store's back. */
        library_close(l);
        (void)snprintf(command, sizeof(command),
                       "for f in %s/lib/blobs/segments/*; do "
                       "dd if=/dev/urandom of=$f bs=4096 seek=1 count=40 conv=notrunc status=none || exit 1; done",
                       l->dir);
        assert_int_equal(system(command), 0);
        assert_ok(library_open(l));

        task = work_wait_task(l, copy(l, id, "far"));
        assert_int_equal(task.status, TASK_ERROR);
        assert_contains(task.error, "checksum");
        assert_int_equal(work_get(l, task.result).status, IMAGE_ERROR);
        assert_string_equal(work_get(l, task.result).error, task.error);
        assert_int_equal(work_used(l, region, &l->alice, LIMIT_SNAPSHOTS), 0);
        assert_int_equal(work_get(l, id).status, IMAGE_AVAILABLE);
        assert_ok(image_remove(l->m, &l->alice, task.result, library_diag(l)));
        assert_ok(copy_remove(l->m, &l->alice, task.o.id, library_diag(l)));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_within_a_store_nothing_is_moved),
                TEST(test_another_store_gets_the_bytes),
                TEST(test_a_copy_is_shown_under_its_region_until_it_is_forgotten),
                TEST(test_what_is_refused_changes_nothing),
                TEST(test_targets_are_all_other_regions),
                TEST(test_a_description_without_room_is_cut_for_the_origin),
                TEST(test_a_failed_copy_leaves_the_replica_in_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
