/* SPDX-License-Identifier: MIT */

/* Temporary files whose time is up go by themselves. They used to wait for the next request, with their bytes. */

#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/tree/dir.h"
#include "fs/tree/scratch.h"
#include "fs/tree/tree.h"
#include "model/intake/draft.h"
#include "tests/lib/expect.h"
#include "tests/lib/library.h"

/* A request of alice's, and where she makes files: her images. */
struct setting {
        struct fs fs;
        struct req rq;
        fuse_ino_t dir;
};

static void set_up(struct setting *s, struct library *l, unsigned idle_seconds)
{
        const struct node images = { .kind = KIND_IMAGES, .oid = dir_class_oid(l->region, CLASS_PRIVATE) };

        *s = (struct setting){ .fs.model = l->m, .dir = node_ino(images) };
        s->rq.fs = &s->fs;
        s->rq.caller = l->alice;
        assert_ok(scratches_new(idle_seconds, &s->fs.scratches));
}

static struct node make(struct setting *s, const char *name)
{
        struct node n;

        assert_ok(scratch_make(&s->rq, tree_kind(KIND_IMAGES), s->dir, name, &n));
        return n;
}

static bool is_there(struct setting *s, const char *name)
{
        struct node n;

        return scratch_find(s->fs.scratches, s->dir, name, s->rq.caller.uid, &n);
}

/* Hears of each file that is removed from where they lie. */
static int watch(struct library *l)
{
        char path[PATH_MAX];
        int fd = inotify_init1(IN_CLOEXEC);

        assert_true(fd >= 0);
        (void)snprintf(path, sizeof(path), "%s/lib/blobs/incoming", l->dir);
        assert_true(inotify_add_watch(fd, path, IN_DELETE) >= 0);
        return fd;
}

static void wait_removed(int fd)
{
        char buf[sizeof(struct inotify_event) + NAME_MAX + 1] __attribute__((aligned(8)));
        struct pollfd ready = { .fd = fd, .events = POLLIN };

        assert_int_equal(poll(&ready, 1, 60000), 1);
        assert_true(read(fd, buf, sizeof(buf)) > 0);
}

static void test_one_that_nobody_opens_goes_by_itself(void **state)
{
        struct setting s;
        int fd = watch(*state);

        set_up(&s, *state, 1);
        (void)make(&s, ".a");
        wait_removed(fd);
        assert_false(is_there(&s, ".a"));
        (void)make(&s, ".b"); /* after there were none */
        wait_removed(fd);
        scratches_free(s.fs.scratches);
        (void)close(fd);
}

static void test_one_that_is_open_goes_after_its_last_close(void **state)
{
        struct setting s;
        struct scratch *open;
        struct node n;
        int fd = watch(*state);

        set_up(&s, *state, 1);
        n = make(&s, ".a");
        assert_ok(scratch_get(s.fs.scratches, n, &open));
        (void)make(&s, ".b"); /* made later, it goes before */
        wait_removed(fd);
        assert_false(is_there(&s, ".b"));
        assert_true(is_there(&s, ".a"));
        scratch_closed(s.fs.scratches, open);
        scratch_put(s.fs.scratches, open);
        wait_removed(fd);
        assert_false(is_there(&s, ".a"));
        scratches_free(s.fs.scratches);
        (void)close(fd);
}

static void test_the_end_does_not_wait_for_them(void **state)
{
        struct setting s;
        int fd = watch(*state);

        set_up(&s, *state, SCRATCH_IDLE_SECONDS);
        (void)make(&s, ".a");
        assert_true(is_there(&s, ".a"));
        scratches_free(s.fs.scratches);
        wait_removed(fd);
        (void)close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_one_that_nobody_opens_goes_by_itself),
                TEST(test_one_that_is_open_goes_after_its_last_close),
                TEST(test_the_end_does_not_wait_for_them),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
