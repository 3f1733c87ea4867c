/* SPDX-License-Identifier: MIT */
/* Disks of clones, which their rows only plan: until they are needed, and whatever comes before. */

#include "tests/lib/machine.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/parse.h"
#include "model/check.h"
#include "model/core/jobs.h"
#include "model/core/state.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_row.h"


/* In use, but without upkeep, which would make what is planned. */
static void open_unattended(struct library *l)
{
        assert_ok(library_open_idle(l));
        assert_ok(volumes_open(&l->m->volumes));
        assert_ok(jobs_new(&l->m->jobs));
}

/* A machine of alice's in such a library; its disk. */
static uint64_t planned(struct library *l, uint64_t *ret_instance)
{
        uint64_t image = machine_image(l, "web", "local", "");

        library_close(l);
        open_unattended(l);
        *ret_instance = machine_make(l, image, "vm1");
        return machine_disk(l, *ret_instance, "vda").o.id;
}

static int64_t is_made(struct library *l, uint64_t volume)
{
        return library_sql_int(l, "SELECT made FROM volume WHERE id = %llu", (unsigned long long)volume);
}

static void assert_base(struct library *l, uint64_t volume)
{
        uint8_t *bytes = work_bytes(MACHINE_SIZE, 1);

        machine_assert_bytes(l, volume, bytes, MACHINE_SIZE, 0);
        free(bytes);
}

/* DIR/lib/blobs/disks/KEY.SUFFIX */
static void disk_path(struct library *l, uint64_t volume, const char *suffix, char *buf, size_t size)
{
        struct volume_disk_ref ref;
        char hex[2 * DISK_ID_SIZE + 1];
        DB_TXN(t);

        assert_ok(db_begin(l->m->db, DB_READ, &t));
        assert_ok(volume_load_disk(&t, volume, &ref));
        put_hex(hex, ref.key.bytes, DISK_ID_SIZE);
        hex[2 * DISK_ID_SIZE] = '\0';
        (void)snprintf(buf, size, "%s/lib/blobs/disks/%s.%s", l->dir, hex, suffix);
}

static void ignore(void *ctx, const char *text)
{
        (void)snprintf(ctx, 1024, "%s", text);
}

/* Gives the number of findings. */
static int check(struct library *l, char found[1024])
{
        char path[2 * TEMPDIR_MAX];
        int r;

        library_close(l);
        (void)snprintf(path, sizeof(path), "%s/lib", l->dir);
        r = model_check(path, false, NULL, ignore, found, library_diag(l));
        open_unattended(l);
        return r;
}

static void test_a_clone_is_made_by_who_needs_it(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        char found[1024] = "";

        machine_wait_disks(l, 0);
        assert_int_equal(is_made(l, disk), 0);
        assert_int_equal(check(l, found), 0);
        assert_base(l, disk);
        machine_wait_disks(l, 1);
        assert_int_equal(is_made(l, disk), 1);
        assert_int_equal(check(l, found), 0);
}

static void test_one_that_nobody_needs_is_made_by_upkeep(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);

        library_close(l);
        assert_ok(library_open(l));
        machine_wait_disks(l, 1);
        library_close(l);
        assert_int_equal(is_made(l, disk), 1);
        assert_ok(library_open(l));
        work_assert_clean(l);
}

static void test_one_that_goes_before_leaves_nothing(void **state)
{
        struct library *l = *state;
        uint64_t id;

        (void)planned(l, &id);
        assert_ok(instance_remove(l->m, &l->alice, id, library_diag(l)));
        library_close(l);
        assert_ok(library_open(l));
        machine_wait_disks(l, 0);
        work_assert_clean(l);
}

