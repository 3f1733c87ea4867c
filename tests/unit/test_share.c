/* SPDX-License-Identifier: MIT */

/* Shares: who may make and end them, how many there may be, how they end by themselves, and what they are good for. */

#include "model/core/quota.h"
#include "model/image/share.h"
#include "tests/lib/fault.h"
#include "tests/lib/machine.h"
#include "tests/lib/random.h"

#define CAROL 61003
#define SIZE  100000

static const struct caller carol = { .uid = CAROL, .gid = CAROL };

static uint64_t image_of_alice(struct library *l, const char *handle)
{
        return work_image(l, &l->alice, l->region, handle, "local", SIZE, 1);
}

static uint64_t share(struct library *l, uint64_t image, const char *user)
{
        uint64_t id;

        assert_ok(share_create(l->m, &l->alice, image, user, library_diag(l), &id));
        return id;
}

static int try_share(struct library *l, const struct caller *c, uint64_t image, const char *user)
{
        uint64_t id;

        return share_create(l->m, c, image, user, library_diag(l), &id);
}

static int note_user(void *ctx, const struct share *s)
{
        char *text = ctx;

        (void)snprintf(text + strlen(text), 128 - strlen(text), "%s ", s->o.handle);
        return 0;
}

static void assert_users(struct library *l, uint64_t image, const char *wanted)
{
        char text[128] = "";

        assert_ok(share_each(l->m, image, note_user, text));
        assert_string_equal(text, wanted);
}

static int note_image(void *ctx, const struct object *o)
{
        char *text = ctx;

        (void)snprintf(text + strlen(text), 128 - strlen(text), "%s ", o->handle);
        return 0;
}

static void assert_shared_with(struct library *l, const struct caller *c, const char *wanted)
{
        char text[128] = "";

        assert_ok(share_each_image(l->m, c, l->region, note_image, text));
        assert_string_equal(text, wanted);
}

static uint64_t accepted(struct library *l, uid_t uid)
{
        const struct caller c = { .uid = uid };

        return work_used(l, l->region, &c, LIMIT_SHARED_IMAGES);
}

/* ---- what it is ---- */

static void test_a_user_finds_what_is_shared_with_her(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web"), db = image_of_alice(l, "db"), id;
        struct object o;
        struct share s;

        assert_err(share_find_image(l->m, l->region, "web", &o), -ENOENT);
        id = share(l, web, "61002");
        (void)share(l, db, "61002");
        (void)share(l, db, "61003");
        assert_users(l, web, "61002 ");
        assert_users(l, db, "61002 61003 ");
        assert_shared_with(l, &l->bob, "db web ");
        assert_shared_with(l, &carol, "db ");
        assert_shared_with(l, &l->alice, "");
        assert_shared_with(l, &l->admin, "db web ");
        assert_int_equal(accepted(l, l->bob.uid), 2);
        assert_int_equal(accepted(l, CAROL), 1);

        assert_ok(share_find(l->m, web, "61002", &s));
        assert_int_equal(s.o.id, id);
        assert_int_equal(s.image, web);
        assert_int_equal(s.uid, l->bob.uid);
        assert_int_equal(s.o.uid, l->alice.uid);
        assert_string_equal(s.o.handle, "61002");
        assert_ok(share_get(l->m, id, &s));
        assert_int_equal(s.uid, l->bob.uid);
        assert_err(share_find(l->m, web, "61003", &s), -ENOENT);
        assert_err(share_find(l->m, web, "no-such-user", &s), -ENOENT);
        assert_ok(share_find_image(l->m, l->region, "web", &o));
        assert_int_equal(o.id, web);

        assert_ok(share_check(l->m, &l->bob, web, library_diag(l)));
        assert_ok(share_check(l->m, &l->admin, web, library_diag(l)));
        assert_refused(l, share_check(l->m, &carol, web, library_diag(l)), -EACCES);
        assert_refused(l, share_check(l->m, &l->alice, web, library_diag(l)), -EACCES);
        work_assert_clean(l);
}

