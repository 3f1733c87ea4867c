/* SPDX-License-Identifier: MIT */

/*
 * What the store promises when the disk fails or the process dies, at every single system call that changes something.
 * The calls are interposed: the one that a countdown reaches fails with an errno, or kills the process. Each try
 * is a child of its own; what it was told is done it writes into a pipe, and the parent opens the store and looks.
 * IMAGEFS_TEST_STEP says how many calls are one try apart (3; scripts/endure: 1), where the first is says the clock.
 */

#include "tests/lib/calls.h" /* first */

#include "blobstore/blobs/intake.h"
#include "blobstore/disks/disk.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/expect.h"
#include "tests/lib/random.h"
#include "tests/lib/store.h"

#define KIB 1024

/* ---- one try ---- */

typedef int write_fn(struct blobstore *bs, const uint8_t *bytes, size_t n, struct blob **ret);

struct
try {
        struct store s;
        write_fn *write;
        uint8_t *old_bytes, *new_bytes;
        size_t n;
        struct blob_id old;

        /* What the child said. */
        bool wrote, removing, removed, unharmed, degraded;
        struct blob_id new;
};

struct message {
        char what; /* 'w'rote, removal 'b'egins, 'r'emoved, 'u'nharmed: the fault did not come, 'd'egraded */
        struct blob_id id;
};

static void say(int fd, char what, const struct blob_id *id)
{
        struct message m = { .what = what };

        if (id)
                m.id = *id;
        if (write(fd, &m, sizeof(m)) != sizeof(m))
                abort();
}

static int child_work(struct try *t, int fd)
{
        struct blobstore_gc_stats stats;
        struct blob *b;
        int r;

        r = store_open(&t->s);
        if (r < 0)
                return r;
        r = t->write(t->s.bs, t->new_bytes, t->n, &b);
        if (r == 0) {
                say(fd, 'w', blob_get_id(b));
                blob_close(b);
        }
        if (blobstore_is_degraded(t->s.bs)) {
                say(fd, 'd', NULL);
                assert_err(image_write(t->s.bs, t->new_bytes, t->n, &b), -EROFS);
                assert_err(blob_remove(t->s.bs, &t->old), -EROFS);
        }
        say(fd, 'b', NULL);
        r = blob_remove(t->s.bs, &t->old);
        if (r == 0)
                say(fd, 'r', NULL);
        if (r == 0)
                r = blobstore_gc(t->s.bs, NULL, NULL, NULL, 0, &stats);
        store_close(&t->s);
        return r;
}

/* Runs the work in a child whose Nth call is hit. */
static void try_run(struct try *t, enum fault f, enum calls which, int n)
{
        struct message m;
        int fds[2], status;
        pid_t pid;

        assert_ok(pipe(fds));
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)close(fds[0]);
                fault = f;
                calls = which;
                atomic_store(&countdown, n);
                (void)child_work(t, fds[1]);
                if (atomic_load(&countdown) > 0)
                        say(fds[1], 'u', NULL);
                _exit(0);
        }
        (void)close(fds[1]);
        while (read(fds[0], &m, sizeof(m)) == sizeof(m)) {
                t->wrote |= m.what == 'w';
                t->removing |= m.what == 'b';
                t->removed |= m.what == 'r';
                t->unharmed |= m.what == 'u';
                t->degraded |= m.what == 'd';
                if (m.what == 'w')
                        t->new = m.id;
        }
        (void)close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (f == FAULT_KILL && !t->unharmed)
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        else
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool is_named(void *ctx, const struct blob_id *id)
{
        struct try *t = ctx;

        return (t->wrote && memcmp(id, &t->new, sizeof(*id)) == 0) ||
               (!t->removing && memcmp(id, &t->old, sizeof(*id)) == 0);
}

