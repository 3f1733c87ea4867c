/* SPDX-License-Identifier: MIT */
/* Tasks as users see them: what is shown where, cancelling, forgetting, and going on after a restart. */

#include <stdlib.h>

#include "model/core/limits.h"
#include "model/work/copy.h"
#include "tests/lib/work.h"

/* Large enough that a copy or an import of it is still at work when the test looks. */
#define LARGE (128u << 20)
#define SMALL 100000

static int last_task(void *ctx, const struct object *o)
{
        *(uint64_t *)ctx = o->id;
        return 0;
}

static uint64_t only_task(struct library *l)
{
        uint64_t id = 0;

        assert_int_equal(work_tasks(l), 1);
        assert_ok(task_each(l->m, last_task, &id));
        return id;
}

static uint64_t start_import(struct library *l, size_t size)
{
        uint64_t id = library_image(l, "big");
        uint8_t *bytes = work_bytes(size, 7);

        work_upload_file(l, id, bytes, size);
        free(bytes);
        return id;
}

static void test_an_import_is_shown_while_it_runs_and_afterwards(void **state)
{
        struct library *l = *state;
        uint64_t image = start_import(l, LARGE), id = only_task(l);
        struct progress progress;
        struct task task;
        struct object o;

        assert_ok(task_get(l->m, id, &task));
        assert_int_equal(task.kind, TASK_IMPORT);
        assert_true(task.status == TASK_QUEUED || task.status == TASK_RUNNING);
        assert_true(task.progress.percent < 100);
        assert_int_equal(task.image, image);
        assert_string_equal(task.region_name, "r1");
        assert_int_equal(task.o.uid, l->alice.uid);
        assert_true(work_get(l, image).busy);
        assert_refused(l, image_remove(l->m, &l->alice, image, library_diag(l)), -EBUSY);

        task = work_wait_task(l, id);
        assert_int_equal(task.status, TASK_DONE);
        assert_int_equal(task.progress.done_bytes, LARGE);
        assert_int_equal(task.progress.percent, 100);
        assert_true(task.started_us >= task.o.created_us && task.finished_us >= task.started_us);
        assert_ok(image_get_progress(l->m, image, &progress));
        assert_int_equal(progress.percent, 100);
        assert_int_equal(progress.done_bytes, LARGE);

        assert_ok(task_find(l->m, task.o.handle, &o));
        assert_refused(l, task_remove(l->m, &l->bob, id, library_diag(l)), -EPERM);
        assert_ok(task_remove(l->m, &l->alice, id, library_diag(l)));
        assert_err(task_find(l->m, task.o.handle, &o), -ENOENT);
        assert_err(task_get(l->m, id, &task), -ENOENT);
        assert_err(task_remove(l->m, &l->alice, id, library_diag(l)), -ENOENT);
        work_assert_clean(l);
}

static void test_a_cancelled_import_is_an_error_at_once(void **state)
{
        struct library *l = *state;
        uint64_t image = start_import(l, LARGE);

        assert_ok(task_remove(l->m, &l->alice, only_task(l), library_diag(l)));
        assert_int_equal(work_get(l, image).status, IMAGE_ERROR);
        assert_contains(work_get(l, image).error, "cancelled");
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 0);
        assert_int_equal(work_tasks(l), 0);
        assert_int_equal(work_incoming(l), 0);
        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
        work_assert_clean(l);
        work_wait_blobs(l, 0);
}

static uint64_t start_copy(struct library *l, uint64_t image, const char *region)
{
        uint64_t task;

        assert_ok(image_copy(l->m, &l->alice, image, region, library_diag(l), &task));
        return task;
}

static bool has_begun(struct library *l, uint64_t task)
{
        struct task t;

        assert_ok(task_get(l->m, task, &t));
        return t.status == TASK_RUNNING;
}

static void assert_nothing_in(struct library *l, uint64_t region)
{
        assert_int_equal(work_find(l, region, CLASS_PRIVATE, "web"), 0);
        assert_int_equal(work_used(l, region, &l->alice, LIMIT_PRIVATE_IMAGES), 0);
        assert_int_equal(work_used(l, region, &l->alice, LIMIT_SNAPSHOTS), 0);
}

