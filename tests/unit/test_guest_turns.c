/* SPDX-License-Identifier: MIT */

/* Whose disks keep their readers busy pays for it alone, and who has many at once that do not is only kept waiting. */

#include "model/image/guest_turns.h"

#include <pthread.h>

#include "tests/lib/expect.h"

#define NEVER INT64_C(1000000000000)

static struct guest_turns *turns;

static void make(int64_t stuck_us, int64_t none_us)
{
        assert_ok(guest_turns_new(stuck_us, none_us, &turns));
}

static void take_all(uid_t uid)
{
        for (unsigned i = 0; i < GUEST_TURNS_OF_ONE_USER; i++)
                assert_true(guest_turns_take(turns, uid));
}

static void give_all(uid_t uid)
{
        for (unsigned i = 0; i < GUEST_TURNS_OF_ONE_USER; i++)
                guest_turns_give(turns, uid, false);
}

static void test_a_user_whose_disks_do_not_end_has_no_more(void **state)
{
        (void)state;
        make(1, NEVER);
        take_all(7);
        assert_false(guest_turns_take(turns, 7));
        assert_true(guest_turns_take(turns, 8)); /* another has */
        guest_turns_give(turns, 8, false);
        give_all(7);
        take_all(7);
        give_all(7);
        guest_turns_free(turns);
}

static void test_after_a_disk_that_was_given_up_there_is_none_for_a_while(void **state)
{
        (void)state;
        make(NEVER, NEVER);
        assert_true(guest_turns_take(turns, 7));
        guest_turns_give(turns, 7, true);
        assert_false(guest_turns_take(turns, 7)); /* at once, too */
        take_all(8);
        give_all(8);
        assert_false(guest_turns_take(turns, 7)); /* it is not forgotten */
        guest_turns_free(turns);

        make(NEVER, 0);
        assert_true(guest_turns_take(turns, 7));
        guest_turns_give(turns, 7, true);
        take_all(7);
        give_all(7);
        guest_turns_free(turns);
}

static void test_all_together_leave_threads_to_others(void **state)
{
        (void)state;
        make(1, NEVER);
        for (uid_t uid = 1; uid <= GUEST_TURNS_OF_ALL / GUEST_TURNS_OF_ONE_USER; uid++)
                take_all(uid);
        assert_false(guest_turns_take(turns, 100));
        guest_turns_give(turns, 1, false);
        assert_true(guest_turns_take(turns, 100));
        guest_turns_free(turns); /* with what is still out */
}

static void *take_one(void *arg)
{
        assert_true(guest_turns_take(turns, *(const uid_t *)arg));
        return NULL;
}

static void test_one_that_comes_back_is_waited_for(void **state)
{
        static const uid_t uid = 7;
        pthread_t thread;

        (void)state;
        make(NEVER, NEVER);
        take_all(uid);
        assert_int_equal(pthread_create(&thread, NULL, take_one, (void *)&uid), 0);
        guest_turns_give(turns, uid, false);
        assert_int_equal(pthread_join(thread, NULL), 0);
        give_all(uid);
        guest_turns_free(turns);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_user_whose_disks_do_not_end_has_no_more),
                cmocka_unit_test(test_after_a_disk_that_was_given_up_there_is_none_for_a_while),
                cmocka_unit_test(test_all_together_leave_threads_to_others),
                cmocka_unit_test(test_one_that_comes_back_is_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
