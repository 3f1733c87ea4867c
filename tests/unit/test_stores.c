/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/core/stores.h"
#include "model/work/copy.h"
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
        assert_ok(stores_get(l->m, region.store, NULL, &bs));
        assert_err(stores_get(l->m, 99, NULL, &bs), -ENOENT);
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

/* ---- stores that cannot be opened ---- */

static uint64_t count_blobs(struct library *l)
{
        struct model_stats stats;

        assert_ok(model_get_stats(l->m, &stats));
        return stats.blobs.blobs;
}

static void to_path(struct library *l, const char *name, char *buf)
{
        (void)snprintf(buf, TEMPDIR_MAX + 64, "%s", path_in(l, name));
}

/* A region whose store is in far-NAME; and where that is when it is away. */
struct far {
        uint64_t region;
        char store[TEMPDIR_MAX + 64], away[TEMPDIR_MAX + 64];
};

static struct far make_far(struct library *l, const char *handle)
{
        char name[64];
        struct far far;

        far.region = work_far_region(l, handle);
        (void)snprintf(name, sizeof(name), "far-%s", handle);
        to_path(l, name, far.store);
        to_path(l, "away", far.away);
        return far;
}

static void restart_without(struct library *l, const struct far *far)
{
        library_close(l);
        assert_ok(rename(far->store, far->away));
        assert_ok(library_open(l));
}

static void collect_sentence(void *ctx, const char *sentence)
{
        char *all = ctx;

        (void)snprintf(all + strlen(all), 4096 - strlen(all), "%s\n", sentence);
}

static const char *health(struct library *l)
{
        static char all[4096];

        all[0] = '\0';
        assert_ok(model_health(l->m, collect_sentence, all));
        return all;
}

/* A disk that was not mounted used to get a new, empty store, in which every image looked damaged; then no start. */
static void test_a_store_that_is_not_there_is_offline(void **state)
{
        struct library *l = *state;
        struct far far = make_far(l, "far");
        uint64_t image = work_image(l, &l->alice, far.region, "web", "local", 200000, 1);
        struct region region;
        struct blobstore *bs;

        restart_without(l, &far);
        assert_int_equal(access(far.store, F_OK), -1);
        assert_int_equal(count_stores(l), 1);
        assert_ok(region_get(l->m, far.region, &region));
        assert_string_equal(region.store_path, far.store);
        assert_int_equal(work_get(l, image).status, IMAGE_AVAILABLE);
        assert_refused(l, stores_get(l->m, region.store, library_diag(l), &bs), -EIO);
        assert_contains(l->diag.text, "the blob store of region far is offline: ");
        assert_contains(l->diag.text, far.store);
        assert_contains(l->diag.text, "mount what belongs there");
        assert_contains(health(l), l->diag.text);
        assert_ok(region_rename(l->m, &l->admin, far.region, "distant", library_diag(l)));
        assert_contains(health(l), "the blob store of region distant is offline: ");

        /* Neither at the next start nor for the asking is one made in its place. */
        assert_ok(mkdir(far.store, 0700));
        assert_refused(l, region_set_store(l->m, &l->admin, far.region, far.store, library_diag(l)), -EIO);
        library_close(l);
        assert_ok(library_open(l));
        assert_refused(l, stores_get(l->m, region.store, library_diag(l), &bs), -EIO);
        assert_ok(rmdir(far.store));

        assert_refused(l, region_set_store(l->m, &l->alice, far.region, far.store, library_diag(l)), -EPERM);
        assert_ok(rename(far.away, far.store));
        assert_ok(region_set_store(l->m, &l->admin, far.region, far.store, library_diag(l)));
        assert_string_equal(health(l), "");
        work_assert_bytes(l, image, 200000, 1);
        work_assert_clean(l);
}

