/* SPDX-License-Identifier: MIT */
/*
 * A commit whose sync failed may be there after all, once the library is opened again: its bytes are in the log of the
 * database, and only who failed knows that they were not to count. So what it names may not be taken away.
 *
 * Each process here makes the nth sync and all after it fail, and is gone without closing anything.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/core/blob_row.h"
#include "model/core/stores.h"
#include "model/image/image_disk_row.h"
#include "model/work/reap.h"
#include "model/work/runner.h"
#include "tests/lib/fault.h"
#include "tests/lib/machine.h"

typedef int act_fn(struct library *l, uint64_t id);

/* One round of the upkeep, as a task that failed asks for it. */
static void tidy(struct library *l)
{
        struct reaper reaper = { .m = l->m };
        bool garbage = true;

        (void)reap_run(&reaper, &garbage);
}

/* Lets a process do ACT with its Nth sync failing; gives whether that made it fail. */
static bool fail_in_another_process(struct library *l, act_fn *act, uint64_t id, unsigned n)
{
        pid_t child;
        int status;

        library_close(l);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                int r;

                if (library_open(l) < 0)
                        _exit(2);
                runner_stop(l->m->runner); /* which has syncs of its own */
                l->m->runner = NULL;
                fault_set(FAULT_SYNC, n, false);
                r = act(l, id);
                fault_set(FAULT_SYNC, 0, false);
                if (r < 0)
                        tidy(l);
                _exit(r == -EIO || r == -EROFS); /* -EEXIST: it was there after all */
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        assert_ok(library_open(l));
        work_assert_clean(l);
        return WEXITSTATUS(status) == 1;
}

static void assert_nothing_is_lost(struct library *l, act_fn *act, uint64_t id)
{
        unsigned n = 1;

        while (fail_in_another_process(l, act, id, n))
                n++;
        assert_true(n > 1); /* something failed */
}

static int make_instance(struct library *l, uint64_t image)
{
        uint64_t id;

        return instance_create_from_image(l->m, &l->alice, image, "vm", library_diag(l), &id);
}

static void test_the_disks_of_an_instance(void **state)
{
        struct library *l = *state;

        assert_nothing_is_lost(l, make_instance, machine_image(l, "web", "cloud", "vdb"));
}

static int make_clone(struct library *l, uint64_t snapshot)
{
        uint64_t id;

        return volume_create_from_snapshot(l->m, &l->alice, snapshot, "clone", library_diag(l), &id);
}

static void test_the_clone_of_a_snapshot(void **state)
{
        struct library *l = *state;
        struct object o;

        (void)machine_image(l, "web", "cloud", "");
        assert_ok(snapshot_find(l->m, l->region, "web", &o));
        assert_nothing_is_lost(l, make_clone, o.id);
}

static int give_size(struct library *l, uint64_t volume)
{
        return volume_set_size(l->m, &l->alice, volume, 1 << 20, library_diag(l));
}

static void test_the_disk_that_comes_with_a_size(void **state)
{
        struct library *l = *state;

        assert_nothing_is_lost(l, give_size, machine_volume(l, "d1", 0));
}

/* As the end of a task does it. */
static int name_blob(struct library *l, uint64_t image)
{
        struct blob_writer *w;
        struct blobstore *bs;
        struct region region;
        struct blob *blob;
        uint64_t row;
        DB_TXN(t);
        int r;

        if (region_get(l->m, l->region, &region) < 0 || stores_get(l->m, region.store, NULL, &bs) < 0)
                abort();
        r = blob_writer_new(bs, &w);
        if (r < 0)
                return r;
        r = blob_writer_append(w, "bytes", 5);
        if (r == 0)
                r = blob_writer_commit(w, &blob);
        blob_writer_free(w);
        if (r < 0)
                return r;
        r = db_begin(l->m->db, DB_WRITE, &t);
        if (r == 0)
                r = blob_row_insert(&t, region.store, blob, &row);
        if (r == 0)
                r = image_disk_insert(&t, image, "vda", true, 0, row);
        if (r == 0)
                r = db_commit(&t);
        db_end(&t);
        blob_close(blob);
        return r;
}

static void test_the_blob_of_an_image(void **state)
{
        struct library *l = *state;

        assert_nothing_is_lost(l, name_blob, library_image(l, "web"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_the_disks_of_an_instance),
                TEST(test_the_clone_of_a_snapshot),
                TEST(test_the_disk_that_comes_with_a_size),
                TEST(test_the_blob_of_an_image),
        };

        fault_install();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
