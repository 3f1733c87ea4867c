/* SPDX-License-Identifier: MIT */
/* Running tasks: several at once, short ones beside long ones, stopping, and being killed at any moment. */

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "model/check.h"
#include "model/core/limits.h"
#include "model/core/task_row.h"
#include "model/work/convert.h"
#include "model/work/copy.h"
#include "tests/lib/work.h"

#define SMALL 200000
#define LARGE (128u << 20)
#define KILLS 12

static double now_s(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t start_import(struct library *l, const char *handle, size_t size, uint32_t seed)
{
        uint64_t id = library_image(l, handle);
        uint8_t *bytes = work_bytes(size, seed);

        work_upload_file(l, id, bytes, size);
        free(bytes);
        return id;
}

static bool is_converted(struct library *l, uint64_t id)
{
        struct conversion c;

        assert_ok(image_get_conversion(l->m, id, &c));
        return c.status == CONVERT_DONE;
}

static void test_what_moves_no_bytes_does_not_wait_for_imports(void **state)
{
        struct library *l = *state;
        uint64_t local = work_image(l, &l->alice, l->region, "local", "local", SMALL, 1);
        uint64_t big[2];

        big[0] = start_import(l, "big1", LARGE, 2);
        big[1] = start_import(l, "big2", LARGE, 3);
        assert_ok(image_convert(l->m, &l->alice, local, "cloud", library_diag(l)));
        work_wait(l, is_converted, local);
        assert_true(work_get(l, big[0]).status == IMAGE_PENDING || work_get(l, big[1]).status == IMAGE_PENDING);
        work_wait_available(l, big[0]);
        work_wait_available(l, big[1]);
}

static void test_more_tasks_than_workers_all_end(void **state)
{
        struct library *l = *state;
        uint64_t id[5];
        char handle[8];

        for (uint32_t i = 0; i < 5; i++) {
                (void)snprintf(handle, sizeof(handle), "i%u", i);
                id[i] = start_import(l, handle, SMALL, i);
        }
        for (uint32_t i = 0; i < 5; i++) {
                work_wait_available(l, id[i]);
                work_assert_bytes(l, id[i], SMALL, i);
        }
        work_assert_clean(l);
}

static void add_task(struct library *l, const char *ident, uid_t uid)
{
        library_sql(l, "INSERT INTO task (ident, kind, status, image_ident, region, region_name, uid, gid, mode, created) "
                       "VALUES ('%s', 'import', 'queued', '', %llu, 'r1', %u, 0, 0, 1)",
                    ident, (unsigned long long)l->region, (unsigned)uid);
}

static const char *claim(struct library *l, unsigned of_one_user)
{
        static struct task task;

        return task_claim(l->m, TASK_LANE_WORK, of_one_user, &task) == 0 ? task.o.handle : "none";
}

static void test_users_take_turns(void **state)
{
        struct library *l = *state;

        /* The library's own workers would take their part. */
        library_close(l);
        assert_ok(library_open_idle(l));

        for (int i = 1; i <= 6; i++) {
                char ident[16];

                (void)snprintf(ident, sizeof(ident), "a%d", i);
                add_task(l, ident, l->alice.uid);
        }
        add_task(l, "b1", l->bob.uid);
        add_task(l, "b2", l->bob.uid);
        assert_string_equal(claim(l, 2), "a1");
        assert_string_equal(claim(l, 2), "b1");
        assert_string_equal(claim(l, 2), "a2");
        assert_string_equal(claim(l, 2), "b2");
        assert_string_equal(claim(l, 2), "none"); /* two of hers run */
        assert_string_equal(claim(l, 3), "a3");

        /* one worker: whose turn it is does not depend on what runs */
        library_sql(l, "UPDATE task SET status = 'done', finished = 1 WHERE status = 'running'");
        add_task(l, "b3", l->bob.uid);
        assert_string_equal(claim(l, 1), "b3");
        library_sql(l, "UPDATE task SET status = 'done', finished = 1 WHERE status = 'running'");
        add_task(l, "b4", l->bob.uid);
        assert_string_equal(claim(l, 1), "a4");
        add_task(l, "root1", 0);
        add_task(l, "root2", 0);
        assert_string_equal(claim(l, 1), "root1");
        assert_string_equal(claim(l, 1), "b4");
        assert_string_equal(claim(l, 1), "root2");
        assert_string_equal(claim(l, 1), "none");
        library_sql(l, "DELETE FROM task");
        library_close(l);
        assert_ok(library_open(l));
}

static void test_closing_does_not_wait_for_long_work(void **state)
{
        struct library *l = *state;
        uint64_t id = start_import(l, "big", LARGE, 1);
        double start = now_s();

        library_close(l);
        assert_true(now_s() - start < 3.0);
        assert_ok(library_open(l));
        work_wait_available(l, id);
        work_assert_bytes(l, id, LARGE, 1);
}

static void test_a_cancel_stops_the_worker(void **state)
{
        struct library *l = *state;
        uint64_t id = start_import(l, "big", LARGE, 1), task = (uint64_t)library_sql_int(l, "SELECT id FROM task");

        assert_ok(task_remove(l->m, &l->alice, task, library_diag(l)));
        assert_int_equal(library_wait_image(l, id), IMAGE_ERROR);
        /* The others get their turn, and no byte stays. */
        (void)work_image(l, &l->alice, l->region, "small", NULL, SMALL, 2);
        work_wait_blobs(l, 1);
        work_assert_clean(l);
}

/* ---- killed ---- */

/* What the program does over and over until it is killed. */
static void busy_life(struct library *l, unsigned round)
{
        uint64_t id, task;
        char handle[32];

        for (unsigned i = 0;; i++) {
                (void)snprintf(handle, sizeof(handle), "i%u-%u", round, i);
                if (image_create(l->m, &l->alice, l->region, CLASS_PRIVATE, handle, NULL, &id) < 0)
                        continue;
                (void)image_set(l->m, &l->alice, id, IMAGE_FIELD_TYPE, i % 2 ? "local" : "cloud", NULL);
                work_upload(l, id, handle, strlen(handle));
                (void)library_wait_image(l, id);
                if (i % 2)
                        (void)image_convert(l->m, &l->alice, id, "cloud", NULL);
                else
                        (void)image_copy(l->m, &l->alice, id, i % 4 ? "r2" : "far", NULL, &task);
                (void)library_wait_image(l, id);
                if (i % 3 == 0 && image_remove(l->m, &l->alice, id, NULL) == 0)
                        (void)image_destroy(l->m, &l->alice, id, NULL);
        }
}

static void ignore_finding(void *ctx, const char *text)
{
        (void)ctx;
        print_error("check: %s\n", text);
}

static void kill_after(struct library *l, unsigned round, unsigned usec)
{
        pid_t pid;
        int status;

        library_close(l);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)alarm(60);
                if (library_open(l) == 0)
                        busy_life(l, round);
                _exit(1);
        }
        (void)usleep(usec);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static bool nothing_in_work(struct library *l, uint64_t arg)
{
        (void)arg;
        return library_sql_int(l, "SELECT (SELECT count(*) FROM task WHERE status IN ('queued', 'running')) + "
                                  "(SELECT count(*) FROM image WHERE status IN ('uploading', 'pending'))") == 0;
}