static void try_inspect(struct try *t)
{
        struct blobstore_gc_stats stats;
        struct blob *b;
        int r;

        assert_ok(store_open(&t->s));
        store_assert_clean(&t->s);
        r = blob_open(t->s.bs, &t->old, &b);
        if (t->removed || (t->removing && r < 0)) {
                assert_err(r, -ENOENT);
        } else {
                assert_ok(r);
                image_assert_same(b, t->old_bytes, t->n);
                blob_close(b);
        }
        if (t->wrote) {
                assert_ok(blob_open(t->s.bs, &t->new, &b));
                image_assert_same(b, t->new_bytes, t->n);
                blob_close(b);
        }

        assert_ok(blobstore_gc(t->s.bs, is_named, NULL, t, 0, &stats));
        store_assert_clean(&t->s);
        assert_int_equal(store_stats(&t->s).blobs, t->wrote + !t->removing);

        /* And nothing leaks: with the last blob the last byte goes. */
        t->wrote = false;
        t->removing = true;
        assert_ok(blobstore_gc(t->s.bs, is_named, NULL, t, 0, &stats));
        store_assert_clean(&t->s);
        assert_int_equal(store_stats(&t->s).stored_bytes, 0);
        assert_true(store_segment_bytes(&t->s) <= 4 * 8192);
        store_close(&t->s);
}

static void try_begin(struct try *t, write_fn *write)
{
        struct blob *b;

        *t = (struct try){ .write = write, .n = write == image_write ? 700 * KIB : 150 * KIB };
        tempdir_make(t->s.dir);
        assert_ok(store_open(&t->s));
        t->old_bytes = image_make(1, t->n);
        t->new_bytes = image_make(2, t->n);
        memcpy(t->new_bytes, t->old_bytes, t->n / 2);
        b = image_store(&t->s, t->old_bytes, t->n);
        t->old = *blob_get_id(b);
        blob_close(b);
        store_close(&t->s);
}

static void try_end(struct try *t)
{
        free(t->old_bytes);
        free(t->new_bytes);
        tempdir_remove(t->s.dir);
}

static bool never(void *ctx)
{
        (void)ctx;
        return false;
}

/* And moves all that there is. */
static int image_write_and_tidy(struct blobstore *bs, const uint8_t *bytes, size_t n, struct blob **ret)
{
        struct blobstore_tidy_stats moved = { 0 };
        struct blobstore_gc_stats stats;
        int r = image_write(bs, bytes, n, ret);

        if (r == 0 && blobstore_tidy(bs, never, NULL, &moved) > 0)
                (void)blobstore_gc(bs, NULL, NULL, NULL, 0, &stats);
        return r;
}

static int fault_everywhere(enum fault f, enum calls which, write_fn *write)
{
        struct try t;
        /* What is not new with streams and tidying has its turn with a plain writer: fewer calls will do for them. */
        int every = which == CALLS_SYNCS ? 1 : (int)environment_number("IMAGEFS_TEST_STEP", 3); /* syncs are few */
        int degraded = 0;
        int step = write == image_write ? every : write == image_write_and_tidy ? 5 * every : 2 * every;
        int n = 1 + (int)((uint64_t)time(NULL) % (uint64_t)step) - step;
        bool unharmed;

        do {
                n += step;
                try_begin(&t, write);
                try_run(&t, f, which, n);
                unharmed = t.unharmed;
                degraded += t.degraded;
                try_inspect(&t);
                try_end(&t);
        } while (!unharmed);
        assert_true(n > 10);
        return degraded;
}

static void test_tidying_loses_nothing_whatever_befalls_it(void **state)
{
        (void)state;
        (void)fault_everywhere(FAULT_KILL, CALLS_ALL, image_write_and_tidy);
        (void)fault_everywhere(FAULT_ENOSPC, CALLS_ALL, image_write_and_tidy);
        (void)fault_everywhere(FAULT_EIO, CALLS_ALL, image_write_and_tidy);
}

static void test_killed_at_any_call_nothing_acknowledged_is_lost(void **state)
{
        (void)state;
        (void)fault_everywhere(FAULT_KILL, CALLS_ALL, image_write);
}

static void test_no_space_at_any_call_loses_nothing_acknowledged(void **state)
{
        (void)state;
        (void)fault_everywhere(FAULT_ENOSPC, CALLS_ALL, image_write);
}

/* SQLite's word for it is that for a disk that fails, at which all writing ended. */
static void test_quota_of_the_disk_at_any_write_is_like_a_full_disk(void **state)
{
        (void)state;
        assert_int_equal(fault_everywhere(FAULT_EDQUOT, CALLS_OTHERS, image_write), 0);
}

static void test_error_at_any_call_loses_nothing_acknowledged(void **state)
{
        (void)state;
        (void)fault_everywhere(FAULT_EIO, CALLS_ALL, image_write);
}