/* A directory has one name. */
static void test_a_user_is_called_by_her_name(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web");
        struct share s;

        assert_refused(l, try_share(l, &l->alice, web, "0"), -EINVAL);
        assert_contains(l->diag.text, "called root");
        (void)share(l, web, "root");
        assert_ok(share_find(l->m, web, "root", &s));
        assert_err(share_find(l->m, web, "0", &s), -ENOENT);
        assert_refused(l, try_share(l, &l->alice, web, "061002"), -EINVAL);
        assert_err(share_find(l->m, web, "061002", &s), -ENOENT);
}

static void test_it_ends_with_the_owners_word(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web"), id = share(l, web, "61002");
        struct object o;

        assert_refused(l, share_remove(l->m, &l->bob, id, library_diag(l)), -EPERM);
        assert_refused(l, share_remove(l->m, &carol, id, library_diag(l)), -EPERM);
        assert_users(l, web, "61002 ");
        assert_ok(share_remove(l->m, &l->alice, id, library_diag(l)));
        assert_err(share_remove(l->m, &l->alice, id, library_diag(l)), -ENOENT);
        assert_users(l, web, "");
        assert_int_equal(accepted(l, l->bob.uid), 0);
        assert_err(share_find_image(l->m, l->region, "web", &o), -ENOENT);
        assert_err(share_check(l->m, &l->bob, web, library_diag(l)), -EACCES);

        /* the administrator's will do */
        assert_ok(try_share(l, &l->admin, web, "61002"));
        assert_ok(library_sql_int(l, "SELECT count(*) - 1 FROM share"));
        assert_ok(share_remove(l->m, &l->admin, (uint64_t)library_sql_int(l, "SELECT id FROM share"), library_diag(l)));
}

/* ---- what is refused ---- */

static void test_refusals_change_nothing(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web"), queued = library_image(l, "queued"), public;

        assert_refused(l, try_share(l, &l->alice, web, "no-such-user"), -ENOENT);
        assert_refused(l, try_share(l, &l->alice, web, "4294967295"), -ENOENT);
        assert_refused(l, try_share(l, &l->alice, web, "61001"), -EINVAL);
        assert_refused(l, try_share(l, &l->admin, web, "61001"), -EINVAL);
        assert_refused(l, try_share(l, &l->bob, web, "61003"), -EPERM);
        assert_refused(l, try_share(l, &l->bob, web, "61002"), -EPERM);
        assert_refused(l, try_share(l, &l->alice, queued, "61002"), -EBUSY);
        assert_err(try_share(l, &l->alice, 999, "61002"), -ENOENT);
        for (const char *const *status = (const char *const[]){ "uploading", "pending", "replicating", "error", NULL };
             *status; status++) {
                library_sql(l, "UPDATE image SET status = '%s' WHERE id = %lld", *status, (long long)queued);
                assert_refused(l, try_share(l, &l->alice, queued, "61002"), -EBUSY);
        }
        library_sql(l, "UPDATE image SET status = 'queued' WHERE id = %lld", (long long)queued);

        assert_ok(image_create(l->m, &l->admin, l->region, CLASS_PUBLIC, "public", library_diag(l), &public));
        assert_refused(l, try_share(l, &l->admin, public, "61002"), -EOPNOTSUPP);
        assert_refused(l, try_share(l, &l->alice, public, "61002"), -EPERM);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM share"), 0);
        assert_int_equal(accepted(l, l->bob.uid), 0);

        (void)share(l, web, "61002");
        assert_refused(l, try_share(l, &l->alice, web, "61002"), -EEXIST);
        assert_ok(image_remove(l->m, &l->alice, web, library_diag(l)));
        assert_refused(l, try_share(l, &l->alice, web, "61002"), -EBUSY);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM share"), 0);
        work_assert_clean(l);
}

