/* SPDX-License-Identifier: MIT */

/* The log says a sentence once in its time, and how often it did not. */

#include "fs/ops/repeats.h"

#include <stdio.h>

#include "tests/lib/expect.h"

#define SECOND INT64_C(1000000)

static void test_a_sentence_is_said_once_in_its_time(void **state)
{
        struct repeats *r;
        uint64_t before = 9;

        (void)state;
        assert_ok(repeats_new(&r));
        assert_true(repeats_may_say(r, "one", 5 * SECOND, &before));
        assert_int_equal(before, 0);
        assert_false(repeats_may_say(r, "one", 6 * SECOND, &before));
        assert_true(repeats_may_say(r, "other", 6 * SECOND, &before));
        assert_false(repeats_may_say(r, "one", (4 + REPEATS_SECONDS) * SECOND, &before));
        assert_true(repeats_may_say(r, "one", (5 + REPEATS_SECONDS) * SECOND, &before));
        assert_int_equal(before, 2);
        assert_true(repeats_may_say(r, "one", (6 + 2 * REPEATS_SECONDS) * SECOND, &before));
        assert_int_equal(before, 0);
        repeats_free(r);
        repeats_free(NULL);
}

/* With more of them than are kept the oldest is said again, and counts anew. */
static void test_what_was_forgotten_is_said_again(void **state)
{
        struct repeats *r;
        uint64_t before;
        char text[16];

        (void)state;
        assert_ok(repeats_new(&r));
        assert_true(repeats_may_say(r, "first", 0, &before));
        for (int i = 1; i <= 100; i++) {
                (void)snprintf(text, sizeof(text), "%d", i);
                assert_true(repeats_may_say(r, text, i, &before));
                assert_int_equal(before, 0);
        }
        assert_false(repeats_may_say(r, "100", 101, &before));
        assert_true(repeats_may_say(r, "first", 102, &before));
        assert_int_equal(before, 0);
        repeats_free(r);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_sentence_is_said_once_in_its_time),
                cmocka_unit_test(test_what_was_forgotten_is_said_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
