/* SPDX-License-Identifier: MIT */

#include "model/core/private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

struct fixture {
        char dir[TEMPDIR_MAX];
        int dir_fd;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        tempdir_make(f->dir);
        f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = f;
        return f->dir_fd < 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        (void)close(f->dir_fd);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

static void make_file(struct fixture *f, const char *name, mode_t mode)
{
        int fd = openat(f->dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(fchmod(fd, mode), 0);
        (void)close(fd);
}

static unsigned mode_of(struct fixture *f, const char *name)
{
        struct stat st;

        assert_int_equal(fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
        return st.st_mode & 07777;
}

static void test_others_lose_every_right(void **state)
{
        struct fixture *f = *state;

        make_file(f, "readable", 0644);
        make_file(f, "writable", 0622);
        make_file(f, "program", 06751);
        make_file(f, ".hidden", 0604);
        assert_int_equal(mkdirat(f->dir_fd, "dir", 0700), 0);
        assert_int_equal(fchmodat(f->dir_fd, "dir", 01777, 0), 0);
        private_entries(f->dir_fd);
        assert_int_equal(mode_of(f, "readable"), 0600);
        assert_int_equal(mode_of(f, "writable"), 0600);
        assert_int_equal(mode_of(f, "program"), 0700);
        assert_int_equal(mode_of(f, ".hidden"), 0600);
        assert_int_equal(mode_of(f, "dir"), 0700);
}

static void test_what_is_private_is_not_touched(void **state)
{
        struct fixture *f = *state;

        make_file(f, "read-only", 0400);
        private_entries(f->dir_fd);
        assert_int_equal(mode_of(f, "read-only"), 0400);
}

/* A link can lead anywhere, and the directory itself is for its maker to open. */
static void test_neither_links_nor_the_directory_itself(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(fchmod(f->dir_fd, 0755), 0);
        assert_int_equal(mkdirat(f->dir_fd, "dir", 0700), 0);
        make_file(f, "dir/target", 0644);
        assert_int_equal(symlinkat("dir/target", f->dir_fd, "link"), 0);
        private_entries(f->dir_fd);
        assert_int_equal(mode_of(f, "dir/target"), 0644);
        assert_int_equal(mode_of(f, "."), 0755);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_others_lose_every_right),
                TEST(test_what_is_private_is_not_touched),
                TEST(test_neither_links_nor_the_directory_itself),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
