/* SPDX-License-Identifier: MIT */

#include "blobstore/base/thread_share.h"

#include <pthread.h>

#include "blobstore/base/thread.h"
#include "tests/lib/expect.h"

#define MS INT64_C(1000000)

/* A fifth of the time, however it is asked for: what was used in one go is waited for afterwards. */
static void test_a_share_is_had_and_no_more(void **state)
{
        struct thread_share s = { .percent = 20 };
        int64_t now = 1000000 * MS, quick = 0;

        (void)state;
        for (int i = 0; i < 1000; i++) {
                if (thread_share_use(&s, 0, now)) {
                        (void)thread_share_use(&s, 5 * MS, now);
                        quick += 5 * MS;
                }
                now += 5 * MS;
        }
        assert_in_range(quick, 950 * MS, 1100 * MS);
        assert_false(thread_share_use(&s, 100 * MS, now));
        assert_false(thread_share_use(&s, 0, now + 200 * MS));
        assert_true(thread_share_use(&s, 0, now + 600 * MS));
}

/* Who was idle for an hour has a moment ahead, and not an hour's share. */
static void test_what_was_not_used_is_gone(void **state)
{
        struct thread_share s = { .percent = 20 };
        const int64_t now = 1000000 * MS;

        (void)state;
        assert_true(thread_share_use(&s, 5 * MS, now));
        assert_true(thread_share_use(&s, 40 * MS, now + 3600000 * MS));
        assert_false(thread_share_use(&s, 40 * MS, now + 3600000 * MS));
}

static void test_none_is_sure_of_nothing(void **state)
{
        struct thread_share s = { 0 };

        (void)state;
        assert_false(thread_share_use(&s, 0, 1000000 * MS));
}

static void *step(void *share)
{
        const int before = getpriority(PRIO_PROCESS, (id_t)gettid());

        if (share)
                thread_share_join(share);
        thread_share_step();
        return (void *)(intptr_t)(getpriority(PRIO_PROCESS, (id_t)gettid()) - before);
}

/* Of this thread alone, and of none that has not joined. */
static void test_the_thread_goes_after_requests_when_it_has_had_its_share(void **state)
{
        struct thread_share s = { .percent = 20 };
        pthread_t thread;
        void *change;

        (void)state;
        (void)thread_share_use(&s, 3600000 * MS, INT64_MAX / 2);
        assert_int_equal(pthread_create(&thread, NULL, step, NULL), 0);
        assert_int_equal(pthread_join(thread, &change), 0);
        assert_int_equal((intptr_t)change, 0);
        assert_int_equal(pthread_create(&thread, NULL, step, &s), 0);
        assert_int_equal(pthread_join(thread, &change), 0);
        assert_int_equal((intptr_t)change, THREAD_NICE_LONG - getpriority(PRIO_PROCESS, (id_t)gettid()));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_share_is_had_and_no_more),
                cmocka_unit_test(test_what_was_not_used_is_gone),
                cmocka_unit_test(test_none_is_sure_of_nothing),
                cmocka_unit_test(test_the_thread_goes_after_requests_when_it_has_had_its_share),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