static void test_failed_sync_ends_all_writing(void **state)
{
        (void)state;
        assert_true(fault_everywhere(FAULT_EIO, CALLS_SYNCS, image_write) >= 5);
}

/* ---- what is stored while it comes in ---- */

/* Stored while it comes, and then put into the file: the commit of one that stays a stream is that of any writer. */
static int intake_halves(struct intake *in, const uint8_t *bytes, size_t n)
{
        size_t half = n / 2 + 1;
        int r;

        r = intake_write(in, bytes, half, 0, NULL, NULL);
        if (r == 0)
                r = intake_sync(in);
        if (r == 0)
                r = intake_renew(in, 0);
        if (r == 0)
                r = intake_write(in, bytes + half, n - half, half, NULL, NULL);
        if (r == 0)
                r = intake_write(in, bytes, 1, 0, NULL, NULL);
        return r;
}

static int write_file(struct blobstore *bs, int fd, size_t n, struct blob **ret)
{
        uint8_t *bytes = malloc(n);
        int r;

        assert_non_null(bytes);
        assert_int_equal(pread(fd, bytes, n, 0), n);
        r = image_write(bs, bytes, n, ret);
        free(bytes);
        return r;
}

static bool is_plain(void *ctx, const uint8_t *start)
{
        (void)ctx;
        (void)start;
        return true;
}

static int write_settled(struct blobstore *bs, const uint8_t *bytes, size_t n, struct blob **ret)
{
        static const struct intake_ops ops = { .begins_plain = is_plain, .room = store_any_room };
        int fd = openat(blobstore_incoming_dir(bs), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), r;
        struct intake *in;

        assert_true(fd >= 0);
        r = intake_new(bs, fd, &ops, NULL, &in);
        if (r < 0)
                return r;
        r = intake_halves(in, bytes, n);
        if (r == 0)
                r = intake_settle(in, NULL, NULL);
        if (r == 0)
                r = write_file(bs, fd, n, ret);
        intake_free(in);
        (void)close(fd);
        return r;
}

static void test_the_same_holds_for_streams_that_end_as_files(void **state)
{
        (void)state;
        (void)fault_everywhere(FAULT_KILL, CALLS_ALL, write_settled);
        (void)fault_everywhere(FAULT_ENOSPC, CALLS_ALL, write_settled);
}

/* ---- writable disks ---- */

struct disk_try {
        struct disk_id id;
        bool made, grown, removing, unharmed, failed, degraded;
};

/* Makes a disk, writes to it, grows and removes it; gives what became of it. */
static int disk_work(struct store *s, struct disk_try *t)
{
        struct disk *d = NULL;
        int r;

        r = disk_create(s->bs, NULL, 64 * KIB, &t->id);
        t->made = r == 0;
        if (r == 0)
                r = disk_open(s->bs, &t->id, &d);
        if (r == 0)
                r = disk_pwrite(d, "x", 1, 5 * KIB) == 1 ? disk_sync(d) : -EIO;
        if (r == 0)
                r = disk_resize(d, 128 * KIB);
        t->grown = r == 0;
        disk_close(d);
        t->removing = r == 0;
        return r < 0 ? r : disk_remove(s->bs, &t->id);
}

/* A disk_each_fn. */
static int remove_disk(void *ctx, const struct disk_id *id)
{
        return disk_remove(ctx, id);
}

