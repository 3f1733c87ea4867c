/* SPDX-License-Identifier: MIT */
/*
 * The machine may have to ask another for a user's name, and that one may take its time. Here it begins two
 * transactions, and takes the gate of disks: what is held already, by the same thread, ends the program.
 */

#include <crypt.h>
#include <pwd.h>
#include <string.h>

#include "model/core/quota.h"
#include "model/core/state.h"
#include "model/core/user.h"
#include "model/machine/volume_gate.h"
#include "model/work/batch.h"
#include "tests/lib/machine.h"

static struct model *model; /* asked by whoever looks up a name */
static unsigned lookups, hashes;

static void take_all(void)
{
        for (enum db_mode mode = DB_READ; mode <= DB_WRITE; mode++) {
                DB_TXN(t);

                assert_ok(db_begin(model->db, mode, &t));
        }
        if (model->volumes) { /* nor is anybody kept from the disks meanwhile */
                pthread_mutex_t *gate = volumes_gate(model, OBJECT_NONE, 0);

                assert_int_equal(pthread_mutex_trylock(gate), 0);
                (void)pthread_mutex_unlock(gate);
        }
}

/* In place of the C library's. Nobody is known. */
int getpwuid_r(uid_t uid, struct passwd *entry, char *buf, size_t size, struct passwd **ret)
{
        (void)uid;
        (void)entry;
        (void)buf;
        (void)size;
        take_all();
        lookups++;
        *ret = NULL;
        return 0;
}

/* In place of the library's. There is no such method. */
char *crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
        (void)phrase;
        (void)setting;
        (void)data;
        take_all();
        hashes++;
        return NULL;
}

static int setup(void **state)
{
        struct library *l;

        if (library_setup(state) < 0)
                return -1;
        l = *state;
        model = l->m;
        lookups = 0;
        return 0;
}

static void test_a_quota(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 1 << 20), s;

        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=0", library_diag(l)));
        assert_refused(l, volume_snapshot(l->m, &l->alice, id, "s1", library_diag(l), &s), -EDQUOT);
        assert_contains(l->diag.text, "for 61001");
        user_name_in(&l->diag);
        assert_contains(l->diag.text, "for 61001: have the limit raised");
        assert_int_equal(lookups, 1);

        /* The change that was refused is not there, and the next one is not in its way. */
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=1", library_diag(l)));
        assert_int_equal(work_snapshots(l, l->region), 0);
        assert_ok(volume_snapshot(l->m, &l->alice, id, "s1", library_diag(l), &s));
        machine_wait_volume(l, id);
}

/* To hash one takes milliseconds. */
static void test_a_password(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", ""), "vm");

        assert_true(machine_set(l, id, INSTANCE_FIELD_PASSWORD, "secret") < 0);
        assert_int_equal(hashes, 1);
}

static int look_up(void *ctx, const struct object *o)
{
        char name[32];

        (void)ctx;
        user_name(o->uid, name, sizeof(name));
        return 0;
}

static void test_an_image_that_others_have_instances_of(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "local", ""), id;
        struct object o;

        assert_ok(instance_create_from_image(l->m, &l->admin, image, "vm", library_diag(l), &id));
        assert_refused(l, image_remove(l->m, &l->alice, image, library_diag(l)), -EBUSY);
        user_name_in(&l->diag);
        assert_contains(l->diag.text, "an instance of 0 was made");
        assert_refused(l, batch_run(l->m, &l->alice, l->region, "delete web", library_diag(l)), -EBUSY);
        user_name_in(&l->diag);
        assert_int_equal(lookups, 2);
        assert_ok(instance_each_other_user_of_image(l->m, image, l->alice.uid, look_up, NULL));
        assert_int_equal(lookups, 3);
        assert_ok(image_find(l->m, l->region, CLASS_PRIVATE, "web", &o));
}

static int look_up_refused(void *ctx, const struct refusal *r)
{
        char name[32];

        (void)ctx;
        assert_string_equal(r->sentence, "no");
        user_name(r->uid, name, sizeof(name));
        return 0;
}

static void test_refusals(void **state)
{
        struct library *l = *state;

        refusal_record(l->m, &l->alice, OBJECT_NONE, 0, -EINVAL, "/", "mkdir x", "no");
        refusal_record(l->m, &l->bob, OBJECT_NONE, 0, -EINVAL, "/", "mkdir x", "no");
        assert_ok(refusal_each(l->m, &l->admin, look_up_refused, NULL));
        assert_int_equal(lookups, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_a_quota),
                TEST(test_a_password),
                TEST(test_an_image_that_others_have_instances_of),
                TEST(test_refusals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
