/* SPDX-License-Identifier: MIT */
/* Sealed things in a directory: put whole, found by their names only, given back in part, removed. */

#include "blobstore/objects/objects.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

#define SIZE ((uint64_t)64 << 10)

static bool fail_syncs;

int fsync(int fd)
{
        if (fail_syncs) {
                errno = EIO;
                return -1;
        }
        return (int)syscall(SYS_fsync, fd);
}

struct fixture {
        char dir[TEMPDIR_MAX];
        int temp_fd;
        atomic_bool degraded;
        struct objects objects;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tempdir_make(f->dir);
        f->temp_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(f->temp_fd >= 0);
        assert_ok(mkdirat(f->temp_fd, "objects", 0700));
        f->objects.dir_fd = openat(f->temp_fd, "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(f->objects.dir_fd >= 0);
        f->objects.degraded = &f->degraded;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        fail_syncs = false;
        assert_ok(close(f->objects.dir_fd));
        assert_ok(close(f->temp_fd));
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

/* A whole file outside. */
static void make(struct fixture *f)
{
        int fd = openat(f->temp_fd, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        uint8_t bytes[SIZE];

        assert_true(fd >= 0);
        memset(bytes, 'x', sizeof(bytes));
        assert_ok(pwrite_full(fd, bytes, sizeof(bytes), 0));
        assert_ok(close(fd));
}

static void test_what_is_put_is_there_whole_and_gone_where_it_was(void **state)
{
        struct fixture *f = *state;
        uint64_t size, allocated;
        char byte;
        int fd;

        assert_false(objects_exists(&f->objects, "ab/name"));
        assert_err(objects_open(&f->objects, "ab/name", &fd), -ENOENT);
        assert_err(objects_stat(&f->objects, "ab/name", &size, &allocated), -ENOENT);

        make(f);
        assert_ok(objects_put(&f->objects, f->temp_fd, "new", "ab/name"));
        assert_true(objects_exists(&f->objects, "ab/name"));
        assert_int_equal(faccessat(f->temp_fd, "new", F_OK, 0), -1);
        assert_ok(objects_stat(&f->objects, "ab/name", &size, &allocated));
        assert_int_equal(size, SIZE);
        assert_ok(objects_open(&f->objects, "ab/name", &fd));
        assert_int_equal(pread_full(fd, &byte, 1, SIZE - 1), 1);
        assert_int_equal(byte, 'x');
        assert_ok(close(fd));

        make(f);
        assert_ok(objects_put(&f->objects, f->temp_fd, "new", "in-no-folder"));
        assert_true(objects_exists(&f->objects, "in-no-folder"));
}

static void test_a_link_is_not_followed(void **state)
{
        struct fixture *f = *state;
        int fd;

        make(f);
        assert_ok(symlinkat("../new", f->objects.dir_fd, "link"));
        assert_err(objects_open(&f->objects, "link", &fd), -ELOOP);
        assert_err(objects_punch(&f->objects, "link", 0, SIZE), -ELOOP);
}

static void test_part_of_one_is_given_back_and_its_length_stays(void **state)
{
        struct fixture *f = *state;
        uint64_t size, before, after;
        int r;

        make(f);
        assert_ok(objects_put(&f->objects, f->temp_fd, "new", "name"));
        assert_ok(objects_stat(&f->objects, "name", &size, &before));
        r = objects_punch(&f->objects, "name", 4096, SIZE - 4096);
        if (r == -EOPNOTSUPP)
                skip();
        assert_ok(r);
        assert_ok(objects_stat(&f->objects, "name", &size, &after));
        assert_int_equal(size, SIZE);
        assert_true(after < before);
        assert_err(objects_punch(&f->objects, "other", 0, 4096), -ENOENT);
}

static void test_renamed_and_removed_by_name(void **state)
{
        struct fixture *f = *state;

        make(f);
        assert_ok(objects_put(&f->objects, f->temp_fd, "new", "ab/name"));
        assert_ok(objects_rename(&f->objects, "ab/name", "ab/name.dead"));
        assert_err(objects_rename(&f->objects, "ab/name", "ab/name.dead"), -ENOENT);
        assert_err(objects_remove(&f->objects, "ab/name"), -ENOENT);
        assert_ok(objects_remove(&f->objects, "ab/name.dead"));
        assert_ok(objects_sync_names(&f->objects, "ab/name.dead"));
        assert_err(objects_sync_names(&f->objects, "none/name"), -ENOENT);
        assert_false(atomic_load(&f->degraded));
}

/* Only the sync: a name that cannot be given is an error of this one object. */
static void test_a_name_that_is_not_synced_degrades(void **state)
{
        struct fixture *f = *state;

        make(f);
        assert_err(objects_put(&f->objects, f->temp_fd, "none", "name"), -ENOENT);
        assert_false(atomic_load(&f->degraded));
        fail_syncs = true;
        assert_err(objects_put(&f->objects, f->temp_fd, "new", "name"), -EIO);
        assert_true(atomic_load(&f->degraded));
}

/* Else the next one puts into a folder that is taken for durable, and is told that all is well. */
static void test_a_folder_that_is_not_synced_degrades(void **state)
{
        struct fixture *f = *state;

        make(f);
        assert_ok(symlinkat("nowhere", f->objects.dir_fd, "cd"));
        assert_err(objects_put(&f->objects, f->temp_fd, "new", "cd/name"), -ENOENT);
        assert_false(atomic_load(&f->degraded));
        fail_syncs = true;
        assert_err(objects_put(&f->objects, f->temp_fd, "new", "ab/name"), -EIO);
        assert_true(atomic_load(&f->degraded));
        assert_false(objects_exists(&f->objects, "ab/name"));
}

static int count(void *ctx, const char *name)
{
        int *n = ctx;

        (void)name;
        return ++*n == 3 ? -ECANCELED : 0;
}

static void test_a_walk_ends_with_the_first_error(void **state)
{
        struct fixture *f = *state;
        int n = 0;

        make(f);
        assert_ok(dir_each(f->temp_fd, ".", count, &n)); /* the file, and the folder of objects */
        assert_int_equal(n, 2);
        assert_err(dir_each(f->temp_fd, ".", count, &n), -ECANCELED);
        assert_int_equal(n, 3);
        assert_err(dir_each(f->temp_fd, "new", count, &n), -ENOTDIR);
        assert_err(dir_each(f->temp_fd, "none", count, &n), -ENOENT);
        assert_ok(symlinkat("objects", f->temp_fd, "link"));
        assert_err(dir_each(f->temp_fd, "link", count, &n), -ENOTDIR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_what_is_put_is_there_whole_and_gone_where_it_was),
                TEST(test_a_link_is_not_followed),
                TEST(test_part_of_one_is_given_back_and_its_length_stays),
                TEST(test_renamed_and_removed_by_name),
                TEST(test_a_name_that_is_not_synced_degrades),
                TEST(test_a_folder_that_is_not_synced_degrades),
                TEST(test_a_walk_ends_with_the_first_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