/* Does the work in a child whose Nth call is hit, and looks at what it leaves. */
static void disk_try(enum fault f, enum calls which, int n, struct disk_try *ret)
{
        char command[3 * TEMPDIR_MAX], path[2 * TEMPDIR_MAX];
        struct store s = { 0 };
        int fds[2], status;
        struct disk *d;
        char byte = 0;
        pid_t pid;

        tempdir_make(s.dir);
        assert_ok(store_open(&s));
        store_close(&s);
        assert_ok(pipe(fds));
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                struct disk_try t = { 0 };
                struct disk_id id;

                if (store_open(&s) < 0)
                        _exit(1);
                fault = f;
                calls = which;
                atomic_store(&countdown, n);
                t.failed = disk_work(&s, &t) < 0;
                t.unharmed = atomic_load(&countdown) > 0;
                t.degraded = blobstore_is_degraded(s.bs);
                if (t.degraded && disk_create(s.bs, NULL, KIB, &id) != -EROFS)
                        _exit(2);
                if (write(fds[1], &t, sizeof(t)) != sizeof(t))
                        _exit(3);
                store_close(&s);
                _exit(0);
        }
        (void)close(fds[1]);
        *ret = (struct disk_try){ 0 };
        if (read(fds[0], ret, sizeof(*ret)) != sizeof(*ret))
                assert_int_equal(f, FAULT_KILL);
        (void)close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (f != FAULT_KILL)
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);

        assert_ok(store_open(&s));
        store_assert_clean(&s);
        if (ret->made && !ret->removing) {
                assert_ok(disk_open(s.bs, &ret->id, &d));
                assert_true(disk_get_size(d) == 128 * KIB || !ret->grown);
                assert_int_equal(disk_pread(d, &byte, 1, 5 * KIB), 1);
                assert_true(byte == 'x' || !ret->grown);
                disk_close(d);
        }
        /* What is not named by anybody is found, and goes with all its files. */
        assert_ok(disk_each(s.bs, remove_disk, s.bs));
        store_path(&s, "disks", path);
        (void)snprintf(command, sizeof(command), "test -z \"$(ls %s)\"", path);
        assert_int_equal(system(command), 0);
        store_close(&s);
        tempdir_remove(s.dir);
}

static void test_disk_leaves_nothing_behind_whatever_call_fails(void **state)
{
        static const enum fault faults[] = { FAULT_KILL, FAULT_EIO, FAULT_ENOSPC };
        struct disk_try t;

        (void)state;
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
                int n = 0;

                do
                        disk_try(faults[i], CALLS_ALL, ++n, &t);
                while (!t.unharmed);
                assert_true(n > 10);
        }
}

static void test_failed_sync_of_a_disk_ends_all_writing(void **state)
{
        struct disk_try t;
        int n = 0;

        (void)state;
        for (;;) {
                disk_try(FAULT_EIO, CALLS_SYNCS, ++n, &t);
                if (t.unharmed)
                        break;
                assert_true(t.failed);
                assert_true(t.degraded);
        }
        assert_true(n > 8);
}

/* ---- opening ---- */

/* Makes a store in a child whose Nth call is hit; false: it had no such call. */
static bool create_hit(struct store *s, enum fault f, int n)
{
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                fault = f;
                atomic_store(&countdown, n);
                if (store_open(s) == 0)
                        store_close(s);
                _exit(atomic_load(&countdown) > 0 ? 1 : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) || f == FAULT_KILL);
        return WIFSIGNALED(status) || WEXITSTATUS(status) == 0;
}

/* A stray file of SQLite's, or of the mark that the index is to be made again, was taken for somebody else's. */
static void test_creation_goes_on_wherever_it_was_interrupted(void **state)
{
        static const enum fault faults[] = { FAULT_KILL, FAULT_EIO, FAULT_ENOSPC };
        struct store s;
        bool hit;

        (void)state;
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
                for (int n = 1; n == 1 || hit; n++) {
                        s = (struct store){ 0 };
                        tempdir_make(s.dir);
                        hit = create_hit(&s, faults[i], n);
                        assert_ok(store_open(&s));
                        store_assert_clean(&s);
                        store_close(&s);
                        tempdir_remove(s.dir);
                        assert_true(hit || n > 10);
                }
        }
}

/* The error was lost, and the index was made without the blob's chunks: the next collection punched them. */
static void test_a_map_that_could_not_be_read_loses_no_chunk(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(1, 700 * KIB);
        struct blob *b = image_store(s, bytes, 700 * KIB);
        struct blob_id id = *blob_get_id(b);
        char path[2 * TEMPDIR_MAX];

        blob_close(b);
        store_close(s);
        store_path(s, "index.db", path);
        assert_ok(unlink(path));
        atomic_store(&bad_offset, 4096); /* the first page behind a map's header */
        assert_ok(store_open(s));
        assert_int_equal(atomic_load(&bad_offset), -1);
        assert_true(store_gc(s).withheld);
        assert_ok(blob_open(s->bs, &id, &b));
        image_assert_same(b, bytes, 700 * KIB);
        blob_close(b);

        /* By then it can be read. */
        store_reopen(s);
        assert_false(store_gc(s).withheld);
        store_assert_clean(s);
        assert_ok(blob_open(s->bs, &id, &b));
        image_assert_same(b, bytes, 700 * KIB);
        blob_close(b);
        free(bytes);
}

