/* SPDX-License-Identifier: MIT */
/* Disks that their rows only plan: until they are written to, and whatever comes before. */

#include "tests/lib/machine.h"

#include <errno.h>
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


/* In use, but without upkeep, so that nothing happens but what a test does. */
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
        put_hex(hex, ref.disk.id.bytes, DISK_ID_SIZE);
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

static void test_a_clone_is_made_by_who_writes(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        char found[1024] = "";

        assert_base(l, disk);
        machine_wait_disks(l, 0);
        assert_int_equal(is_made(l, disk), 0);
        assert_int_equal(check(l, found), 0);
        machine_write(l, disk, "written", 7, 5000);
        machine_wait_disks(l, 1);
        assert_int_equal(is_made(l, disk), 1);
        machine_assert_bytes(l, disk, "written", 7, 5000);
        assert_int_equal(check(l, found), 0);
}

static void test_upkeep_makes_none(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);

        library_close(l);
        assert_ok(library_open(l));
        work_assert_clean(l); /* which waits for it */
        machine_wait_disks(l, 0);
        assert_int_equal(is_made(l, disk), 0);
}

/* By one that is as large as it, of zeros. */
static void test_an_empty_one_is_planned_with_its_size(void **state)
{
        struct library *l = *state;
        char found[1024] = "";
        uint64_t id, disk;

        (void)planned(l, &id);
        assert_ok(volume_create(l->m, &l->alice, l->region, "empty", library_diag(l), &disk));
        assert_ok(volume_set_size(l->m, &l->alice, disk, 1 << 20, library_diag(l)));
        machine_wait_disks(l, 0);
        machine_assert_bytes(l, disk, "\0\0\0", 3, 5000);
        assert_int_equal(check(l, found), 0);
        machine_write(l, disk, "end", 3, (1 << 20) - 3);
        machine_wait_disks(l, 1);
        assert_int_equal(check(l, found), 0);
        machine_assert_bytes(l, disk, "\0end", 4, (1 << 20) - 4);
}

/* What an earlier process made, and could not note any more, the next finds; not what it did not finish. */
static void test_what_was_not_noted_is_found(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        char path[3 * TEMPDIR_MAX];

        for (int whole = 0; whole < 2; whole++) {
                machine_write(l, disk, "written", 7, 5000);
                disk_path(l, disk, "meta", path, sizeof(path));
                if (!whole)
                        assert_ok(unlink(path));
                disk_path(l, disk, "data", path, sizeof(path));
                if (!whole)
                        assert_ok(truncate(path, 0));
                library_close(l);
                library_sql(l, "UPDATE volume SET made = 0");
                assert_ok(library_open(l));
                assert_int_equal(is_made(l, disk), whole);
                if (!whole)
                        assert_base(l, disk);
        }
        machine_assert_bytes(l, disk, "written", 7, 5000);
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
        machine_wait_disks(l, 0);
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
                if (i > 0)
                        assert_int_equal(write(fd, "garbage", 7), 7);
                (void)close(fd);
        }
        assert_base(l, disk);
        machine_write(l, disk, "written", 7, 5000);
        machine_assert_bytes(l, disk, "written", 7, 5000);
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

/* A disk of which the catalogue is too old to know, and that has lost a file. */
static void test_what_has_bytes_is_no_leftover(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        struct volume_file *f;
        char path[3 * TEMPDIR_MAX];

        machine_write(l, disk, "written", 7, 5000);
        library_close(l);
        library_sql(l, "UPDATE volume SET made = 0");
        open_unattended(l);
        disk_path(l, disk, "meta", path, sizeof(path));
        assert_ok(unlink(path));
        assert_err(volume_open(l->m, disk, true, library_diag(l), &f), -EBADMSG);
        disk_path(l, disk, "data", path, sizeof(path));
        assert_ok(access(path, F_OK));
}

static void test_one_that_was_made_and_is_gone_is_lost(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        struct volume_file *f;
        char path[3 * TEMPDIR_MAX], found[1024] = "";

        machine_write(l, disk, "written", 7, 5000);
        disk_path(l, disk, "meta", path, sizeof(path));
        assert_ok(unlink(path));
        assert_err(volume_open(l->m, disk, false, library_diag(l), &f), -ENOENT);
        assert_int_equal(check(l, found), 1);
        assert_contains(found, "it is not in the store");
        library_sql(l, "UPDATE volume SET made = 0"); /* so that the teardown's check has nothing to find */
}

static void *write_once(void *ctx)
{
        struct library *l = ctx;
        struct volume_file *f;
        struct diag diag = { 0 };
        uint64_t disk = (uint64_t)library_sql_int(l, "SELECT max(id) FROM volume");
        int r = volume_open(l->m, disk, true, &diag, &f);

        if (r < 0)
                return (void *)(intptr_t)r;
        r = volume_file_make(f);
        if (r == 0 && disk_pwrite(volume_disk(f), "written", 7, 5000) != 7)
                r = -EIO;
        volume_close(f);
        return (void *)(intptr_t)r;
}

static void test_of_several_who_write_one_makes_it(void **state)
{
        struct library *l = *state;
        pthread_t threads[8];
        uint64_t id, disk = planned(l, &id);

        for (size_t i = 0; i < 8; i++)
                assert_ok(pthread_create(&threads[i], NULL, write_once, l));
        for (size_t i = 0; i < 8; i++) {
                void *r;

                assert_ok(pthread_join(threads[i], &r));
                assert_ok((int)(intptr_t)r);
        }
        machine_wait_disks(l, 1);
        machine_assert_bytes(l, disk, "written", 7, 5000);
}

static void test_what_can_only_be_read_is_as_planned(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        struct volume_file *f;

        library_close(l);
        assert_ok(library_open_read_only(l));
        assert_base(l, disk);
        assert_ok(volume_open(l->m, disk, false, library_diag(l), &f));
        assert_err(volume_file_make(f), -EROFS);
        volume_close(f);
        library_close(l);
        open_unattended(l);
}

/* Its row goes while it is open; what it gets after that has no name. */
static void test_one_that_is_removed_while_it_is_open_leaves_nothing(void **state)
{
        struct library *l = *state;
        uint64_t id, disk = planned(l, &id);
        struct volume_file *f;

        assert_ok(volume_open(l->m, disk, false, library_diag(l), &f));
        assert_ok(instance_remove(l->m, &l->alice, id, library_diag(l)));
        assert_ok(volume_file_make(f));
        assert_int_equal(disk_pwrite(volume_disk(f), "written", 7, 5000), 7);
        machine_wait_disks(l, 0);
        volume_close(f);
        work_assert_clean(l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_a_clone_is_made_by_who_writes),
                TEST(test_upkeep_makes_none),
                TEST(test_an_empty_one_is_planned_with_its_size),
                TEST(test_what_was_not_noted_is_found),
                TEST(test_one_that_goes_before_leaves_nothing),
                TEST(test_one_grows_with_its_size),
                TEST(test_what_a_crash_left_unfinished_is_made_anew),
                TEST(test_one_that_is_there_is_not_made_again),
                TEST(test_what_has_bytes_is_no_leftover),
                TEST(test_one_that_was_made_and_is_gone_is_lost),
                TEST(test_of_several_who_write_one_makes_it),
                TEST(test_what_can_only_be_read_is_as_planned),
                TEST(test_one_that_is_removed_while_it_is_open_leaves_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
