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

static int see(void *ctx, const struct refusal *r)
{
        struct seen *seen = ctx;

        assert_true(r->at_us >= seen->at_us);
        seen->at_us = r->at_us;
        seen->n++;
        seen->uid = r->uid;
        seen->error = r->error;
        (void)snprintf(seen->last, sizeof(seen->last), "%s", r->sentence);
        return 0;
}

static unsigned count(struct library *l, const struct caller *c)
{
        struct seen seen = { 0 };

        assert_ok(refusal_each(l->m, c, see, &seen));
        return seen.n;
}

static void told(struct library *l, const struct caller *c, enum object_kind kind, uint64_t id, const char *sentence)
{
        refusal_record(l->m, c, kind, id, -EBUSY, "/disks/d", "write size", sentence);
}

/* SENTENCE NULL: nothing. */
static void assert_last(struct library *l, const struct caller *c, enum object_kind kind, uint64_t id,
                        const char *sentence)
{
        CLEANUP(cleanup_refusal) const struct refusal *last = refusal_last(l->m, c, kind, id);

        if (!sentence) {
                assert_null(last);
                return;
        }
        assert_non_null(last);
        assert_string_equal(last->sentence, sentence);
        assert_string_equal(last->path, "/disks/d");
        assert_string_equal(last->operation, "write size");
        assert_true(last->at_us > 0);
}

static void test_the_newest_of_an_object_is_its_last(void **state)
{
        struct library *l = *state;

        assert_last(l, &l->alice, OBJECT_IMAGE, 1, NULL);
        told(l, &l->alice, OBJECT_IMAGE, 1, "first");
        told(l, &l->alice, OBJECT_IMAGE, 1, "second");
        told(l, &l->alice, OBJECT_IMAGE, 2, "another image");
        told(l, &l->alice, OBJECT_SNAPSHOT, 1, "a snapshot");
        assert_last(l, &l->alice, OBJECT_IMAGE, 1, "second");

        /* A public object's readers are not shown what others were told about it. */
        assert_last(l, &l->bob, OBJECT_IMAGE, 1, NULL);
        told(l, &l->bob, OBJECT_IMAGE, 1, "his");
        assert_last(l, &l->alice, OBJECT_IMAGE, 1, "second");
        assert_last(l, &l->admin, OBJECT_IMAGE, 1, "his");
}

static void test_what_succeeds_ends_what_that_user_was_told(void **state)
{
        struct library *l = *state;

        assert_false(refusal_is_told(l->m, &l->alice));
        assert_false(refusal_is_told(l->m, &l->admin));
        told(l, &l->alice, OBJECT_IMAGE, 1, "hers");
        told(l, &l->alice, OBJECT_IMAGE, 2, "hers too");
        told(l, &l->bob, OBJECT_IMAGE, 1, "his");
        refusal_over(l->m, &l->alice, OBJECT_IMAGE, 1);
        assert_last(l, &l->alice, OBJECT_IMAGE, 1, NULL);
        assert_last(l, &l->alice, OBJECT_IMAGE, 2, "hers too");
        assert_last(l, &l->bob, OBJECT_IMAGE, 1, "his");
        assert_true(refusal_is_told(l->m, &l->alice));
        refusal_over(l->m, &l->alice, OBJECT_SNAPSHOT, 2);
        assert_last(l, &l->alice, OBJECT_IMAGE, 2, "hers too");

        /* The administrator sees what anybody was told, and ends that. */
        told(l, &l->alice, OBJECT_IMAGE, 1, "again");
        refusal_over(l->m, &l->admin, OBJECT_IMAGE, 1);
        assert_last(l, &l->admin, OBJECT_IMAGE, 1, NULL);
        assert_last(l, &l->bob, OBJECT_IMAGE, 1, NULL);
        assert_false(refusal_is_told(l->m, &l->bob));
        assert_true(refusal_is_told(l->m, &l->admin));
        assert_int_equal(count(l, &l->admin), 4);
}

/* Readers may hold one for as long as they like. */
static void test_one_that_is_held_stays_what_it_was(void **state)
{
        struct library *l = *state;
        CLEANUP(cleanup_refusal) const struct refusal *last = NULL;

        told(l, &l->alice, OBJECT_IMAGE, 1, "held");
        last = refusal_last(l->m, &l->alice, OBJECT_IMAGE, 1);
        for (int i = 0; i < 300; i++)
                told(l, &l->alice, OBJECT_IMAGE, 1, "other");
        assert_string_equal(last->sentence, "held");
}

