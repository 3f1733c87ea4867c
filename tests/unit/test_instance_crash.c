/* SPDX-License-Identifier: MIT */
/*
 * A process that makes, changes and removes machines is killed at random moments, again and again. Whatever it left:
 * the library holds together, what was begun goes on or ends, and no disk and no blob stays that nothing names. The
 * seed is printed, and IMAGEFS_SEED sets it; IMAGEFS_ROUNDS says how often.
 */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "model/core/quota.h"
#include "model/core/stores.h"
#include "tests/lib/machine.h"
#include "tests/lib/random.h"

#define ROUNDS_DEFAULT 12
#define LIFE_MAX_MS    150

struct listing {
        uint64_t id[64];
        size_t n;
};

static int collect(void *ctx, const struct object *o)
{
        struct listing *list = ctx;

        if (list->n < 64)
                list->id[list->n++] = o->id;
        return 0;
}

static uint64_t pick(const struct listing *list, unsigned *seed)
{
        return list->n ? list->id[(size_t)rand_r(seed) % list->n] : 0;
}

/* One request of any kind; most may be refused for what others have made of things. */
static void do_something(struct library *l, uint64_t image, unsigned *seed)
{
        struct listing instances = { .n = 0 }, volumes = { .n = 0 };
        struct diag diag = { 0 };
        struct volume_file *f;
        char handle[16];
        uint64_t id, vm, disk;

        (void)snprintf(handle, sizeof(handle), "x%d", rand_r(seed) % 6);
        (void)instance_each(l->m, l->region, collect, &instances);
        (void)volume_each(l->m, l->region, collect, &volumes);
        vm = pick(&instances, seed);
        disk = pick(&volumes, seed);

        switch (rand_r(seed) % 12) {
        case 0:
        case 1:
                (void)instance_create_from_image(l->m, &l->alice, image, handle, &diag, &id);
                break;
        case 2:
                (void)instance_remove(l->m, &l->alice, vm, &diag);
                break;
        case 3:
                (void)instance_set(l->m, &l->alice, vm, INSTANCE_FIELD_IMAGE, "private/web", &diag);
                break;
        case 4:
                (void)instance_capture(l->m, &l->alice, vm, handle, &diag, &id);
                break;
        case 5:
                (void)volume_snapshot(l->m, &l->alice, disk, handle, &diag, &id);
                break;
        case 6:
                if (volume_create(l->m, &l->alice, l->region, handle, &diag, &id) == 0)
                        (void)volume_set_size(l->m, &l->alice, id, 1 << 20, &diag);
                break;
        case 7:
                (void)volume_set_size(l->m, &l->alice, disk, (uint64_t)(rand_r(seed) % 16 + 1) << 20, &diag);
                break;
        case 8:
                (void)instance_set(l->m, &l->alice, vm, INSTANCE_FIELD_ATTACH, handle, &diag);
                break;
        case 9:
                (void)instance_set(l->m, &l->alice, vm, INSTANCE_FIELD_DETACH, "vdb", &diag);
                break;
        case 10:
                (void)volume_remove(l->m, &l->alice, disk, &diag);
                break;
        default:
                if (volume_open(l->m, disk, true, &diag, &f) == 0) {
                        if (volume_disk(f) && volume_file_make(f) == 0)
                                (void)disk_pwrite(volume_disk(f), handle, sizeof(handle),
                                                  (uint64_t)(rand_r(seed) % 100) * 1000);
                        volume_close(f);
                }
                break;
        }
}

/* The library as another process has it, which dies after a while. */
static void live_and_die(struct library *l, uint64_t image, unsigned seed)
{
        const long ms = rand_r(&seed) % LIFE_MAX_MS;
        struct timespec life = { .tv_nsec = ms * 1000000 };
        pid_t child;

        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                if (library_open(l) < 0)
                        _exit(1);
                for (;;)
                        do_something(l, image, &seed);
        }
        (void)nanosleep(&life, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
}

static bool nothing_runs(struct library *l, uint64_t unused)
{
        (void)unused;
        return library_sql_int(l, "SELECT count(*) FROM task WHERE status IN ('queued', 'running')") == 0;
}

struct whole {
        struct blobstore *bs;
        int64_t n;
};

/* What a crash left unfinished is nobody's: it is made anew by who writes, or goes with its row. */
static int count_whole(void *ctx, const struct disk_id *id)
{
        struct whole *whole = ctx;
        struct disk *d;

        if (disk_open(whole->bs, id, &d) < 0)
                return 0;
        disk_close(d);
        whole->n++;
        return 0;
}

/* The disks that are there are those that rows say are. */
static bool disks_are_named(struct library *l)
{
        struct whole whole = { 0 };
        struct region region;

        assert_ok(region_get(l->m, l->region, &region));
        assert_ok(stores_get(l->m, region.store, NULL, &whole.bs));
        assert_ok(disk_each(whole.bs, count_whole, &whole));
        return whole.n == library_sql_int(l, "SELECT count(*) FROM volume WHERE key IS NOT NULL AND made = 1");
}

static void test_a_kill_at_any_moment(void **state)
{
        unsigned seed = (unsigned)environment_number("IMAGEFS_SEED", (uint64_t)getpid());
        uint64_t rounds = environment_number("IMAGEFS_ROUNDS", ROUNDS_DEFAULT);
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "local", "vdb");

        print_message("seed %u\n", seed);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "private-images limit=1000", library_diag(l)));
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=1000", library_diag(l)));
        /* So that what has no name goes at the next start. */
        assert_ok(limit_set_line(l->m, &l->admin, "unnamed-days 0", library_diag(l)));
        for (uint64_t i = 0; i < rounds; i++) {
                library_close(l);
                live_and_die(l, image, seed + (unsigned)i);
                assert_ok(library_open(l));
                work_assert_clean(l);
                work_wait(l, nothing_runs, 0);
                assert_int_equal(library_sql_int(l, "SELECT count(*) FROM snapshot WHERE status = 'creating'"), 0);
                for (int tries = 0; !disks_are_named(l); tries++) { /* removing disks is no event that anybody is told of */
                        assert_true(tries < 500);
                        (void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
                }
                work_wait_blobs(
                        l, (uint64_t)library_sql_int(l, "SELECT count(DISTINCT blob) FROM ("
                                                        "SELECT blob FROM snapshot UNION SELECT blob FROM image_disk"
                                                        " UNION SELECT base FROM volume)"));
                work_assert_clean(l);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_kill_at_any_moment, library_setup, library_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
