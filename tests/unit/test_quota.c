/* SPDX-License-Identifier: MIT */

#include <pthread.h>
#include <stdlib.h>

#include "model/core/quota_row.h"
#include "tests/lib/expect.h"
#include "tests/lib/library.h"

static void assert_quota(struct library *l, uid_t uid, enum limit q, uint64_t used, uint64_t limit)
{
        struct quota quota;

        assert_ok(quota_get(l->m, l->region, uid, q, &quota));
        assert_int_equal(quota.used, used);
        assert_int_equal(quota.limit, limit);
}

static int create(struct library *l, const struct caller *c, const char *handle)
{
        uint64_t id;

        return image_create(l->m, c, l->region, CLASS_PRIVATE, handle, library_diag(l), &id);
}

static void test_private_images_are_counted_per_user(void **state)
{
        static const char *const names[] = { "a", "b", "c", "d", "e" };
        struct library *l = *state;

        for (size_t i = 0; i < 5; i++)
                assert_ok(create(l, &l->alice, names[i]));
        assert_quota(l, l->alice.uid, LIMIT_PRIVATE_IMAGES, 5, 5);
        assert_err(create(l, &l->alice, "f"), -EDQUOT);
        assert_string_equal(l->diag.text,
                            "r1 has 5 of 5 private images for 61001: delete one, or have the limit raised");
        assert_ok(create(l, &l->bob, "f"));
        assert_quota(l, l->bob.uid, LIMIT_PRIVATE_IMAGES, 1, 5);
        assert_quota(l, l->alice.uid, LIMIT_SNAPSHOTS, 0, 20);
}

static void test_the_administrator_has_a_quota_too(void **state)
{
        struct library *l = *state;

        assert_ok(quota_set_line(l->m, &l->admin, l->region, "private-images limit=0", library_diag(l)));
        assert_err(create(l, &l->admin, "a"), -EDQUOT);
        assert_string_equal(l->diag.text, "r1 has 0 of 0 private images for 0: have the limit raised");
}

/* What is deleted must be enough, and be there; of one there is one. */
static void test_the_way_out_is_one(void **state)
{
        static const struct {
                const char *limit;
                enum limit q;
                uint64_t more;
                const char *sentence;
        } cases[] = {
                { "private-images limit=3", LIMIT_PRIVATE_IMAGES, 2,
                  "3 of 3 private images for 61001, and this needs 2: delete 2, or have the limit raised" },
                { "private-images limit=2", LIMIT_PRIVATE_IMAGES, 1,
                  "3 of 2 private images for 61001: delete 2, or have the limit raised" },
                { "private-images limit=3", LIMIT_PRIVATE_IMAGES, 4,
                  "3 of 3 private images for 61001, and this needs 4: have the limit raised" },
                { "snapshots limit=1", LIMIT_SNAPSHOTS, 2,
                  "0 of 1 snapshot for 61001, and this needs 2: have the limit raised" },
                { "disk-bytes limit=1K", LIMIT_DISK_BYTES, 1025,
                  "0 of 1024 bytes of disks for 61001, and this needs 1025: have the limit raised" },
        };
        struct library *l = *state;

        (void)library_image(l, "a");
        (void)library_image(l, "b");
        (void)library_image(l, "c");
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                DB_TXN(t);

                assert_ok(quota_set_line(l->m, &l->admin, l->region, cases[i].limit, library_diag(l)));
                assert_ok(db_begin(l->m->db, DB_WRITE, &t));
                assert_err(quota_check(&t, l->region, l->alice.uid, cases[i].q, cases[i].more, library_diag(l)),
                           -EDQUOT);
                assert_string_equal(l->diag.text + strlen("r1 has "), cases[i].sentence);
        }
}

static void test_public_images_have_none(void **state)
{
        struct library *l = *state;
        uint64_t id;

        assert_ok(quota_set_line(l->m, &l->admin, l->region, "private-images limit=0", library_diag(l)));
        assert_ok(image_create(l->m, &l->admin, l->region, CLASS_PUBLIC, "a", library_diag(l), &id));
        assert_quota(l, 0, LIMIT_PRIVATE_IMAGES, 0, 0);
}