static void test_users_see_their_own_and_the_administrator_all(void **state)
{
        struct library *l = *state;
        struct seen seen = { 0 };

        refusal_record(l->m, &l->alice, OBJECT_NONE, 0, -EINVAL, "/", "mkdir x", "hers");
        refusal_record(l->m, &l->bob, OBJECT_NONE, 0, -EDQUOT, "/", "mkdir x", "his");
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

        told(l, &l->alice, OBJECT_IMAGE, 1, "hers");
        for (unsigned i = 0; i < 3000; i++)
                told(l, &l->bob, OBJECT_IMAGE, i, "his");
        assert_int_equal(count(l, &l->bob), 256);
        assert_int_equal(count(l, &l->alice), 1);
        assert_last(l, &l->alice, OBJECT_IMAGE, 1, "hers");
        assert_last(l, &l->bob, OBJECT_IMAGE, 2999, "his");
        assert_last(l, &l->bob, OBJECT_IMAGE, 1000, NULL);
}

/* Ten who are refused all the time: they have a tenth of it each, and who was told little keeps all of that. */
static void test_a_full_shelf_is_shared(void **state)
{
        struct library *l = *state;

        for (unsigned i = 0; i < 20; i++)
                told(l, &l->alice, OBJECT_IMAGE, i, "hers");
        for (unsigned i = 0; i < 1000; i++) {
                for (uid_t u = 0; u < 10; u++)
                        told(l, &(struct caller){ .uid = 5000 + u }, OBJECT_IMAGE, i, "theirs");
        }
        assert_int_equal(count(l, &l->admin), 1000);
        assert_int_equal(count(l, &l->alice), 20);
        assert_last(l, &l->alice, OBJECT_IMAGE, 0, "hers");
        for (uid_t u = 0; u < 10; u++)
                assert_int_equal(count(l, &(struct caller){ .uid = 5000 + u }), 98);
        told(l, &l->bob, OBJECT_IMAGE, 1, "his");
        assert_int_equal(count(l, &l->bob), 1);
}

static void test_a_refusal_does_not_touch_the_object(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct object before, after;

        assert_ok(image_get_object(l->m, id, &before));
        told(l, &l->alice, OBJECT_IMAGE, id, "no");
        assert_ok(image_get_object(l->m, id, &after));
        assert_int_equal(before.updated_us, after.updated_us);
}

/* Each used to be a commit, which any user can cause as fast as the disk allows. */
static void test_refusals_write_nothing_and_end_with_the_library(void **state)
{
        struct library *l = *state;

        fault_set(FAULT_WRITE, 0, 0);
        for (int i = 0; i < 5000; i++)
                told(l, &l->alice, OBJECT_IMAGE, 1, "no");
        /* The upkeep at the start writes some hundred pages: it copies the catalogue. */
        assert_true(fault_count(FAULT_WRITE) < 1000);
        library_close(l);
        assert_ok(library_open(l));
        assert_int_equal(count(l, &l->admin), 0);
        assert_last(l, &l->admin, OBJECT_IMAGE, 1, NULL);
}

static void *flood(void *arg)
{
        struct library *l = arg;

        for (unsigned i = 0; i < 2000; i++) {
                told(l, &l->bob, OBJECT_IMAGE, i % 7, "his");
                assert_in_range(count(l, &l->alice), 0, 256);
                if (i % 16 == 0)
                        refusal_over(l->m, &l->admin, OBJECT_IMAGE, i % 7);
        }
        return NULL;
}

static void test_many_threads_at_once(void **state)
{
        struct library *l = *state;
        pthread_t other;

        assert_int_equal(pthread_create(&other, NULL, flood, l), 0);
        for (unsigned i = 0; i < 2000; i++) {
                CLEANUP(cleanup_refusal) const struct refusal *last = NULL;

                told(l, &l->alice, OBJECT_IMAGE, i % 5, "hers");
                last = refusal_last(l->m, &l->admin, OBJECT_IMAGE, i % 5);
                if (last)
                        assert_true(strcmp(last->sentence, "hers") == 0 || strcmp(last->sentence, "his") == 0);
        }
        assert_int_equal(pthread_join(other, NULL), 0);
        assert_int_equal(count(l, &l->bob), 256);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_the_newest_of_an_object_is_its_last),
                TEST(test_what_succeeds_ends_what_that_user_was_told),
                TEST(test_one_that_is_held_stays_what_it_was),
                TEST(test_users_see_their_own_and_the_administrator_all),
                TEST(test_nobody_pushes_out_anothers),
                TEST(test_a_full_shelf_is_shared),
                TEST(test_a_refusal_does_not_touch_the_object),
                TEST(test_refusals_write_nothing_and_end_with_the_library),
                TEST(test_many_threads_at_once),
        };

        fault_install();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
