/* SPDX-License-Identifier: MIT */

/*
 * Removing blobs whose maps lend and borrow pages, hit at each of its system calls and at its allocations: whatever
 * fails, who borrows reads right for as long as it is there, and with the last of them the last byte goes. Each try is a
 * child of its own, of a copy of the same store; the parent opens what it left. IMAGEFS_TEST_STEP says how many calls
 * are one try apart (7; scripts/endure: 1), where the first is says the clock.
 */

#include "tests/lib/calls.h" /* first */

#include "blobstore/blobs/blob_write_priv.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define BLOCK 4096
#define PIECE_BYTES ((size_t)32 * BLOCK) /* each other block a chunk, between holes */
#define LENT_BYTES (32 * PIECE_BYTES)    /* and that so many times: some pages of a map */

/* The second borrows of the first, the third of both. They go in this order. */
enum { LENDER, CHILD, GRANDCHILD, FAMILY };
static const int order[FAMILY] = { LENDER, GRANDCHILD, CHILD };

struct world {
        struct store s;
        uint8_t *bytes[FAMILY];
        struct blob_id ids[FAMILY];
};

/* Of PIECE again and again where there is no lender; else the same as that but for a block AT. */
static void add(struct world *w, int i, struct blob *from, size_t at)
{
        struct blob_share_stats stats;
        struct blob_writer *writer;
        uint64_t seed = 50 + (uint64_t)i;
        struct blob *b;

        w->bytes[i] = malloc(LENT_BYTES);
        assert_non_null(w->bytes[i]);
        assert_ok(blob_writer_new(w->s.bs, &writer));
        if (i == LENDER) {
                for (size_t to = 0; to < LENT_BYTES; to += PIECE_BYTES) {
                        assert_int_equal(blob_pread(from, w->bytes[i] + to, PIECE_BYTES, 0), PIECE_BYTES);
                        assert_ok(blob_writer_copy(writer, from, 0, PIECE_BYTES, &stats));
                }
        } else {
                memcpy(w->bytes[i], w->bytes[i - 1], LENT_BYTES);
                random_fill(&seed, w->bytes[i] + at, BLOCK);
                assert_ok(blob_writer_share(writer, from, 0, at, &stats));
                assert_ok(blob_writer_append(writer, w->bytes[i] + at, BLOCK));
                assert_ok(blob_writer_share(writer, from, at + BLOCK, LENT_BYTES - at - BLOCK, &stats));
        }
        assert_ok(blob_writer_commit(writer, &b));
        blob_writer_free(writer);
        assert_true(i == LENDER || map_entries(b->map) > map_own_entries(b->map) + 2 * (uint64_t)MAP_PAGE_ENTRIES);
        w->ids[i] = *blob_get_id(b);
        blob_close(b);
}

static struct blob *open_blob(struct world *w, int i)
{
        struct blob *b;

        assert_ok(blob_open(w->s.bs, &w->ids[i], &b));
        return b;
}

static void shell(const struct world *w, const char *text)
{
        char command[2 * TEMPDIR_MAX];

        (void)snprintf(command, sizeof(command), "cd '%s' && %s", w->s.dir, text);
        assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
        struct world *w = calloc(1, sizeof(*w));
        uint8_t *piece = calloc(1, PIECE_BYTES);
        struct blob *b, *lender, *child;
        uint64_t seed = 7;

        assert_non_null(w);
        assert_non_null(piece);
        tempdir_make(w->s.dir);
        assert_ok(store_open(&w->s));
        for (size_t at = 0; at < PIECE_BYTES; at += 2 * (size_t)BLOCK)
                random_fill(&seed, piece + at, BLOCK);
        b = image_store(&w->s, piece, PIECE_BYTES);
        free(piece);
        add(w, LENDER, b, 0);
        assert_ok(blob_remove(w->s.bs, blob_get_id(b)));
        blob_close(b);
        lender = open_blob(w, LENDER);
        add(w, CHILD, lender, LENT_BYTES / 4);
        child = open_blob(w, CHILD);
        add(w, GRANDCHILD, child, LENT_BYTES / 2 + LENT_BYTES / 4);
        blob_close(child);
        blob_close(lender);
        (void)store_gc(&w->s);
        store_close(&w->s);
        shell(w, "mv store whole");
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        struct world *w = *state;

        for (int i = 0; i < FAMILY; i++)
                free(w->bytes[i]);
        tempdir_remove(w->s.dir);
        free(w);
        return 0;
}

/* ---- one try ---- */