static void test_an_image_has_so_many_shares(void **state)
{
        static const char *const users[] = { "61002", "61003", "61004", "61005", "61006" };
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web");
        struct share s;

        for (size_t i = 0; i < 5; i++)
                (void)share(l, web, users[i]);
        assert_refused(l, try_share(l, &l->alice, web, "61007"), -EDQUOT);
        assert_string_equal(l->diag.text,
                            "web is shared with 5 of 5 users: end one with rmdir, or have the limit raised");
        assert_int_equal(accepted(l, 61007), 0);

        /* a lowered limit takes nothing away */
        assert_ok(limit_set_line(l->m, &l->admin, "shares-per-image 3", library_diag(l)));
        assert_users(l, web, "61002 61003 61004 61005 61006 ");
        for (size_t i = 0; i < 2; i++) {
                assert_ok(share_find(l->m, web, users[i], &s));
                assert_ok(share_remove(l->m, &l->alice, s.o.id, library_diag(l)));
                assert_refused(l, try_share(l, &l->alice, web, "61007"), -EDQUOT);
        }
        assert_ok(limit_set_line(l->m, &l->admin, "shares-per-image 4", library_diag(l)));
        assert_ok(try_share(l, &l->alice, web, "61007"));
        work_assert_clean(l);
}

static void test_a_user_accepts_so_many_in_a_region(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web"), db = image_of_alice(l, "db"), far_region = work_region(l, "r2");
        uint64_t far = work_image(l, &l->alice, far_region, "web", "local", SIZE, 1);

        assert_ok(quota_set_line(l->m, &l->admin, l->region, "61002 shared-images limit=1", library_diag(l)));
        (void)share(l, web, "61002");
        assert_refused(l, try_share(l, &l->alice, db, "61002"), -EDQUOT);
        assert_string_equal(l->diag.text,
                            "61002 accepts at most 1 shared image in r1, and has it: one has to end or be given back "
                            "(with rmdir in shared/), or the limit be "
                            "raised");
        (void)share(l, far, "61002");
        (void)share(l, db, "61003");
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "shared-images limit=0", library_diag(l)));
        assert_refused(l, try_share(l, &l->alice, web, "61003"), -EDQUOT);
        assert_int_equal(accepted(l, CAROL), 1);
        assert_int_equal(work_used(l, far_region, &l->bob, LIMIT_SHARED_IMAGES), 1);
        work_assert_clean(l);
}

/* ---- how it ends by itself ---- */

static void test_deletion_ends_shares(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web");

        (void)share(l, web, "61002");
        (void)share(l, web, "61003");
        assert_ok(image_remove(l->m, &l->alice, web, library_diag(l)));
        assert_users(l, web, "");
        assert_int_equal(accepted(l, l->bob.uid) + accepted(l, CAROL), 0);
        assert_err(share_check(l->m, &l->bob, web, library_diag(l)), -EACCES);
        assert_shared_with(l, &l->bob, "");

        assert_ok(image_move(l->m, &l->alice, web, l->region, CLASS_PRIVATE, "web", library_diag(l)));
        assert_users(l, web, "");
        work_assert_clean(l);
}

static void test_publishing_ends_shares(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web");

        (void)share(l, web, "61002");
        assert_ok(image_move(l->m, &l->admin, web, l->region, CLASS_PUBLIC, "web", library_diag(l)));
        assert_users(l, web, "");
        assert_int_equal(accepted(l, l->bob.uid), 0);
        assert_shared_with(l, &l->admin, "");
        work_assert_clean(l);
}

static void test_renaming_and_editing_do_not(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web");
        struct object o;

        (void)share(l, web, "61002");
        assert_ok(image_move(l->m, &l->alice, web, l->region, CLASS_PRIVATE, "site", library_diag(l)));
        assert_ok(image_set(l->m, &l->alice, web, IMAGE_FIELD_DESCRIPTION, "a site", library_diag(l)));
        assert_shared_with(l, &l->bob, "site ");
        assert_ok(share_find_image(l->m, l->region, "site", &o));
        assert_err(share_find_image(l->m, l->region, "web", &o), -ENOENT);
}

static void test_who_becomes_the_owner_needs_no_share(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web");

        (void)share(l, web, "61002");
        (void)share(l, web, "61003");
        assert_ok(model_set_access(l->m, &l->admin, OBJECT_IMAGE, web, NULL, &l->bob.uid, NULL, library_diag(l)));
        assert_users(l, web, "61003 ");
        assert_int_equal(accepted(l, l->bob.uid), 0);
        assert_int_equal(accepted(l, CAROL), 1);
        assert_refused(l, try_share(l, &l->alice, web, "61004"), -EPERM);
        assert_ok(try_share(l, &l->bob, web, "61001"));
        work_assert_clean(l);
}

