/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/core/stores.h"
#include "model/work/reap.h"
#include "tests/lib/expect.h"
#include "tests/lib/library.h"
#include "tests/lib/machine.h"

static const char *path_in(struct library *l, const char *name)
{
        static char path[TEMPDIR_MAX + 64];

        (void)snprintf(path, sizeof(path), "%s/%s", l->dir, name);
        return path;
}

static int count_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        (void)id;
        assert_non_null(bs);
        ++*(unsigned *)ctx;
        return 0;
}

static unsigned count_stores(struct library *l)
{
        unsigned n = 0;

        assert_ok(stores_each(l->m, count_store, &n));
        return n;
}

static void test_a_region_gets_a_store_of_its_own(void **state)
{
        struct library *l = *state;
        struct blobstore *bs;
        struct region region;

        assert_ok(region_set_store(l->m, &l->admin, l->region, path_in(l, "other"), library_diag(l)));
        assert_ok(region_get(l->m, l->region, &region));
        assert_string_equal(region.store_path, path_in(l, "other"));
        assert_ok(stores_get(l->m, region.store, &bs));
        assert_err(stores_get(l->m, 99, &bs), -ENOENT);
        assert_int_equal(count_stores(l), 2);

        library_close(l);
        assert_ok(library_open(l));
        assert_int_equal(count_stores(l), 2);
}

static void test_regions_share_a_store(void **state)
{
        struct library *l = *state;
        struct region a, b;
        uint64_t other;

        assert_ok(region_create(l->m, &l->admin, "r2", library_diag(l), &other));
        assert_ok(region_set_store(l->m, &l->admin, l->region, path_in(l, "other"), library_diag(l)));
        assert_ok(region_set_store(l->m, &l->admin, other, path_in(l, "./lib/../other/"), library_diag(l)));
        assert_ok(region_get(l->m, l->region, &a));
        assert_ok(region_get(l->m, other, &b));
        assert_int_equal(a.store, b.store);
        assert_int_equal(count_stores(l), 2);
}

static void test_back_to_the_librarys_own_and_forgotten(void **state)
{
        struct library *l = *state;
        struct region region;
        uint64_t own;

        assert_ok(region_get(l->m, l->region, &region));
        own = region.store;
        assert_ok(region_set_store(l->m, &l->admin, l->region, path_in(l, "other"), library_diag(l)));
        assert_ok(region_set_store(l->m, &l->admin, l->region, path_in(l, "lib/blobs"), library_diag(l)));
        assert_ok(region_get(l->m, l->region, &region));
        assert_int_equal(region.store, own);

        library_close(l);
        assert_ok(library_open(l));
        assert_int_equal(count_stores(l), 1);
}

/* Such a row kept its store from being forgotten, and that every later start from succeeding. */
static void test_a_disk_that_is_still_to_be_removed_keeps_its_store(void **state)
{
        struct library *l = *state;
        struct region region;

        assert_ok(region_set_store(l->m, &l->admin, l->region, path_in(l, "other"), library_diag(l)));
        assert_ok(region_get(l->m, l->region, &region));
        assert_ok(region_remove(l->m, &l->admin, l->region, library_diag(l)));
        library_close(l);
        library_sql(l, "INSERT INTO trash (store, key) VALUES (%llu, randomblob(16))", (unsigned long long)region.store);
        assert_ok(library_open(l));
        assert_int_equal(count_stores(l), 2);

        library_close(l);
        library_sql(l, "DELETE FROM trash"); /* if the upkeep has not been there yet */
        assert_ok(library_open(l));
        assert_int_equal(count_stores(l), 1);
}

