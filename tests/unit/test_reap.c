/* SPDX-License-Identifier: MIT */
/* Upkeep: what goes by itself, and what does not. */

#include "model/core/clock.h"
#include "model/core/limits.h"
#include "model/work/copy.h"
#include "model/work/reap.h"
#include "model/work/runner.h"
#include "tests/lib/work.h"

#define SIZE 400000
#define DAY_US (INT64_C(86400) * 1000000)

static void destroy(struct library *l, uint64_t image)
{
        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
        assert_ok(image_destroy(l->m, &l->alice, image, library_diag(l)));
}

static void test_bytes_go_with_their_last_name(void **state)
{
        struct library *l = *state;
        uint64_t local = work_image(l, &l->alice, l->region, "a", "local", SIZE, 1);
        uint64_t cloud = work_image(l, &l->alice, l->region, "b", NULL, SIZE, 2);
        struct object snapshot;

        work_wait_blobs(l, 2);
        destroy(l, local);
        work_wait_blobs(l, 1);
        /* What its import made goes along; a snapshot that was made by other means stays. */
        library_sql(l, "UPDATE snapshot SET source = 'disk:vol-1'");
        destroy(l, cloud);
        assert_ok(snapshot_find(l->m, l->region, "b", &snapshot));
        work_assert_clean(l);
        work_wait_blobs(l, 1);
        destroy(l, work_image(l, &l->alice, l->region, "c", NULL, SIZE, 3));
        assert_err(snapshot_find(l->m, l->region, "c", &snapshot), -ENOENT);
        work_assert_clean(l);
        work_wait_blobs(l, 1);
        assert_ok(snapshot_find(l->m, l->region, "b", &snapshot));
        assert_ok(snapshot_remove(l->m, &l->alice, snapshot.id, library_diag(l)));
        work_wait_blobs(l, 0);
        work_assert_clean(l);
}

static void test_space_comes_back(void **state)
{
        struct library *l = *state;
        struct model_stats stats;

        destroy(l, work_image(l, &l->alice, l->region, "a", "local", SIZE, 1));
        work_wait_blobs(l, 0);
        library_close(l);
        assert_ok(library_open(l));
        assert_ok(model_get_stats(l->m, &stats));
        assert_int_equal(stats.blobs.chunks, 0);
        assert_int_equal(stats.blobs.stored_bytes, 0);
}

static void test_a_reader_goes_on_while_its_blob_is_removed(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", "local", SIZE, 1);
        uint8_t buf[4096];
        struct blob *blob;

        assert_ok(image_disk_open(l->m, (uint64_t)library_sql_int(l, "SELECT id FROM image_disk"), NULL, &blob));
        destroy(l, image);
        work_wait_blobs(l, 0);
        assert_int_equal(blob_pread(blob, buf, sizeof(buf), 0), sizeof(buf));
        blob_close(blob);
        work_assert_clean(l);
}

static bool is_gone(struct library *l, uint64_t image)
{
        struct object o;

        return image_get_object(l->m, image, &o) == -ENOENT;
}

static void test_recycled_images_go_when_their_time_is_up(void **state)
{
        struct library *l = *state;
        uint64_t old = work_image(l, &l->alice, l->region, "old", "local", SIZE, 1);
        uint64_t young = work_image(l, &l->alice, l->region, "young", "local", SIZE, 2);

        assert_ok(image_remove(l->m, &l->alice, old, library_diag(l)));
        assert_ok(image_remove(l->m, &l->alice, young, library_diag(l)));
        library_close(l);
        library_sql(l, "UPDATE image SET deleted = deleted - %lld WHERE handle = 'old'", 31 * DAY_US);
        assert_ok(library_open(l));
        work_wait(l, is_gone, old);
        work_wait_blobs(l, 1);
        assert_int_equal(work_find(l, l->region, CLASS_RECYCLE, "young"), young);

        /* A new limit counts at once. */
        assert_ok(limit_set_line(l->m, &l->admin, "recycle-days 0", library_diag(l)));
        work_wait(l, is_gone, young);
        work_wait_blobs(l, 0);
        work_assert_clean(l);
}

/* A new name was taken for another deletion, and its time began anew. */
static void test_a_new_name_in_the_recycle_bin_wins_no_time(void **state)
{
        struct library *l = *state;
        uint64_t id = work_image(l, &l->alice, l->region, "web", "local", SIZE, 1);
        int64_t deleted_us;

        assert_ok(image_remove(l->m, &l->alice, id, library_diag(l)));
        deleted_us = library_sql_int(l, "SELECT deleted FROM image");
        assert_ok(image_move(l->m, &l->alice, id, l->region, CLASS_RECYCLE, "other", library_diag(l)));
        assert_int_equal(library_sql_int(l, "SELECT deleted FROM image"), deleted_us);

        assert_ok(image_move(l->m, &l->alice, id, l->region, CLASS_PRIVATE, "web", library_diag(l)));
        assert_ok(image_remove(l->m, &l->alice, id, library_diag(l)));
        assert_true(library_sql_int(l, "SELECT deleted FROM image") > deleted_us);
        work_assert_clean(l);
}

