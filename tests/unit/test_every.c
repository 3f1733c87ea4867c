/* SPDX-License-Identifier: MIT */

#include "blobstore/base/every.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tests/lib/expect.h"

static bool no_threads;

int pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
        int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
        return no_threads ? EAGAIN : real(ret, attr, run, arg);
}

struct looks {
        sem_t begun, go_on;
        atomic_bool held;
        atomic_uint ended;
};

static void look(void *ctx)
{
        struct looks *l = ctx;

        (void)sem_post(&l->begun);
        if (atomic_load(&l->held))
                (void)sem_wait(&l->go_on);
        atomic_fetch_add(&l->ended, 1);
}

static void looks_init(struct looks *l)
{
        assert_ok(sem_init(&l->begun, 0, 0));
        assert_ok(sem_init(&l->go_on, 0, 0));
        atomic_store(&l->held, true);
        atomic_store(&l->ended, 0);
}

static void *stop(void *e)
{
        every_stop(e);
        return NULL;
}

static void test_looks_one_at_a_time_and_the_last_is_waited_for(void **state)
{
        struct looks l;
        struct every *e;
        pthread_t stopper;

        (void)state;
        looks_init(&l);
        assert_ok(every_start(1, look, &l, &e));
        for (unsigned i = 0; i < 3; i++) {
                (void)sem_wait(&l.begun);
                assert_int_equal(atomic_load(&l.ended), i);
                (void)sem_post(&l.go_on);
        }
        (void)sem_wait(&l.begun);
        assert_ok(pthread_create(&stopper, NULL, stop, e));
        atomic_store(&l.held, false); /* those that begin before it is stopped */
        (void)sem_post(&l.go_on);
        (void)pthread_join(stopper, NULL);
        assert_true(atomic_load(&l.ended) >= 4);
}

static void test_the_end_does_not_wait_for_the_next_look(void **state)
{
        struct looks l;
        struct every *e;

        (void)state;
        looks_init(&l);
        assert_ok(every_start(24 * 3600 * 1000, look, &l, &e));
        every_stop(e); /* the test's time is over before a day is */
        assert_int_equal(atomic_load(&l.ended), 0);
        every_stop(NULL);
}

static void test_without_a_thread_it_is_refused(void **state)
{
        struct every *e;

        (void)state;
        no_threads = true;
        assert_err(every_start(1, look, NULL, &e), -EAGAIN);
        no_threads = false;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_looks_one_at_a_time_and_the_last_is_waited_for),
                cmocka_unit_test(test_the_end_does_not_wait_for_the_next_look),
                cmocka_unit_test(test_without_a_thread_it_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