static void test_refuses_what_cannot_be_a_store(void **state)
{
        struct library *l = *state;
        int fd;

        assert_err(region_set_store(l->m, &l->admin, l->region, "relative", library_diag(l)), -EINVAL);
        assert_err(region_set_store(l->m, &l->admin, l->region, "", library_diag(l)), -EINVAL);
        assert_err(region_set_store(l->m, &l->admin, l->region, path_in(l, "no/such"), library_diag(l)), -ENOENT);
        assert_contains(l->diag.text, "make the directory first");
        assert_err(region_set_store(l->m, &l->admin, l->region, path_in(l, "lib/inside"), library_diag(l)), -EINVAL);
        assert_err(region_set_store(l->m, &l->admin, l->region, path_in(l, "lib"), library_diag(l)), -EINVAL);
        assert_err(region_set_store(l->m, &l->admin, l->region, l->dir, library_diag(l)), -EINVAL);

        assert_ok(mkdir(path_in(l, "full"), 0700));
        fd = open(path_in(l, "full/file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
        assert_err(region_set_store(l->m, &l->admin, l->region, path_in(l, "full"), library_diag(l)), -EINVAL);
        assert_contains(l->diag.text, "empty directory");
        assert_int_equal(count_stores(l), 1);
}

static void test_an_inhabited_region_keeps_its_store(void **state)
{
        struct library *l = *state;

        (void)library_image(l, "web");
        assert_err(region_set_store(l->m, &l->admin, l->region, path_in(l, "other"), library_diag(l)), -EBUSY);
        assert_int_equal(access(path_in(l, "other"), F_OK), -1);
}

/* A disk that was not mounted used to get a new, empty store, and every image in it looked damaged. */
static void test_a_store_that_is_not_there_fails_the_start(void **state)
{
        struct library *l = *state;
        char path[TEMPDIR_MAX + 64];

        assert_ok(region_set_store(l->m, &l->admin, l->region, path_in(l, "other"), library_diag(l)));
        library_close(l);
        (void)snprintf(path, sizeof(path), "%s", path_in(l, "other"));
        assert_ok(rename(path, path_in(l, "away")));
        assert_err(library_open(l), -ENOENT);
        assert_contains(l->diag.text, "mount what belongs there");
        assert_ok(mkdir(path, 0700));
        assert_err(library_open(l), -ENOENT);
        assert_ok(rmdir(path));
        assert_ok(rename(path_in(l, "away"), path));
        assert_ok(library_open(l));
}

/* ---- the library's directory ---- */

static void test_a_second_opener_is_refused(void **state)
{
        struct library *l = *state;
        struct model_opts opts = { 0 };
        struct model *m;

        assert_err(model_open(path_in(l, "lib"), &opts, library_diag(l), &m), -EBUSY);
        assert_contains(l->diag.text, "another imagefs serves this library");
        opts.read_only = true;
        assert_err(model_open(path_in(l, "lib"), &opts, library_diag(l), &m), -EBUSY);
}

/* Between fork and exec a child of it has the lock, and for a moment outlives it: a start right after a kill failed. */
static void test_what_a_killed_daemon_had_forked_is_waited_for(void **state)
{
        struct library *l = *state;
        int ready[2];
        pid_t child;
        char byte;

        library_close(l);
        assert_ok(pipe(ready));
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                if (library_open(l) == 0 && fork() == 0) {
                        (void)!write(ready[1], "x", 1);
                        (void)usleep(300000);
                        _exit(0);
                }
                (void)pause();
        }
        (void)close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        (void)close(ready[0]);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_ok(library_open(l));
}

static void test_a_directory_of_something_else_is_left_alone(void **state)
{
        struct library *l = *state;
        struct model_opts opts = { 0 };
        struct model *m;

        assert_ok(mkdir(path_in(l, "home"), 0700));
        assert_ok(mkdir(path_in(l, "home/documents"), 0700));
        assert_err(model_open(path_in(l, "home"), &opts, library_diag(l), &m), -EUCLEAN);
        assert_int_equal(access(path_in(l, "home/lock"), F_OK), -1);
        opts.read_only = true;
        assert_err(model_open(path_in(l, "home"), &opts, library_diag(l), &m), -EUCLEAN);
        assert_err(model_open(path_in(l, "nowhere"), &opts, library_diag(l), &m), -ENOENT);
        assert_int_equal(access(path_in(l, "nowhere"), F_OK), -1);
}

static void test_a_library_in_its_own_mount_is_refused(void **state)
{
        struct library *l = *state;
        struct model_opts opts = { .mountpoint = l->dir };
        struct model *m;

        assert_err(model_open(path_in(l, "second"), &opts, library_diag(l), &m), -EINVAL);
        assert_contains(l->diag.text, "mount point");
}

static void test_stats_add_up_and_move_with_blobs(void **state)
{
        struct library *l = *state;
        struct model_stats before, after;

        assert_ok(model_get_stats(l->m, &before));
        assert_int_equal(before.blobs.blobs, 0);
        assert_true(before.free_bytes > 0);
        (void)library_blob(l, "some bytes", 10);
        assert_ok(model_get_stats(l->m, &after));
        assert_int_equal(after.blobs.blobs, 1);
        assert_true(after.changed_us >= before.changed_us);
        assert_false(model_is_degraded(l->m));
}

/* ---- whose a store is ---- */

static uint64_t count_blobs(struct library *l)
{
        struct model_stats stats;

        assert_ok(model_get_stats(l->m, &stats));
        return stats.blobs.blobs;
}

/* The first collection removed every blob that this library does not name: all of them. */
static void test_another_librarys_store_is_refused_until_it_is_adopted(void **state)
{
        struct library *l = *state, other;
        char theirs[2 * TEMPDIR_MAX], adopt[3 * TEMPDIR_MAX];
        struct region before, after;

        library_make(&other);
        (void)work_image(&other, &other.alice, other.region, "a", "local", 200000, 1);
        library_close(&other);
        (void)snprintf(theirs, sizeof(theirs), "%s/lib/blobs", other.dir);
        assert_ok(region_get(l->m, l->region, &before));
        assert_refused(l, region_set_store(l->m, &l->admin, l->region, theirs, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, other.dir);
        (void)snprintf(adopt, sizeof(adopt), "adopt %s", theirs);
        assert_contains(l->diag.text, adopt);
        assert_ok(region_get(l->m, l->region, &after));
        assert_int_equal(after.store, before.store);
        assert_int_equal(count_stores(l), 1);
        assert_ok(library_open(&other)); /* and it has all it had */
        work_assert_clean(&other);
        library_close(&other);

        assert_ok(region_set_store(l->m, &l->admin, l->region, adopt, library_diag(l)));
        assert_ok(region_get(l->m, l->region, &after));
        assert_string_equal(after.store_path, theirs);
        assert_ok(limit_set_line(l->m, &l->admin, "unnamed-days 0", library_diag(l)));
        library_close(l);
        assert_ok(library_open(l));
        work_wait_blobs(l, 0); /* whose it is now has said so */
        library_remove(&other);
}

/* blobs/ without its imagefs.db: everything in it went at the first start. */
static void test_a_catalogue_made_anew_removes_nothing_of_the_old_one(void **state)
{
        struct library *l = *state;
        char adopt[3 * TEMPDIR_MAX];
        uint64_t region;

        (void)work_image(l, &l->alice, l->region, "a", "local", 200000, 1);
        (void)machine_volume(l, "d1", 8192);
        machine_wait_disks(l, 1);
        library_close(l);
        assert_ok(unlink(path_in(l, "lib/imagefs.db")));
        (void)unlink(path_in(l, "lib/reserve"));

        for (int start = 0; start < 2; start++) {
                bool garbage = true;

                assert_ok(library_open(l));
                (void)reap_run(&(struct reaper){ .m = l->m }, &garbage);
                assert_int_equal(count_blobs(l), 1);
                if (start == 0)
                        assert_ok(region_create(l->m, &l->admin, "r1", library_diag(l), &region));
                l->region = region;
                machine_wait_disks(l, 1);
                library_close(l);
        }
        assert_ok(library_open(l));
        (void)snprintf(adopt, sizeof(adopt), "adopt %s", path_in(l, "lib/blobs"));
        assert_refused(l, region_set_store(l->m, &l->alice, region, adopt, library_diag(l)), -EPERM);
        assert_ok(region_set_store(l->m, &l->admin, region, adopt, library_diag(l)));
        assert_ok(limit_set_line(l->m, &l->admin, "unnamed-days 0", library_diag(l)));
        library_close(l);
        assert_ok(library_open(l));
        work_wait_blobs(l, 0);
        machine_wait_disks(l, 0);
}

static void copy_catalogue(struct library *l, const char *from, const char *to)
{
        char command[5 * TEMPDIR_MAX];

        (void)snprintf(command, sizeof(command), "cd '%s' && cp %s %s && rm -f lib/imagefs.db-*", l->dir, from, to);
        assert_int_equal(system(command), 0);
}

/* An older copy of imagefs.db put back: everything newer went, and with it what the newer copy needs. */
static void test_an_older_catalogue_removes_nothing_that_is_newer(void **state)
{
        struct library *l = *state;
        uint64_t image, volume;

        (void)work_image(l, &l->alice, l->region, "a", "local", 200000, 1);
        library_close(l);
        copy_catalogue(l, "lib/imagefs.db", "older.db");
        assert_ok(library_open(l));
        image = work_image(l, &l->alice, l->region, "b", "local", 200000, 2);
        volume = machine_volume(l, "d1", 8192);
        machine_write(l, volume, "newer", 5, 0);
        library_close(l);
        copy_catalogue(l, "lib/imagefs.db", "newer.db");

        copy_catalogue(l, "older.db", "lib/imagefs.db");
        for (int start = 0; start < 2; start++) {
                bool garbage = true;

                assert_ok(library_open(l));
                (void)reap_run(&(struct reaper){ .m = l->m }, &garbage);
                assert_int_equal(count_blobs(l), 2);
                machine_wait_disks(l, 1);
                library_close(l);
        }
        copy_catalogue(l, "newer.db", "lib/imagefs.db");
        assert_ok(library_open(l));
        work_assert_bytes(l, image, 200000, 2);
        machine_assert_bytes(l, volume, "newer", 5, 0);
        work_assert_clean(l);
}

/* One of before stores had owners is its library's, which names blobs in it. */
static void test_a_store_without_an_owner_is_whose_blobs_it_has(void **state)
{
        struct library *l = *state, other;
        char theirs[2 * TEMPDIR_MAX], owner[2 * TEMPDIR_MAX + 16];

        library_make(&other);
        (void)work_image(&other, &other.alice, other.region, "a", "local", 200000, 1);
        library_close(&other);
        (void)snprintf(theirs, sizeof(theirs), "%s/lib/blobs", other.dir);
        (void)snprintf(owner, sizeof(owner), "%s/owner", theirs);
        assert_ok(unlink(owner));
        assert_refused(l, region_set_store(l->m, &l->admin, l->region, theirs, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "a library that is not known");
        assert_ok(library_open(&other));
        assert_true(stores_are_ours(other.m, 1));
        assert_ok(access(owner, F_OK));
        work_assert_clean(&other);
        library_remove(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_a_region_gets_a_store_of_its_own),
                TEST(test_regions_share_a_store),
                TEST(test_back_to_the_librarys_own_and_forgotten),
                TEST(test_a_disk_that_is_still_to_be_removed_keeps_its_store),
                TEST(test_refuses_what_cannot_be_a_store),
                TEST(test_an_inhabited_region_keeps_its_store),
                TEST(test_a_store_that_is_not_there_fails_the_start),
                TEST(test_a_second_opener_is_refused),
                TEST(test_what_a_killed_daemon_had_forked_is_waited_for),
                TEST(test_a_directory_of_something_else_is_left_alone),
                TEST(test_a_library_in_its_own_mount_is_refused),
                TEST(test_stats_add_up_and_move_with_blobs),
                TEST(test_another_librarys_store_is_refused_until_it_is_adopted),
                TEST(test_a_catalogue_made_anew_removes_nothing_of_the_old_one),
                TEST(test_an_older_catalogue_removes_nothing_that_is_newer),
                TEST(test_a_store_without_an_owner_is_whose_blobs_it_has),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
