/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

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

struct priority {
        struct pool_job job;
        int nice; /* that it ran at */
};

static void priority_run(struct pool_job *job)
{
        ((struct priority *)job)->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
}

struct slow_submitter {
        struct pool *pool;
        struct priority p;
        int nice;
        bool may_raise; /* root may, and then so may the pool */
};

static void *slow_submitter_main(void *ctx)
{
        struct slow_submitter *s = ctx;
        int before = getpriority(PRIO_PROCESS, (id_t)gettid());

        assert_ok(setpriority(PRIO_PROCESS, (id_t)gettid(), before + 3));
        s->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
        assert_ok(pool_submit(s->pool, &s->p.job));
        s->may_raise = setpriority(PRIO_PROCESS, (id_t)gettid(), before) == 0;
        return NULL;
}

/* Threads that an import had started kept its priority, and requests waited for pieces that were decoded at it. */
static void test_a_job_has_the_priority_of_who_submitted_it(void **state)
{
        struct slow_submitter slow = { .p.job.run = priority_run };
        struct priority after = { .job.run = priority_run };
        const int own = getpriority(PRIO_PROCESS, (id_t)gettid());
        pthread_t thread;

        (void)state;
        assert_ok(pool_new(1, &slow.pool));
        assert_ok(pthread_create(&thread, NULL, slow_submitter_main, &slow));
        assert_ok(pthread_join(thread, NULL));
        assert_ok(pool_submit(slow.pool, &after.job));
        pool_free(slow.pool);
        assert_int_equal(slow.p.nice, slow.nice);
        assert_int_equal(after.nice, slow.may_raise ? own : slow.nice);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_piece_is_done_once),
                cmocka_unit_test(test_an_error_of_one_piece_is_the_answer),
                cmocka_unit_test(test_pieces_do_not_wait_for_jobs),
                cmocka_unit_test(test_a_job_has_the_priority_of_who_submitted_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
