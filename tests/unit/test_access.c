/* SPDX-License-Identifier: MIT */
/* Owners and modes of objects: who may remove what, and what goes along when an object is handed over. */

#include <stdlib.h>

#include "model/core/object.h"
#include "model/core/quota.h"
#include "model/work/batch.h"
#include "model/work/convert.h"
#include "tests/lib/fault.h"
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
                 disk = machine_volume(l, "d1", 4096), snapshot, uploading;
        struct upload *u;
        struct object o;

        assert_ok(snapshot_find(l->m, l->region, "web", &o));
        snapshot = o.id;
        assert_ok(set_mode(l, OBJECT_IMAGE, image, 0777));
        assert_ok(set_mode(l, OBJECT_SNAPSHOT, snapshot, 0777));
        assert_ok(set_mode(l, OBJECT_VOLUME, disk, 0777));
        assert_ok(set_mode(l, OBJECT_INSTANCE, vm, 0777));

        assert_ok(image_create(l->m, &l->alice, l->region, CLASS_PRIVATE, "raw", library_diag(l), &uploading));
        assert_ok(upload_open(l->m, &l->alice, uploading, library_diag(l), &u));

        assert_refused(l, image_remove(l->m, &l->bob, image, library_diag(l)), -EPERM);
        assert_refused(l, image_remove(l->m, &l->bob, uploading, library_diag(l)), -EPERM);
        upload_close(u);
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

/* ---- handing over ---- */

static int give(struct library *l, enum object_kind kind, uint64_t id)
{
        return model_set_access(l->m, &l->admin, kind, id, NULL, &l->bob.uid, &l->bob.gid, library_diag(l));
}

static uint64_t snapshot_named(struct library *l, const char *handle)
{
        struct object o;

        assert_ok(snapshot_find(l->m, l->region, handle, &o));
        return o.id;
}

static uid_t owner_of_snapshot(struct library *l, uint64_t id)
{
        struct object o;

        assert_ok(snapshot_get_object(l->m, id, &o));
        return o.uid;
}

static void assert_used(struct library *l, const struct caller *c, uint64_t images, uint64_t snapshots)
{
        assert_int_equal(work_used(l, l->region, c, LIMIT_PRIVATE_IMAGES), images);
        assert_int_equal(work_used(l, l->region, c, LIMIT_SNAPSHOTS), snapshots);
}

static void limit_bob(struct library *l, const char *key, unsigned n)
{
        char line[64];

        (void)snprintf(line, sizeof(line), "%u %s limit=%u", l->bob.uid, key, n);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, line, library_diag(l)));
}

static void test_an_image_takes_its_snapshots_along_and_their_quota(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "vdb");

        assert_used(l, &l->alice, 1, 2);
        limit_bob(l, "snapshots", 1);
        assert_refused(l, give(l, OBJECT_IMAGE, image), -EDQUOT);
        assert_contains(l->diag.text, "has 0 of 1 snapshot for 61002, and this needs 2: have the limit raised");
        limit_bob(l, "snapshots", 2);
        limit_bob(l, "private-images", 0);
        assert_refused(l, give(l, OBJECT_IMAGE, image), -EDQUOT);
        assert_used(l, &l->alice, 1, 2);
        assert_used(l, &l->bob, 0, 0);
        assert_int_equal(work_get(l, image).o.uid, l->alice.uid);

        limit_bob(l, "private-images", 1);
        assert_ok(give(l, OBJECT_IMAGE, image));
        assert_used(l, &l->alice, 0, 0);
        assert_used(l, &l->bob, 1, 2);
        assert_int_equal(work_get(l, image).o.uid, l->bob.uid);
        assert_int_equal(owner_of_snapshot(l, snapshot_named(l, "web")), l->bob.uid);
        work_assert_clean(l);
}

static bool conversion_is_over(struct library *l, uint64_t image)
{
        struct conversion c;

        return image_get_conversion(l->m, image, &c) == 0 && c.status == CONVERT_DONE;
}

static void test_a_snapshot_that_another_image_needs_stays(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "local", "vdb"),
                 data = (uint64_t)library_sql_int(l, "SELECT id FROM snapshot");

        assert_ok(image_convert(l->m, &l->alice, image, "cloud", library_diag(l)));
        work_wait(l, conversion_is_over, image);
        library_sql(l, "UPDATE task SET status = 'running' WHERE kind = 'convert'"); /* as for a moment before */
        assert_refused(l, give(l, OBJECT_IMAGE, image), -EBUSY);
        library_sql(l, "UPDATE task SET status = 'done' WHERE kind = 'convert'");
        assert_used(l, &l->alice, 2, 2);
        /* As it was a moment ago: a conversion takes less time than asking during it. */
        library_sql(l, "UPDATE task SET status = 'running' WHERE kind = 'convert'");
        assert_refused(l, give(l, OBJECT_IMAGE, image), -EBUSY);
        library_sql(l, "UPDATE task SET status = 'done' WHERE kind = 'convert'");

        assert_ok(give(l, OBJECT_IMAGE, work_find(l, l->region, CLASS_PRIVATE, "web-cloud")));
        assert_int_equal(owner_of_snapshot(l, data), l->alice.uid);
        assert_used(l, &l->alice, 1, 1);
        assert_used(l, &l->bob, 1, 1);
        work_assert_clean(l);
}