/* ---- what it is good for ---- */

static int make_instance(struct library *l, const struct caller *c, uint64_t image, const char *handle)
{
        uint64_t id;

        return instance_create_from_image(l->m, c, image, handle, library_diag(l), &id);
}

static int rebuild(struct library *l, const struct caller *c, uint64_t instance, const char *image)
{
        return instance_set(l->m, c, instance, INSTANCE_FIELD_IMAGE, image, library_diag(l));
}

static struct instance find_instance(struct library *l, const char *handle)
{
        struct object o;

        assert_ok(instance_find(l->m, l->region, handle, &o));
        return machine_get(l, o.id);
}

static void test_those_it_is_shared_with_make_instances(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web"), empty, id;
        struct instance vm;

        id = share(l, web, "61002");
        assert_refused(l, make_instance(l, &carol, web, "vm1"), -EACCES);
        assert_ok(make_instance(l, &l->bob, web, "vm1"));
        vm = find_instance(l, "vm1");
        assert_int_equal(vm.o.uid, l->bob.uid);
        assert_string_equal(vm.image_path, "shared/web");

        assert_ok(instance_create(l->m, &carol, l->region, "vm2", library_diag(l), &empty));
        assert_refused(l, rebuild(l, &carol, empty, "shared/web"), -EACCES);
        assert_refused(l, rebuild(l, &carol, empty, "private/web"), -EACCES);
        assert_refused(l, rebuild(l, &carol, empty, "shared/db"), -ENOENT);
        (void)share(l, web, "61003");
        assert_ok(rebuild(l, &carol, empty, "shared/web"));

        assert_ok(share_remove(l->m, &l->alice, id, library_diag(l)));
        assert_string_equal(find_instance(l, "vm1").image_path, work_get(l, web).ident);
        assert_string_equal(find_instance(l, "vm2").image_path, "shared/web");
        assert_refused(l, make_instance(l, &l->bob, web, "vm3"), -EACCES);
        assert_null(strstr(l->diag.text, "web"));
        work_assert_clean(l);
}

static int note_uid(void *ctx, const struct object *o)
{
        char *text = ctx;

        (void)snprintf(text + strlen(text), 128 - strlen(text), "%u ", o->uid);
        return 0;
}