/* As many as rows say, of which the upkeep may still remove some. */
static void wait_for_named_blobs(struct library *l)
{
        struct model_stats stats;
        int64_t rows;

        for (int i = 0; i < 500; i++) {
                rows = library_sql_int(l, "SELECT count(*) FROM blob");
                assert_ok(model_get_stats(l->m, &stats));
                if (stats.blobs.blobs == (uint64_t)rows)
                        return;
                (void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        }
        assert_int_equal(stats.blobs.blobs, rows);
}

static void test_killed_at_any_moment_it_goes_on(void **state)
{
        struct library *l = *state;
        const char *env = getenv("TEST_SEED");
        unsigned seed = env ? (unsigned)strtoul(env, NULL, 10) : (unsigned)getpid();
        char path[2 * TEMPDIR_MAX];

        print_message("TEST_SEED=%u\n", seed);
        (void)snprintf(path, sizeof(path), "%s/lib", l->dir);
        assert_ok(limit_set_line(l->m, &l->admin, "private-images 100000", library_diag(l)));
        assert_ok(limit_set_line(l->m, &l->admin, "snapshots 100000", library_diag(l)));
        assert_ok(limit_set_line(l->m, &l->admin, "unnamed-days 0", library_diag(l))); /* what a kill leaves goes soon */
        (void)work_region(l, "r2");
        (void)work_far_region(l, "far");

        for (unsigned round = 0; round < KILLS; round++) {
                kill_after(l, round, 20000 + (unsigned)rand_r(&seed) % 300000);
                assert_err(model_check(path, true, NULL, ignore_finding, NULL, library_diag(l)), 0);
                assert_ok(library_open(l));
                work_wait(l, nothing_in_work, 0);
                wait_for_named_blobs(l);
                assert_int_equal(
                        library_sql_int(l, "SELECT count(*) FROM image WHERE status = 'error' AND error = ''"), 0);
        }
        work_assert_clean(l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_what_moves_no_bytes_does_not_wait_for_imports),
                TEST(test_more_tasks_than_workers_all_end),
                TEST(test_users_take_turns),
                TEST(test_closing_does_not_wait_for_long_work),
                TEST(test_a_cancel_stops_the_worker),
                TEST(test_killed_at_any_moment_it_goes_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