static void test_one_grows_with_its_size(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        char found[1024] = "";

        assert_ok(volume_set_size(l->m, &l->alice, disk, MACHINE_SIZE + 4096, library_diag(l)));
        assert_int_equal(machine_disk(l, id, "vda").size_bytes, MACHINE_SIZE + 4096);
        assert_base(l, disk);
        machine_write(l, disk, "end", 3, MACHINE_SIZE + 4093);
        assert_int_equal(check(l, found), 0);
}

/* The crash came before the file that completes a disk. */
static void test_what_a_crash_left_unfinished_is_made_anew(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        static const char *const left[] = { "data", "bitmap", "meta.tmp" };
        char path[3 * TEMPDIR_MAX];

        for (size_t i = 0; i < 3; i++) {
                int fd;

                disk_path(l, disk, left[i], path, sizeof(path));
                fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                assert_true(fd >= 0);
                assert_int_equal(write(fd, "garbage", 7), 7);
                (void)close(fd);
        }
        assert_base(l, disk);
        work_assert_clean(l);
}

/* That the row says so is not waited for, and an older copy of the catalogue does not know: what is written stays. */
static void test_one_that_is_there_is_not_made_again(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);

        machine_write(l, disk, "written", 7, 5000);
        library_close(l);
        library_sql(l, "UPDATE volume SET made = 0");
        open_unattended(l);
        machine_assert_bytes(l, disk, "written", 7, 5000);
        library_close(l);
        assert_int_equal(is_made(l, disk), 1);
        open_unattended(l);
}

static void test_one_that_was_made_and_is_gone_is_lost(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        struct volume_file *f;
        char path[3 * TEMPDIR_MAX], found[1024] = "";

        assert_base(l, disk);
        disk_path(l, disk, "meta", path, sizeof(path));
        assert_ok(unlink(path));
        assert_err(volume_open(l->m, disk, false, library_diag(l), &f), -ENOENT);
        assert_int_equal(check(l, found), 1);
        assert_contains(found, "it is not in the store");
        library_sql(l, "UPDATE volume SET made = 0"); /* so that the teardown's check has nothing to find */
}

static void *open_once(void *ctx)
{
        struct library *l = ctx;
        struct volume_file *f;
        struct diag diag = { 0 };
        uint64_t disk = (uint64_t)library_sql_int(l, "SELECT max(id) FROM volume");
        int r = volume_open(l->m, disk, false, &diag, &f);

        if (r == 0)
                volume_close(f);
        return (void *)(intptr_t)r;
}

static void test_of_several_who_need_it_one_makes_it(void **state)
{
        struct library *l = *state;
        pthread_t threads[8];
        uint64_t id;

        (void)planned(l, &id);
        for (size_t i = 0; i < 8; i++)
                assert_ok(pthread_create(&threads[i], NULL, open_once, l));
        for (size_t i = 0; i < 8; i++) {
                void *r;

                assert_ok(pthread_join(threads[i], &r));
                assert_ok((int)(intptr_t)r);
        }
        machine_wait_disks(l, 1);
}

static void test_what_can_only_be_read_says_why_there_is_none(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        struct volume_file *f;

        library_close(l);
        assert_ok(library_open_read_only(l));
        assert_refused(l, volume_open(l->m, disk, false, library_diag(l), &f), -EIO);
        library_close(l);
        open_unattended(l);
        assert_base(l, disk);
        library_close(l);
        library_sql(l, "UPDATE volume SET made = 0");
        assert_ok(library_open_read_only(l));
        assert_base(l, disk);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_a_clone_is_made_by_who_needs_it),
                TEST(test_one_that_nobody_needs_is_made_by_upkeep),
                TEST(test_one_that_goes_before_leaves_nothing),
                TEST(test_one_grows_with_its_size),
                TEST(test_what_a_crash_left_unfinished_is_made_anew),
                TEST(test_one_that_is_there_is_not_made_again),
                TEST(test_one_that_was_made_and_is_gone_is_lost),
                TEST(test_of_several_who_need_it_one_makes_it),
                TEST(test_what_can_only_be_read_says_why_there_is_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
