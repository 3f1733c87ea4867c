/* SPDX-License-Identifier: MIT */
/* Owners and modes of objects: who may remove what, and what goes along when an object is handed over. */

#include <stdlib.h>

#include "model/object.h"
#include "tests/lib/machine.h"

static int set_mode(struct library *l, enum object_kind kind, uint64_t id, mode_t mode)
{
        return model_set_access(l->m, &l->alice, kind, id, &mode, NULL, NULL, library_diag(l));
}

/* Whatever the modes let others do in it. */
static void test_only_its_owner_removes_or_renames_an_object(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", ""), vm = machine_make(l, image, "vm1"),
                 disk = machine_volume(l, "d1", 4096), snapshot;
        struct object o;

        assert_ok(snapshot_find(l->m, l->region, "web", &o));
        snapshot = o.id;
        assert_ok(set_mode(l, OBJECT_IMAGE, image, 0777));
        assert_ok(set_mode(l, OBJECT_SNAPSHOT, snapshot, 0777));
        assert_ok(set_mode(l, OBJECT_VOLUME, disk, 0777));
        assert_ok(set_mode(l, OBJECT_INSTANCE, vm, 0777));

        assert_refused(l, image_remove(l->m, &l->bob, image, library_diag(l)), -EPERM);
        assert_refused(l, image_move(l->m, &l->bob, image, l->region, CLASS_PRIVATE, "x", library_diag(l)), -EPERM);
        assert_refused(l, batch_run(l->m, &l->bob, l->region, "delete web", library_diag(l)), -EPERM);
        assert_refused(l, instance_remove(l->m, &l->bob, vm, library_diag(l)), -EPERM);
        assert_refused(l, instance_rename(l->m, &l->bob, vm, "x", library_diag(l)), -EPERM);
        assert_refused(l, volume_remove(l->m, &l->bob, disk, library_diag(l)), -EPERM);
        assert_refused(l, volume_rename(l->m, &l->bob, disk, "x", library_diag(l)), -EPERM);
        assert_refused(l, snapshot_remove(l->m, &l->bob, snapshot, library_diag(l)), -EPERM);
        assert_refused(l, snapshot_rename(l->m, &l->bob, snapshot, "x", library_diag(l)), -EPERM);

        assert_ok(instance_rename(l->m, &l->alice, vm, "vm2", library_diag(l)));
        assert_ok(instance_remove(l->m, &l->admin, vm, library_diag(l)));
        assert_ok(volume_remove(l->m, &l->alice, disk, library_diag(l)));
        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
}

static bool in_700(const struct caller *c, gid_t gid)
{
        (void)c;
        return gid == 700;
}

static bool not_asked(const struct caller *c, gid_t gid)
{
        fail_msg("asked whether %u is in %u", c->uid, gid);
        return false;
}

static void test_supplementary_groups_count_and_are_asked_last(void **state)
{
        const struct object mine = { .uid = 1, .gid = 700, .mode = 0750 };
        struct caller c = { .uid = 2, .gid = 2, .in_group = in_700 };

        (void)state;
        assert_true(object_allows(&mine, &c, 05));
        assert_false(object_allows(&mine, &c, 02));
        /* the group's bits, even where the others' give more */
        assert_false(object_allows(&(struct object){ .uid = 1, .gid = 700, .mode = 0705 }, &c, 05));

        c.in_group = NULL;
        assert_false(object_allows(&mine, &c, 05));
        assert_true(object_allows(&mine, &(struct caller){ .uid = 2, .gid = 700 }, 05));

        c.in_group = not_asked;
        assert_true(object_allows(&(struct object){ .uid = 1, .gid = 700, .mode = 0755 }, &c, 05));
        assert_false(object_allows(&(struct object){ .uid = 1, .gid = 700, .mode = 0700 }, &c, 05));
        assert_true(object_allows(&(struct object){ .uid = 2, .gid = 700, .mode = 0700 }, &c, 07));
        assert_true(object_allows(&mine, &(struct caller){ .admin = true, .in_group = not_asked }, 07));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_only_its_owner_removes_or_renames_an_object),
                cmocka_unit_test(test_supplementary_groups_count_and_are_asked_last),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