static void test_instances_of_others_keep_the_image(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web");
        char text[128] = "";

        (void)share(l, web, "61002");
        (void)share(l, web, "61003");
        assert_ok(make_instance(l, &l->bob, web, "bobs1"));
        assert_ok(make_instance(l, &l->bob, web, "bobs2"));
        assert_ok(make_instance(l, &carol, web, "carols"));
        assert_ok(make_instance(l, &l->alice, web, "hers"));
        assert_ok(instance_each_other_user_of_image(l->m, web, l->alice.uid, note_uid, text));
        assert_string_equal(text, "61002 61003 ");

        assert_refused(l, image_remove(l->m, &l->alice, web, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "61002");
        assert_null(strstr(l->diag.text, "bobs"));
        assert_users(l, web, "61002 61003 ");
        for (const char *const *vm = (const char *const[]){ "bobs1", "bobs2", "carols", NULL }; *vm; vm++)
                assert_ok(instance_remove(l->m, &l->admin, find_instance(l, *vm).o.id, library_diag(l)));
        assert_refused(l, image_remove(l->m, &l->alice, web, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "hers");
        assert_ok(instance_remove(l->m, &l->alice, find_instance(l, "hers").o.id, library_diag(l)));
        assert_ok(image_remove(l->m, &l->alice, web, library_diag(l)));
        work_assert_clean(l);
}

/* ---- when the disk fails ---- */

static void test_a_full_disk_leaves_nothing_half_done(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web"), id;
        struct share s;
        int r = -1;

        for (unsigned n = 1; r < 0; n++) {
                fault_set(FAULT_WRITE, n, true);
                r = try_share(l, &l->alice, web, "61002");
                fault_set(FAULT_WRITE, 0, false);
                if (r < 0) {
                        assert_err(r, -ENOSPC);
                        assert_users(l, web, "");
                        assert_int_equal(accepted(l, l->bob.uid), 0);
                }
        }
        assert_ok(share_find(l->m, web, "61002", &s));
        id = s.o.id;
        r = -1;
        for (unsigned n = 1; r < 0; n++) {
                fault_set(FAULT_WRITE, n, true);
                r = share_remove(l->m, &l->alice, id, library_diag(l));
                fault_set(FAULT_WRITE, 0, false);
                if (r < 0) {
                        assert_err(r, -ENOSPC);
                        assert_users(l, web, "61002 ");
                        assert_int_equal(accepted(l, l->bob.uid), 1);
                }
        }
        assert_int_equal(accepted(l, l->bob.uid), 0);
        work_assert_clean(l);
}

/* ---- at once ---- */

struct racer {
        struct library *l;
        uint64_t image;
        const char *user;
        pthread_barrier_t *start;
        int r;
};

static void *race(void *arg)
{
        struct racer *racer = arg;
        struct diag diag = { 0 };
        uint64_t id;

        (void)pthread_barrier_wait(racer->start);
        racer->r = share_create(racer->l->m, &racer->l->alice, racer->image, racer->user, &diag, &id);
        return NULL;
}

/* Two requests for one place, again and again: exactly one gets it each time. */
static void race_for_the_last_place(struct library *l, struct racer racers[2])
{
        uint64_t rounds = environment_number("IMAGEFS_TEST_COUNT", 100);
        pthread_barrier_t start;

        for (uint64_t n = 0; n < rounds; n++) {
                pthread_t threads[2];

                assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
                for (size_t i = 0; i < 2; i++) {
                        racers[i].start = &start;
                        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
                }
                for (size_t i = 0; i < 2; i++)
                        assert_int_equal(pthread_join(threads[i], NULL), 0);
                assert_int_equal(pthread_barrier_destroy(&start), 0);
                assert_ok(racers[racers[0].r != 0].r);
                assert_err(racers[racers[0].r == 0].r, -EDQUOT);
                assert_int_equal(library_sql_int(l, "SELECT count(*) FROM share"), 1);
                assert_ok(share_remove(l->m, &l->alice, (uint64_t)library_sql_int(l, "SELECT id FROM share"),
                                       library_diag(l)));
        }
        work_assert_clean(l);
}

static void test_two_race_for_the_last_share_of_an_image(void **state)
{
        struct library *l = *state;
        uint64_t web = image_of_alice(l, "web");
        struct racer racers[2] = { { .l = l, .image = web, .user = "61002" },
                                   { .l = l, .image = web, .user = "61003" } };

        assert_ok(limit_set_line(l->m, &l->admin, "shares-per-image 1", library_diag(l)));
        race_for_the_last_place(l, racers);
}

static void test_two_race_for_the_last_that_a_user_accepts(void **state)
{
        struct library *l = *state;
        struct racer racers[2] = { { .l = l, .image = image_of_alice(l, "web"), .user = "61002" },
                                   { .l = l, .image = image_of_alice(l, "db"), .user = "61002" } };

        assert_ok(limit_set_line(l->m, &l->admin, "shared-images 1", library_diag(l)));
        race_for_the_last_place(l, racers);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_a_user_finds_what_is_shared_with_her),
                TEST(test_a_user_is_called_by_her_name),
                TEST(test_it_ends_with_the_owners_word),
                TEST(test_refusals_change_nothing),
                TEST(test_an_image_has_so_many_shares),
                TEST(test_a_user_accepts_so_many_in_a_region),
                TEST(test_deletion_ends_shares),
                TEST(test_publishing_ends_shares),
                TEST(test_renaming_and_editing_do_not),
                TEST(test_who_becomes_the_owner_needs_no_share),
                TEST(test_those_it_is_shared_with_make_instances),
                TEST(test_instances_of_others_keep_the_image),
                TEST(test_a_full_disk_leaves_nothing_half_done),
                TEST(test_two_race_for_the_last_share_of_an_image),
                TEST(test_two_race_for_the_last_that_a_user_accepts),
        };

        fault_install();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