/* Says after each step how far it came: which of them are to go, and 'u': the fault did not come. */
static void child_work(struct world *w, int fd, enum fault f, enum calls which, int n)
{
        struct blobstore_gc_stats stats;
        char step = '0';
        int r = 0;

        if (store_open(&w->s) < 0)
                _exit(1);
        fault = f;
        calls = which;
        atomic_store(&countdown, n);
        for (int i = 0; r == 0 && i < FAMILY; i++) {
                step++;
                if (write(fd, &step, 1) != 1)
                        _exit(2);
                r = blob_remove(w->s.bs, &w->ids[order[i]]);
                if (r == 0)
                        r = blobstore_gc(w->s.bs, NULL, NULL, NULL, 0, &stats);
        }
        if (atomic_exchange(&countdown, 0) > 0 && write(fd, "u", 1) != 1)
                _exit(3);
        store_close(&w->s);
        _exit(0);
}

static bool nothing_is_named(void *ctx, const struct blob_id *id)
{
        (void)ctx;
        (void)id;
        return false;
}

/* Those that were not to go yet read right, and the rest goes without a trace. */
static void inspect(struct world *w, int gone, uint8_t *buf)
{
        struct blobstore_gc_stats stats;
        struct blob *b;

        assert_ok(store_open(&w->s));
        store_assert_clean(&w->s);
        for (int i = gone; i < FAMILY; i++) {
                b = open_blob(w, order[i]);
                assert_int_equal(blob_pread(b, buf, LENT_BYTES, 0), LENT_BYTES);
                assert_memory_equal(buf, w->bytes[order[i]], LENT_BYTES);
                blob_close(b);
        }
        for (int i = 0; i < 2; i++) {
                assert_ok(blobstore_gc(w->s.bs, nothing_is_named, NULL, NULL, 0, &stats));
                store_assert_clean(&w->s);
        }
        assert_int_equal(store_stats(&w->s).blobs, 0);
        assert_int_equal(store_stats(&w->s).stored_bytes, 0);
        store_close(&w->s);
        shell(w, "test -z \"$(find store/maps -type f)\"");
}

/* False: the work has no such call. */
static bool hit(struct world *w, enum fault f, enum calls which, int n, uint8_t *buf)
{
        int fds[2], status, gone = 0;
        bool unharmed = false;
        char said;
        pid_t pid;

        shell(w, "rm -rf store && cp -a whole store");
        assert_ok(pipe(fds));
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                child_work(w, fds[1], f, which, n);
        (void)close(fds[1]);
        while (read(fds[0], &said, 1) == 1) {
                unharmed |= said == 'u';
                gone = said == 'u' ? gone : said - '0';
        }
        (void)close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (f == FAULT_KILL && !unharmed)
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        else
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        inspect(w, gone, buf);
        return !unharmed;
}

/* The step is as many times as large as there are more of these calls than others. */
static void hit_everywhere(struct world *w, enum fault f, enum calls which, int times)
{
        int step = times * (int)environment_number("IMAGEFS_TEST_STEP", 7);
        int n = 1 + (int)((uint64_t)time(NULL) % (uint64_t)step);
        uint8_t *buf = malloc(LENT_BYTES);

        assert_non_null(buf);
        for (; hit(w, f, which, n, buf); n += step)
                ;
        free(buf);
        print_message("%d calls\n", n);
        assert_true(n > 10);
}

static void test_killed_at_any_call_of_a_removal_what_is_lent_stays(void **state)
{
        hit_everywhere(*state, FAULT_KILL, CALLS_ALL, 1);
}

static void test_a_call_that_fails_ends_a_removal_and_the_next_one_goes_on(void **state)
{
        hit_everywhere(*state, FAULT_EIO, CALLS_ALL, 1);
        hit_everywhere(*state, FAULT_ENOSPC, CALLS_OTHERS, 1);
}

static void test_what_cannot_be_read_once_takes_nothing_along(void **state)
{
        hit_everywhere(*state, FAULT_EIO, CALLS_READS, 1);
}

static void test_without_memory_a_removal_is_put_off(void **state)
{
#ifdef CALLS_HAVE_MEMORY
        hit_everywhere(*state, FAULT_ENOMEM, CALLS_MEMORY, 60);
#else
        (void)state;
        skip();
#endif
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_killed_at_any_call_of_a_removal_what_is_lent_stays, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_call_that_fails_ends_a_removal_and_the_next_one_goes_on, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_what_cannot_be_read_once_takes_nothing_along, setup, teardown),
                cmocka_unit_test_setup_teardown(test_without_memory_a_removal_is_put_off, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