static void test_cancelling_a_copy_takes_the_replica_away(void **state)
{
        struct library *l = *state;
        uint64_t far = work_far_region(l, "far"), image = work_image(l, &l->alice, l->region, "web", NULL, LARGE, 1);
        uint64_t id = start_copy(l, image, "far"), other;
        struct object o;
        struct task task;

        work_wait(l, has_begun, id);
        assert_refused(l, image_copy(l->m, &l->alice, image, "far", library_diag(l), &other), -EEXIST);
        (void)work_region(l, "r3");
        assert_refused(l, image_copy(l->m, &l->alice, image, "r3", library_diag(l), &other), -EBUSY);
        assert_refused(l, image_remove(l->m, &l->alice, image, library_diag(l)), -EBUSY);
        assert_ok(copy_remove(l->m, &l->alice, id, library_diag(l)));
        assert_nothing_in(l, far);
        assert_err(copy_find(l->m, image, "far", &o), -ENOENT);

        /* Cancelled in copies/, it is still told of in /tasks; and the other way round. */
        assert_ok(task_get(l->m, id, &task));
        assert_int_equal(task.status, TASK_CANCELLED);
        assert_int_equal(task.result, 0);
        assert_ok(task_remove(l->m, &l->alice, id, library_diag(l)));
        assert_err(task_get(l->m, id, &task), -ENOENT);

        id = start_copy(l, image, "far");
        assert_ok(task_remove(l->m, &l->alice, id, library_diag(l)));
        assert_ok(copy_find(l->m, image, "far", &o));
        assert_nothing_in(l, far);
        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
        assert_ok(image_destroy(l->m, &l->alice, image, library_diag(l)));
        work_assert_clean(l);
}

static void test_tasks_go_on_after_a_restart(void **state)
{
        struct library *l = *state;
        uint64_t far = work_far_region(l, "far"), image = work_image(l, &l->alice, l->region, "web", NULL, LARGE, 1);
        uint64_t big, id = start_copy(l, image, "far");

        work_wait(l, has_begun, id);
        big = start_import(l, LARGE);
        work_assert_clean(l);

        assert_int_equal(work_wait_task(l, id).status, TASK_DONE);
        work_assert_bytes(l, work_find(l, far, CLASS_PRIVATE, "web"), LARGE, 1);
        work_wait_available(l, big);
        work_assert_bytes(l, big, LARGE, 7);
        work_wait_incoming(l);
        work_assert_clean(l);
}

static void test_an_upload_that_may_not_be_on_disk_is_not_imported_after_a_restart(void **state)
{
        struct library *l = *state;
        uint64_t image = start_import(l, LARGE);

        library_close(l);
        library_sql(l, "UPDATE task SET detail = replace(detail, 'boot=', 'boot=0')");
        assert_ok(library_open(l));
        assert_int_equal(library_wait_image(l, image), IMAGE_ERROR);
        assert_contains(work_get(l, image).error, "before the upload was safe on disk");
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 0);
        work_wait_incoming(l); /* removed once that is recorded */
        work_assert_clean(l);
}

static bool none_is_shown(struct library *l, uint64_t arg)
{
        (void)arg;
        return work_tasks(l) == 0;
}

static void test_old_tasks_are_forgotten(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "web", NULL, SMALL, 1), id;
        struct object o;
        struct task task;

        (void)work_region(l, "r2");
        id = start_copy(l, image, "r2");
        assert_int_equal(work_wait_task(l, id).status, TASK_DONE);
        library_close(l);
        library_sql(l, "UPDATE task SET finished = finished - %lld", INT64_C(8) * 86400 * 1000000);
        assert_ok(library_open(l));
        work_wait(l, none_is_shown, 0);
        /* The image tells of its copy until the user forgets it. */
        assert_ok(copy_find(l->m, image, "r2", &o));
        assert_ok(task_get(l->m, id, &task));
        assert_ok(copy_remove(l->m, &l->alice, id, library_diag(l)));
        assert_err(task_get(l->m, id, &task), -ENOENT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_an_import_is_shown_while_it_runs_and_afterwards),
                TEST(test_a_cancelled_import_is_an_error_at_once),
                TEST(test_cancelling_a_copy_takes_the_replica_away),
                TEST(test_tasks_go_on_after_a_restart),
                TEST(test_an_upload_that_may_not_be_on_disk_is_not_imported_after_a_restart),
                TEST(test_old_tasks_are_forgotten),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
