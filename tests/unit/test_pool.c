/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/chunks/pool.h"
#include "tests/lib/expect.h"

#define PIECES 100

struct work {
        atomic_uint calls[PIECES];
        size_t bad; /* fails; PIECES: none does */
};

static int work_piece(void *ctx, size_t i)
{
        struct work *w = ctx;

        atomic_fetch_add(&w->calls[i], 1);
        return i == w->bad ? -EBADMSG : 0;
}

/* On the heap, so that a helper that comes too late and looks at it is found out. */
static int share_once(struct pool *p, size_t n, size_t bad)
{
        struct work *w = calloc(1, sizeof(*w));
        int r;

        assert_non_null(w);
        w->bad = bad;
        r = pool_share(p, n, work_piece, w);
        for (size_t i = 0; i < PIECES; i++)
                assert_int_equal(atomic_load(&w->calls[i]), i < n);
        free(w);
        return r;
}

static void test_every_piece_is_done_once(void **state)
{
        struct pool *p;

        (void)state;
        for (unsigned threads = 1; threads <= 4; threads++) {
                assert_ok(pool_new(threads, &p));
                for (size_t n = 0; n <= PIECES; n++)
                        assert_ok(share_once(p, n, PIECES));
                pool_free(p);
        }
}

static void test_an_error_of_one_piece_is_the_answer(void **state)
{
        struct pool *p;

        (void)state;
        assert_ok(pool_new(4, &p));
        for (size_t bad = 0; bad < PIECES; bad++)
                assert_err(share_once(p, PIECES, bad), -EBADMSG);
        pool_free(p);
}

struct blocker {
        struct pool_job job;
        atomic_bool released, ended;
};

static void blocker_run(struct pool_job *job)
{
        struct blocker *b = (struct blocker *)job;

        while (!atomic_load(&b->released))
                sched_yield();
        atomic_store(&b->ended, true);
}

/* A read must not wait for an import. */
static void test_pieces_do_not_wait_for_jobs(void **state)
{
        struct blocker b[3] = { 0 };
        struct pool *p;

        (void)state;
        assert_ok(pool_new(2, &p));
        for (unsigned i = 0; i < 3; i++) {
                b[i].job.run = blocker_run;
                assert_ok(pool_submit(p, &b[i].job));
        }
        assert_ok(share_once(p, PIECES, PIECES));
        for (unsigned i = 0; i < 3; i++) {
                assert_false(atomic_load(&b[i].ended));
                atomic_store(&b[i].released, true);
        }
        pool_free(p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_piece_is_done_once),
                cmocka_unit_test(test_an_error_of_one_piece_is_the_answer),
                cmocka_unit_test(test_pieces_do_not_wait_for_jobs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
