/* SPDX-License-Identifier: MIT */

#include "tests/lib/expect.h"
#include "tests/lib/fault.h"
#include "tests/lib/library.h"

struct seen {
        unsigned n;
        uid_t uid;
        int error;
        int64_t at_us;
        char last[64];
};

static int see(void *ctx, int64_t at_us, uid_t uid, int error, const char *sentence)
{
        struct seen *seen = ctx;

        assert_true(at_us >= seen->at_us);
        seen->at_us = at_us;
        seen->n++;
        seen->uid = uid;
        seen->error = error;
        (void)snprintf(seen->last, sizeof(seen->last), "%s", sentence);
        return 0;
}

static void test_the_newest_of_an_object_is_its_last(void **state)
{
        struct library *l = *state;
        int64_t at;
        char text[64] = "x";

        assert_ok(refusal_last(l->m, &l->alice, OBJECT_IMAGE, 1, text, sizeof(text), &at));
        assert_string_equal(text, "");
        assert_int_equal(at, 0);
        refusal_record(l->m, &l->alice, OBJECT_IMAGE, 1, -EBUSY, "first");
        refusal_record(l->m, &l->alice, OBJECT_IMAGE, 1, -EPERM, "second");
        refusal_record(l->m, &l->alice, OBJECT_IMAGE, 2, -EPERM, "another image");
        refusal_record(l->m, &l->alice, OBJECT_SNAPSHOT, 1, -EPERM, "a snapshot");
        assert_ok(refusal_last(l->m, &l->alice, OBJECT_IMAGE, 1, text, sizeof(text), &at));
        assert_string_equal(text, "second");
        assert_true(at > 0);

        /* A public object's readers are not shown what others were told about it. */
        assert_ok(refusal_last(l->m, &l->bob, OBJECT_IMAGE, 1, text, sizeof(text), &at));
        assert_string_equal(text, "");
        refusal_record(l->m, &l->bob, OBJECT_IMAGE, 1, -EBUSY, "his");
        assert_ok(refusal_last(l->m, &l->alice, OBJECT_IMAGE, 1, text, sizeof(text), &at));
        assert_string_equal(text, "second");
        assert_ok(refusal_last(l->m, &l->admin, OBJECT_IMAGE, 1, text, sizeof(text), &at));
        assert_string_equal(text, "his");
}

static void test_users_see_their_own_and_the_administrator_all(void **state)
{
        struct library *l = *state;
        struct seen seen = { 0 };

        refusal_record(l->m, &l->alice, OBJECT_NONE, 0, -EINVAL, "hers");
        refusal_record(l->m, &l->bob, OBJECT_NONE, 0, -EDQUOT, "his");
        assert_ok(refusal_each(l->m, &l->alice, see, &seen));
        assert_int_equal(seen.n, 1);
        assert_string_equal(seen.last, "hers");
        assert_err(seen.error, -EINVAL);
        seen = (struct seen){ 0 };
        assert_ok(refusal_each(l->m, &l->admin, see, &seen));
        assert_int_equal(seen.n, 2);
        assert_string_equal(seen.last, "his");
        assert_int_equal(seen.uid, l->bob.uid);
}

static void test_nobody_pushes_out_anothers(void **state)
{
        struct library *l = *state;
        struct seen seen = { 0 };

        refusal_record(l->m, &l->alice, OBJECT_NONE, 0, -EINVAL, "hers");
        for (int i = 0; i < 300; i++)
                refusal_record(l->m, &l->bob, OBJECT_NONE, 0, -EDQUOT, "his");
        assert_ok(refusal_each(l->m, &l->bob, see, &seen));
        assert_int_equal(seen.n, 256);
        seen = (struct seen){ 0 };
        assert_ok(refusal_each(l->m, &l->alice, see, &seen));
        assert_int_equal(seen.n, 1);
}

static void test_a_refusal_does_not_touch_the_object(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct object before, after;

        assert_ok(image_get_object(l->m, id, &before));
        refusal_record(l->m, &l->alice, OBJECT_IMAGE, id, -EBUSY, "no");
        assert_ok(image_get_object(l->m, id, &after));
        assert_int_equal(before.updated_us, after.updated_us);
}

/* Each used to be a synced commit, which any user can cause as fast as the disk allows. */
static void test_refusals_are_not_synced_and_survive_a_restart(void **state)
{
        struct library *l = *state;
        struct seen seen = { 0 };

        fault_set(FAULT_SYNC, 0, 0);
        for (int i = 0; i < 200; i++)
                refusal_record(l->m, &l->alice, OBJECT_NONE, 0, -EINVAL, "no");
        assert_true(fault_count(FAULT_SYNC) < 50); /* of checkpoints, and of the upkeep at the start */

        fault_set(FAULT_SYNC, 0, 0);
        (void)library_image(l, "web");
        assert_int_not_equal(fault_count(FAULT_SYNC), 0);

        refusal_record(l->m, &l->alice, OBJECT_NONE, 0, -EINVAL, "the last one");
        library_close(l);
        assert_ok(library_open(l));
        assert_ok(refusal_each(l->m, &l->alice, see, &seen));
        assert_int_equal(seen.n, 201);
        assert_string_equal(seen.last, "the last one");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_the_newest_of_an_object_is_its_last),
                TEST(test_users_see_their_own_and_the_administrator_all),
                TEST(test_nobody_pushes_out_anothers),
                TEST(test_a_refusal_does_not_touch_the_object),
                TEST(test_refusals_are_not_synced_and_survive_a_restart),
        };

        fault_install();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