/* ---- killed at random, with many threads at work ---- */

static void churn(struct store *s, int fd, uint64_t seed)
{
        struct blobstore_gc_stats stats;
        struct blob_id ids[4];
        int n = 0;

        if (store_open(s) < 0)
                _exit(1);
        for (;; seed++) {
                size_t size = 1 + random_next(&seed) % (2 * KIB * KIB);
                uint8_t *bytes = image_make(seed % 50, size);
                struct blob *b;

                if (image_write(s->bs, bytes, size, &b) < 0)
                        _exit(2);
                say(fd, 'w', blob_get_id(b));
                if (n == 4) {
                        say(fd, 'b', &ids[0]);
                        if (blob_remove(s->bs, &ids[0]) < 0)
                                _exit(3);
                        memmove(ids, ids + 1, sizeof(ids) - sizeof(ids[0]));
                        n = 3;
                }
                ids[n++] = *blob_get_id(b);
                blob_close(b);
                free(bytes);
                if (seed % 3 == 0 && blobstore_gc(s->bs, NULL, NULL, NULL, 0, &stats) < 0)
                        _exit(4);
        }
}

struct names {
        struct message said[4096];
        size_t n;
};

static bool is_said(void *ctx, const struct blob_id *id)
{
        struct names *names = ctx;
        bool there = false;

        for (size_t i = 0; i < names->n; i++)
                if (memcmp(&names->said[i].id, id, sizeof(*id)) == 0)
                        there = names->said[i].what == 'w';
        return there;
}

static void test_killed_at_any_moment_again_and_again(void **state)
{
        struct names *names = calloc(1, sizeof(*names));
        struct store *s = *state;
        uint64_t seed = (uint64_t)time(NULL);
        const char *given = getenv("TEST_SEED");
        struct blobstore_gc_stats stats;

        assert_non_null(names);
        if (given)
                seed = strtoull(given, NULL, 10);
        print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
        for (int round = 0; round < 12; round++) {
                struct timespec pause = { .tv_nsec = (long)(random_next(&seed) % 150000000) + 5000000 };
                int fds[2], status;
                pid_t pid;

                store_close(s);
                assert_ok(pipe(fds));
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0) {
                        (void)close(fds[0]);
                        churn(s, fds[1], seed);
                }
                (void)close(fds[1]);
                (void)nanosleep(&pause, NULL);
                (void)kill(pid, SIGKILL);
                while (names->n < 4096 && read(fds[0], &names->said[names->n], sizeof(names->said[0])) > 0)
                        names->n++;
                (void)close(fds[0]);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status));

                assert_ok(store_open(s));
                store_assert_clean(s);
                assert_ok(blobstore_gc(s->bs, is_said, NULL, names, 0, &stats));
                store_assert_clean(s);
                for (size_t i = 0; i < names->n; i++) {
                        struct blob *b;

                        if (!is_said(names, &names->said[i].id))
                                continue;
                        assert_ok(blob_open(s->bs, &names->said[i].id, &b));
                        blob_close(b);
                }
        }
        names->n = 0;
        assert_ok(blobstore_gc(s->bs, is_said, NULL, names, 0, &stats));
        assert_int_equal(store_stats(s).chunks, 0);
        free(names);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tidying_loses_nothing_whatever_befalls_it),
                cmocka_unit_test(test_killed_at_any_call_nothing_acknowledged_is_lost),
                cmocka_unit_test(test_no_space_at_any_call_loses_nothing_acknowledged),
                cmocka_unit_test(test_quota_of_the_disk_at_any_write_is_like_a_full_disk),
                cmocka_unit_test(test_error_at_any_call_loses_nothing_acknowledged),
                cmocka_unit_test(test_failed_sync_ends_all_writing),
                cmocka_unit_test(test_the_same_holds_for_streams_that_end_as_files),
                cmocka_unit_test(test_disk_leaves_nothing_behind_whatever_call_fails),
                cmocka_unit_test(test_failed_sync_of_a_disk_ends_all_writing),
                cmocka_unit_test(test_creation_goes_on_wherever_it_was_interrupted),
                cmocka_unit_test_setup_teardown(test_a_map_that_could_not_be_read_loses_no_chunk, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_killed_at_any_moment_again_and_again, store_setup, store_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