static void test_removing_gives_it_back(void **state)
{
        struct library *l = *state;
        uint64_t queued = library_image(l, "a"), recycled = library_image(l, "b");

        assert_quota(l, l->alice.uid, LIMIT_PRIVATE_IMAGES, 2, 5);
        assert_ok(image_remove(l->m, &l->alice, queued, library_diag(l)));
        assert_quota(l, l->alice.uid, LIMIT_PRIVATE_IMAGES, 1, 5);
        library_sql(l, "UPDATE image SET status = 'available'");
        assert_ok(image_remove(l->m, &l->alice, recycled, library_diag(l)));
        assert_quota(l, l->alice.uid, LIMIT_PRIVATE_IMAGES, 0, 5);
        assert_ok(image_destroy(l->m, &l->alice, recycled, library_diag(l)));
        assert_quota(l, l->alice.uid, LIMIT_PRIVATE_IMAGES, 0, 5);
}

static void test_a_restore_is_charged(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "a");

        library_sql(l, "UPDATE image SET status = 'available'");
        assert_ok(image_remove(l->m, &l->alice, id, library_diag(l)));
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "private-images limit=1", library_diag(l)));
        assert_ok(create(l, &l->alice, "b"));
        assert_err(image_move(l->m, &l->alice, id, l->region, CLASS_PRIVATE, "a", library_diag(l)), -EDQUOT);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "private-images limit=2", library_diag(l)));
        assert_ok(image_move(l->m, &l->alice, id, l->region, CLASS_PRIVATE, "a", library_diag(l)));
        assert_quota(l, l->alice.uid, LIMIT_PRIVATE_IMAGES, 2, 2);
}

static void test_a_hand_over_takes_it_along(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "a");

        assert_ok(quota_set_line(l->m, &l->admin, l->region, "61002 private-images limit=0", library_diag(l)));
        assert_err(model_set_access(l->m, &l->admin, OBJECT_IMAGE, id, NULL, &l->bob.uid, NULL, library_diag(l)),
                   -EDQUOT);
        assert_quota(l, l->alice.uid, LIMIT_PRIVATE_IMAGES, 1, 5);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "61002 private-images limit=1", library_diag(l)));
        assert_ok(model_set_access(l->m, &l->admin, OBJECT_IMAGE, id, NULL, &l->bob.uid, NULL, library_diag(l)));
        assert_quota(l, l->alice.uid, LIMIT_PRIVATE_IMAGES, 0, 5);
        assert_quota(l, l->bob.uid, LIMIT_PRIVATE_IMAGES, 1, 1);
}

static void test_the_most_particular_limit_counts(void **state)
{
        struct library *l = *state;

        assert_ok(limit_set_line(l->m, &l->admin, "snapshots 7", library_diag(l)));
        assert_quota(l, l->alice.uid, LIMIT_SNAPSHOTS, 0, 7);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=8", library_diag(l)));
        assert_quota(l, l->alice.uid, LIMIT_SNAPSHOTS, 0, 8);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "61001 snapshots limit=9", library_diag(l)));
        assert_quota(l, l->alice.uid, LIMIT_SNAPSHOTS, 0, 9);
        assert_quota(l, l->bob.uid, LIMIT_SNAPSHOTS, 0, 8);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "root snapshots limit=3", library_diag(l)));
        assert_quota(l, 0, LIMIT_SNAPSHOTS, 0, 3);
        assert_quota(l, l->alice.uid, LIMIT_SNAPSHOTS, 0, 9);
}