static void test_the_librarys_own_store_may_be_offline(void **state)
{
        struct library *l = *state;
        uint64_t far = work_far_region(l, "far"), here, there;
        char own[TEMPDIR_MAX + 64], away[TEMPDIR_MAX + 64];
        struct model_stats stats;

        here = work_image(l, &l->alice, l->region, "here", "local", 200000, 1);
        there = work_image(l, &l->alice, far, "there", "local", 200000, 2);
        to_path(l, "lib/" STORES_OWN_DIR, own);
        to_path(l, "away", away);
        library_close(l);
        assert_ok(rename(own, away));
        assert_ok(library_open(l));
        assert_int_equal(access(own, F_OK), -1);
        assert_contains(health(l), "the blob store of region r1 is offline: ");
        (void)work_region(l, "b");
        (void)work_region(l, "a");
        assert_contains(health(l), "the blob store of regions a, b, r1 is offline: ");
        (void)work_region(l, "c");
        assert_contains(health(l), "the blob store of regions a, b, c and 1 more is offline: ");
        assert_int_equal(work_get(l, here).status, IMAGE_AVAILABLE);
        work_assert_bytes(l, there, 200000, 2);
        assert_ok(model_get_stats(l->m, &stats));
        assert_int_equal(stats.blobs.blobs, 1);
        assert_true(stats.free_bytes > 0);

        library_close(l);
        assert_ok(rename(away, own));
        assert_ok(library_open(l));
        work_assert_bytes(l, here, 200000, 1);
        work_assert_clean(l);
}

/* The rows go, and the bytes when they can be reached: a collection that forgot them would leave them for ever. */
static void test_what_goes_meanwhile_is_collected_when_the_store_is_back(void **state)
{
        struct library *l = *state;
        struct far far = make_far(l, "far");
        uint64_t image = work_image(l, &l->alice, far.region, "web", "local", 200000, 1), volume;
        bool garbage = true;

        assert_ok(volume_create(l->m, &l->alice, far.region, "d1", library_diag(l), &volume));
        assert_ok(volume_set_size(l->m, &l->alice, volume, 8192, library_diag(l)));
        assert_int_equal(count_blobs(l), 1);

        restart_without(l, &far);
        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
        assert_ok(image_destroy(l->m, &l->alice, image, library_diag(l))); /* from the recycle bin */
        assert_ok(volume_remove(l->m, &l->alice, volume, library_diag(l)));
        (void)reap_run(&(struct reaper){ .m = l->m }, &garbage);
        assert_ok(region_remove(l->m, &l->admin, far.region, library_diag(l)));
        assert_string_equal(health(l), ""); /* nobody misses what only garbage is in */

        library_close(l);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM reap"), 1);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM trash"), 1);
        assert_ok(rename(far.away, far.store));
        assert_ok(library_open(l));
        work_wait_blobs(l, 0); /* which go after the disks */
        library_close(l);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM trash"), 0);
        assert_ok(library_open(l));
}

static bool task_is_running(struct library *l, uint64_t task)
{
        struct task t;

        assert_ok(task_get(l->m, task, &t));
        return t.status != TASK_QUEUED;
}

/* A copy whose source cannot be read was tried, and failed; and no space was given back anywhere for as long. */
static void test_tasks_wait_for_a_store_that_is_offline(void **state)
{
        struct library *l = *state;
        struct far far = make_far(l, "far");
        uint64_t image = work_image(l, &l->alice, far.region, "web", "cloud", 200000, 1), copy, task, other;
        struct reaper reaper = { .m = l->m };
        bool garbage = true;

        assert_ok(image_copy(l->m, &l->alice, image, "r1", library_diag(l), &task));
        (void)work_wait_task(l, task);
        copy = work_find(l, l->region, CLASS_PRIVATE, "web");
        library_close(l);
        /* as a crash in the middle leaves it */
        library_sql(l, "UPDATE task SET status = 'running', finished = NULL WHERE id = %llu", (unsigned long long)task);
        library_sql(l, "UPDATE image SET status = 'pending' WHERE id = %llu", (unsigned long long)copy);
        library_sql(l, "UPDATE snapshot SET blob = NULL, status = 'creating' WHERE region = %llu",
                    (unsigned long long)l->region);
        assert_ok(rename(far.store, far.away));
        assert_ok(library_open(l));

        other = work_image(l, &l->alice, l->region, "other", "local", 200000, 2); /* which has been worked on since */
        assert_false(task_is_running(l, task));
        assert_int_equal(work_get(l, copy).status, IMAGE_PENDING);
        reaper.m = l->m;
        reaper.inherited = task;
        (void)reap_run(&reaper, &garbage);
        assert_true(reaper.collected);
        work_assert_bytes(l, other, 200000, 2);

        assert_ok(rename(far.away, far.store));
        assert_ok(region_set_store(l->m, &l->admin, far.region, far.store, library_diag(l)));
        assert_int_equal(work_wait_task(l, task).status, TASK_DONE);
        work_assert_bytes(l, copy, 200000, 1);
        work_assert_clean(l);
}