/* Nobody wakes the upkeep: it waits for the moment itself, also when another has been due before. */
static void test_no_image_goes_before_its_time(void **state)
{
        struct library *l = *state;
        uint64_t first = work_image(l, &l->alice, l->region, "first", "local", SIZE, 1);
        uint64_t second = work_image(l, &l->alice, l->region, "second", "local", SIZE, 2);
        int64_t due_us;

        assert_ok(image_remove(l->m, &l->alice, first, library_diag(l)));
        assert_ok(image_remove(l->m, &l->alice, second, library_diag(l)));
        library_close(l);
        due_us = clock_now_us() + 1000000;
        library_sql(l, "UPDATE image SET deleted = %lld + (handle = 'second') * 1000000", due_us - 30 * DAY_US);
        assert_ok(library_open(l));
        work_wait(l, is_gone, first);
        assert_true(clock_now_us() >= due_us);
        work_wait(l, is_gone, second);
        assert_true(clock_now_us() >= due_us + 1000000);
        work_assert_clean(l);
}

static bool no_task(struct library *l, uint64_t unused)
{
        (void)unused;
        return work_tasks(l) == 0;
}

/* The time is known from the start, or from when the task ended; nothing has to happen for it to come. */
static void test_a_task_that_ended_is_shown_for_seven_days(void **state)
{
        struct library *l = *state;
        struct reaper reaper = { .m = NULL };
        bool garbage = false;
        int64_t due_us;

        (void)work_image(l, &l->alice, l->region, "web", "local", SIZE, 1);
        library_close(l);
        due_us = clock_now_us() + 1000000;
        library_sql(l, "UPDATE task SET finished = %lld", due_us - 7 * DAY_US);
        assert_ok(library_open(l));
        assert_true(work_tasks(l) == 1 || clock_now_us() >= due_us);
        work_wait(l, no_task, 0);
        assert_true(clock_now_us() >= due_us);

        /* One that ends later than the last look is due seven days after that at the earliest. */
        reaper.m = l->m;
        (void)reap_run(&reaper, &garbage);
        (void)work_image(l, &l->alice, l->region, "more", "local", SIZE, 2);
        assert_true(library_sql_int(l, "SELECT finished FROM task") + 7 * DAY_US >= reaper.forget_us);
        due_us = reap_run(&reaper, &garbage);
        assert_true(due_us > clock_now_us() && due_us == reaper.forget_us);
        assert_int_equal(work_tasks(l), 1);
        work_assert_clean(l);
}

/* A crash between the last byte of a blob and its row. */
/* They may be newer than the catalogue, which somebody has put back. */
static void test_blobs_that_never_got_a_name_stay_for_a_while(void **state)
{
        struct library *l = *state;
        uint64_t kept = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);

        (void)library_blob(l, "nameless", 8);
        library_close(l);
        library_sql(l, "DELETE FROM blob WHERE size = 8");
        for (int start = 0; start < 2; start++) {
                struct model_stats stats;
                bool garbage = true;

                assert_ok(library_open(l));
                (void)reap_run(&(struct reaper){ .m = l->m }, &garbage);
                assert_ok(model_get_stats(l->m, &stats));
                assert_int_equal(stats.blobs.blobs, 2);
                library_close(l);
        }
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM unnamed"), 1);
        library_sql(l, "UPDATE unnamed SET since = since - 30 * 86400000000");
        assert_ok(library_open(l));
        work_wait_blobs(l, 1);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM unnamed"), 0);
        work_assert_bytes(l, kept, SIZE, 1);
        work_assert_clean(l);
}

/* They stayed until the next start. */
static void test_blobs_of_a_task_that_failed_go_at_once(void **state)
{
        struct library *l = *state;
        uint64_t far = work_far_region(l, "far");
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1), task;

        work_wait_blobs(l, 1);
        /* The bytes arrive, and then they can be given no name. */
        library_sql(l, "CREATE TRIGGER nameless BEFORE UPDATE OF blob ON snapshot BEGIN SELECT raise(ABORT, 'no'); END");
        assert_ok(image_copy(l->m, &l->alice, image, "far", library_diag(l), &task));
        assert_int_equal(work_wait_task(l, task).status, TASK_ERROR);
        library_sql(l, "DROP TRIGGER nameless");
        assert_int_equal(work_snapshots(l, far), 0);
        work_wait_blobs(l, 1);
        work_assert_clean(l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_bytes_go_with_their_last_name),
                TEST(test_space_comes_back),
                TEST(test_a_reader_goes_on_while_its_blob_is_removed),
                TEST(test_recycled_images_go_when_their_time_is_up),
                TEST(test_a_new_name_in_the_recycle_bin_wins_no_time),
                TEST(test_no_image_goes_before_its_time),
                TEST(test_a_task_that_ended_is_shown_for_seven_days),
                TEST(test_blobs_that_never_got_a_name_stay_for_a_while),
                TEST(test_blobs_of_a_task_that_failed_go_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