static void test_refuses_what_it_does_not_understand(void **state)
{
        static const char *const lines[] = {
                "",
                "snapshots",
                "snapshots 3",
                "snapshots limit=",
                "snapshots limit=x",
                "limit=3",
                "recycle-days limit=3",
                "root snapshots limit=3 more",
                "snapshots limit=3x",
                "root snapshots",
                "snapshots  limit=1000001",
        };
        struct library *l = *state;

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
                assert_err(quota_set_line(l->m, &l->admin, l->region, lines[i], library_diag(l)), -EINVAL);
        assert_err(quota_set_line(l->m, &l->admin, l->region, "no-such-user snapshots limit=3", library_diag(l)),
                   -ENOENT);
        assert_err(quota_set_line(l->m, &l->admin, 99, "snapshots limit=3", library_diag(l)), -ENOENT);
        assert_err(quota_set_line(l->m, &l->alice, l->region, "snapshots limit=3", library_diag(l)), -EPERM);
        assert_quota(l, 0, LIMIT_SNAPSHOTS, 0, 20);
}

/* Several at once are all or none, also where a lowered limit is below what is used already. */
static void test_several_are_checked_together(void **state)
{
        struct library *l = *state;
        DB_TXN(t);

        (void)library_image(l, "a");
        assert_ok(db_begin(l->m->db, DB_WRITE, &t));
        assert_ok(quota_check(&t, l->region, l->alice.uid, LIMIT_PRIVATE_IMAGES, 4, library_diag(l)));
        assert_err(quota_check(&t, l->region, l->alice.uid, LIMIT_PRIVATE_IMAGES, 5, library_diag(l)), -EDQUOT);
        assert_string_equal(l->diag.text, "r1 has 1 of 5 private images for 61001, and this needs 5: delete one, or "
                                          "have the limit raised");
        assert_err(db_commit(&t), -EIO); /* it has ended */
        assert_ok(db_begin(l->m->db, DB_WRITE, &t));
        assert_err(quota_check(&t, l->region, l->alice.uid, LIMIT_PRIVATE_IMAGES, UINT64_MAX, library_diag(l)),
                   -EDQUOT);
        assert_err(quota_check(&t, l->region, l->alice.uid, LIMIT_PRIVATE_IMAGES, 1, library_diag(l)), -EIO);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "private-images limit=0", library_diag(l)));
        assert_ok(db_begin(l->m->db, DB_WRITE, &t));
        assert_ok(quota_check(&t, l->region, l->alice.uid, LIMIT_PRIVATE_IMAGES, 0, library_diag(l)));
        assert_err(quota_check(&t, l->region, l->alice.uid, LIMIT_PRIVATE_IMAGES, 1, library_diag(l)), -EDQUOT);
}

struct maker {
        struct library *l;
        unsigned number;
        unsigned made;
};

static void *make_images(void *arg)
{
        struct maker *maker = arg;
        struct library *l = maker->l;
        char name[32];

        for (int i = 0; i < 20; i++) {
                struct diag diag = { 0 };
                uint64_t id;
                int r;

                (void)snprintf(name, sizeof(name), "%u-%d", maker->number, i);
                r = image_create(l->m, &l->alice, l->region, CLASS_PRIVATE, name, &diag, &id);
                if (r == 0)
                        maker->made++;
                else if (r != -EDQUOT)
                        abort();
        }
        return NULL;
}

static void test_threads_together_do_not_exceed_it(void **state)
{
        struct maker makers[4];
        pthread_t threads[4];
        unsigned made = 0;

        for (unsigned i = 0; i < 4; i++) {
                makers[i] = (struct maker){ .l = *state, .number = i };
                assert_ok(pthread_create(&threads[i], NULL, make_images, &makers[i]));
        }
        for (unsigned i = 0; i < 4; i++) {
                assert_ok(pthread_join(threads[i], NULL));
                made += makers[i].made;
        }
        assert_int_equal(made, 5);
        assert_quota(*state, 61001, LIMIT_PRIVATE_IMAGES, 5, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_private_images_are_counted_per_user),
                TEST(test_the_administrator_has_a_quota_too),
                TEST(test_public_images_have_none),
                TEST(test_removing_gives_it_back),
                TEST(test_a_restore_is_charged),
                TEST(test_a_hand_over_takes_it_along),
                TEST(test_the_most_particular_limit_counts),
                TEST(test_refuses_what_it_does_not_understand),
                TEST(test_several_are_checked_together),
                TEST(test_the_way_out_is_one),
                TEST(test_threads_together_do_not_exceed_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
