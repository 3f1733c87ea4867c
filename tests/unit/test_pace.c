/* SPDX-License-Identifier: MIT */

/* Whose requests are answered in turn. */

#include "fs/tree/pace.h"

#include "tests/lib/expect.h"

enum { ALICE = 1001, BOB = 1002 };

/* How many of COUNT at one moment are for the lane. */
static unsigned ask(struct pace *p, uid_t uid, unsigned count, int64_t now_ms)
{
        unsigned over = 0;

        for (unsigned i = 0; i < count; i++)
                over += pace_is_over(p, uid, now_ms);
        return over;
}

static void test_only_who_asks_without_end_is(void **state)
{
        struct pace p = { 0 };
        unsigned over;

        (void)state;
        for (int64_t now = 1000; now < 3000; now += 20) {
                assert_int_equal(ask(&p, BOB, 2, now), 0);
                over = ask(&p, ALICE, 1000, now);
                assert_in_range(over, 900, 1000);
        }
}

static void test_the_moment_counts_and_not_what_was(void **state)
{
        struct pace p = { 0 };
        const int64_t far = INT64_C(1) << 50; /* the number of the tenth of a second is kept in 32 bits */

        (void)state;
        assert_int_not_equal(ask(&p, ALICE, 1000, far), 0);
        assert_false(pace_is_over(&p, ALICE, far + 100));
        assert_int_not_equal(ask(&p, ALICE, 1000, far + 150), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_only_who_asks_without_end_is),
                cmocka_unit_test(test_the_moment_counts_and_not_what_was),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