struct reader {
        struct library *l;
        struct blobstore *bs; /* of store 1, as it was at first */
        atomic_bool stop;
        int wrong;
};

static int count_any(void *ctx, uint64_t id, struct blobstore *bs)
{
        (void)id;
        *(int *)ctx += bs != NULL;
        return 0;
}

/* cmocka is for one thread. */
static void *read_on(void *arg)
{
        struct reader *reader = arg;
        struct model *m = reader->l->m;

        while (!atomic_load(&reader->stop)) {
                struct blobstore *bs;
                int n = 0;

                if (stores_get(m, 1, NULL, &bs) < 0 || bs != reader->bs || stores_each(m, count_any, &n) < 0 || n == 0)
                        reader->wrong++;
        }
        return NULL;
}

/* There were 64 at most. What was handed out stays good when there are more. */
static void test_a_library_has_any_number_of_stores(void **state)
{
        enum { STORES = 80 };
        struct library *l = *state;
        struct reader reader = { .l = l };
        uint64_t first = 0, last = 0;
        pthread_t thread;

        assert_ok(stores_get(l->m, 1, NULL, &reader.bs));
        assert_ok(pthread_create(&thread, NULL, read_on, &reader));
        for (unsigned i = 0; i < STORES; i++) {
                char handle[16];

                (void)snprintf(handle, sizeof(handle), "s%u", i);
                last = work_far_region(l, handle);
                first = first ? first : last;
        }
        atomic_store(&reader.stop, true);
        assert_ok(pthread_join(thread, NULL));
        assert_int_equal(reader.wrong, 0);
        assert_int_equal(count_stores(l), STORES + 1);
        (void)work_image(l, &l->alice, first, "first", "local", 8192, 1);
        library_close(l);
        assert_ok(library_open(l));
        assert_int_equal(count_stores(l), STORES + 1);
        (void)work_image(l, &l->alice, last, "last", "local", 8192, 2);
        work_assert_clean(l);
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

        assert_err(model_open(path_in(l, "nowhere"), &opts, library_diag(l), &m), -ENOENT);
        opts.make = true;
        assert_err(model_open(path_in(l, "lib"), &opts, library_diag(l), &m), -EEXIST);
        assert_ok(mkdir(path_in(l, "home"), 0700));
        assert_ok(mkdir(path_in(l, "home/documents"), 0700));
        assert_err(model_open(path_in(l, "home"), &opts, library_diag(l), &m), -EUCLEAN);
        assert_int_equal(access(path_in(l, "home/lock"), F_OK), -1);
        opts = (struct model_opts){ .read_only = true };
        assert_err(model_open(path_in(l, "home"), &opts, library_diag(l), &m), -EUCLEAN);
        assert_err(model_open(path_in(l, "nowhere"), &opts, library_diag(l), &m), -ENOENT);
        assert_int_equal(access(path_in(l, "nowhere"), F_OK), -1);
}

static void test_a_library_in_its_own_mount_is_refused(void **state)
{
        struct library *l = *state;
        struct model_opts opts = { .make = true, .mountpoint = l->dir };
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
        char adopt[3 * TEMPDIR_MAX], copies[2 * TEMPDIR_MAX];
        uint64_t region;

        (void)work_image(l, &l->alice, l->region, "a", "local", 200000, 1);
        machine_write(l, machine_volume(l, "d1", 8192), "x", 1, 0);
        machine_wait_disks(l, 1);
        library_close(l);
        assert_ok(unlink(path_in(l, "lib/imagefs.db")));
        (void)unlink(path_in(l, "lib/reserve"));
        assert_err(library_open(l), -EUCLEAN); /* its copies are to be brought back */
        assert_contains(l->diag.text, "--restore-catalogue");
        (void)snprintf(copies, sizeof(copies), "rm -r '%s'", path_in(l, "lib/blobs/catalogue"));
        assert_int_equal(system(copies), 0);

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
                TEST(test_a_store_that_is_not_there_is_offline),
                TEST(test_the_librarys_own_store_may_be_offline),
                TEST(test_what_goes_meanwhile_is_collected_when_the_store_is_back),
                TEST(test_tasks_wait_for_a_store_that_is_offline),
                TEST(test_a_library_has_any_number_of_stores),
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