static void test_publishing_frees_the_quota_of_the_snapshots_too(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "vdb");

        assert_ok(image_move(l->m, &l->admin, image, l->region, CLASS_PUBLIC, "web", library_diag(l)));
        assert_used(l, &l->alice, 0, 0);
        assert_int_equal(owner_of_snapshot(l, snapshot_named(l, "web")), l->admin.uid);
        work_assert_clean(l);
}

static void test_what_is_published_no_more_has_snapshots_for_its_own_disks(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "web", "local", 400000, 1), used;

        used = work_used(l, l->region, &l->admin, LIMIT_SNAPSHOTS);
        assert_ok(image_move(l->m, &l->admin, image, l->region, CLASS_PUBLIC, "web", library_diag(l)));
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "0 snapshots limit=0", library_diag(l)));
        assert_refused(l, image_move(l->m, &l->admin, image, l->region, CLASS_PRIVATE, "mine", library_diag(l)), -EDQUOT);
        assert_int_equal(work_get(l, image).class, CLASS_PUBLIC);
        assert_int_equal(work_snapshots(l, l->region), 0);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "0 snapshots limit=1", library_diag(l)));
        assert_ok(image_move(l->m, &l->admin, image, l->region, CLASS_PRIVATE, "mine", library_diag(l)));
        assert_int_equal(work_get(l, image).type, TYPE_CLOUD);
        assert_int_equal(work_snapshots(l, l->region), 1);
        assert_int_equal(work_used(l, l->region, &l->admin, LIMIT_SNAPSHOTS), used + 1);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM image_disk WHERE snapshot IS NULL"), 0);
        work_assert_bytes(l, image, 400000, 1);
        work_assert_clean(l);
}

static void test_what_is_at_work_is_not_handed_over(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", ""), vm = machine_make(l, image, "vm1"),
                 disk = machine_volume(l, "d1", 4096), queued = library_image(l, "queued");
        struct volume_file *f;
        struct upload *u;

        assert_ok(machine_set(l, vm, INSTANCE_FIELD_POWER, "start"));
        assert_refused(l, give(l, OBJECT_INSTANCE, vm), -EBUSY);
        assert_ok(machine_set(l, vm, INSTANCE_FIELD_POWER, "stop"));
        assert_refused(l, give(l, OBJECT_VOLUME, machine_disk(l, vm, "vda").o.id), -EBUSY);

        assert_ok(volume_open(l->m, disk, true, library_diag(l), &f));
        assert_refused(l, give(l, OBJECT_VOLUME, disk), -EBUSY);
        volume_close(f);
        assert_ok(give(l, OBJECT_VOLUME, disk));

        assert_ok(upload_open(l->m, &l->alice, queued, library_diag(l), &u));
        assert_refused(l, give(l, OBJECT_IMAGE, queued), -EBUSY);
        upload_close(u);
        assert_ok(give(l, OBJECT_IMAGE, queued));

        assert_ok(give(l, OBJECT_INSTANCE, vm));
        assert_int_equal(machine_disk(l, vm, "vda").o.uid, l->bob.uid);
        work_assert_clean(l);
}

static void test_a_snapshot_alone_counts_for_its_new_owner(void **state)
{
        struct library *l = *state;
        uint64_t snapshot;

        (void)machine_image(l, "web", "cloud", "");
        snapshot = snapshot_named(l, "web");
        limit_bob(l, "snapshots", 0);
        assert_refused(l, give(l, OBJECT_SNAPSHOT, snapshot), -EDQUOT);
        limit_bob(l, "snapshots", 1);
        assert_ok(give(l, OBJECT_SNAPSHOT, snapshot));
        assert_used(l, &l->alice, 1, 0);
        assert_used(l, &l->bob, 0, 1);

        library_sql(l, "UPDATE snapshot SET status = 'creating', blob = NULL WHERE id = %lld", (long long)snapshot);
        assert_refused(l, model_set_access(l->m, &l->admin, OBJECT_SNAPSHOT, snapshot, NULL, &l->alice.uid, NULL,
                                           library_diag(l)), -EBUSY);
}

/* All of it changes hands, or none of it. */
static void test_a_full_disk_leaves_nothing_half_handed_over(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "vdb");
        int r = -1;

        for (unsigned n = 1; r < 0; n++) {
                fault_set(FAULT_WRITE, n, true);
                r = give(l, OBJECT_IMAGE, image);
                fault_set(FAULT_WRITE, 0, false);
                if (r < 0) {
                        assert_err(r, -ENOSPC);
                        assert_used(l, &l->alice, 1, 2);
                        assert_used(l, &l->bob, 0, 0);
                }
        }
        assert_used(l, &l->alice, 0, 0);
        assert_used(l, &l->bob, 1, 2);
        work_assert_clean(l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_only_its_owner_removes_or_renames_an_object),
                TEST(test_an_image_takes_its_snapshots_along_and_their_quota),
                TEST(test_a_snapshot_that_another_image_needs_stays),
                TEST(test_publishing_frees_the_quota_of_the_snapshots_too),
                TEST(test_what_is_published_no_more_has_snapshots_for_its_own_disks),
                TEST(test_what_is_at_work_is_not_handed_over),
                TEST(test_a_snapshot_alone_counts_for_its_new_owner),
                TEST(test_a_full_disk_leaves_nothing_half_handed_over),
                cmocka_unit_test(test_supplementary_groups_count_and_are_asked_last),
        };

        fault_install();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
