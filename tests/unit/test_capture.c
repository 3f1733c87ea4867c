/* SPDX-License-Identifier: MIT */
/* Images made of instances. */

#include "model/core/quota.h"
#include "model/image/share.h"
#include "tests/lib/machine.h"

#include <stdlib.h>
#include <string.h>

static uint64_t capture(struct library *l, uint64_t instance, const char *handle)
{
        uint64_t id;

        assert_ok(instance_capture(l->m, &l->alice, instance, handle, library_diag(l), &id));
        assert_int_equal(library_wait_image(l, id), IMAGE_AVAILABLE);
        machine_wait(l, instance);
        return id;
}

struct mapping {
        struct image_disk disk[4];
        size_t n;
};

static int collect(void *ctx, const struct image_disk *d)
{
        struct mapping *map = ctx;

        assert_true(map->n < 4);
        map->disk[map->n++] = *d;
        return 0;
}

static struct mapping mapping(struct library *l, uint64_t image)
{
        struct mapping map = { .n = 0 };

        assert_ok(image_disk_each(l->m, image, collect, &map));
        return map;
}

static bool has_checksum(struct library *l, uint64_t image)
{
        struct mapping map = mapping(l, image);

        for (size_t i = 0; i < map.n; i++) {
                if (!blob_has_checksum(&map.disk[i].blob))
                        return false;
        }
        return true;
}

static void test_a_local_instance_gives_a_local_image(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "local", "vdc"), id = machine_make(l, image, "vm1"), next;
        uint8_t *bytes = work_bytes(MACHINE_SIZE, 1);
        struct mapping map;

        assert_ok(image_set(l->m, &l->alice, image, IMAGE_FIELD_FEATURES, "cloud-init", library_diag(l)));
        assert_ok(image_set(l->m, &l->alice, image, IMAGE_FIELD_OS, "linux", library_diag(l)));
        memcpy(bytes + 8000, "changed", 7);
        machine_write(l, machine_disk(l, id, "vda").o.id, "changed", 7, 8000);
        next = capture(l, id, "web-v2");
        assert_int_equal(work_get(l, next).type, TYPE_LOCAL);
        assert_int_equal(work_get(l, next).class, CLASS_PRIVATE);
        assert_string_equal(work_get(l, next).features, "cloud-init");
        assert_string_equal(work_get(l, next).os, "linux");
        assert_string_equal(work_get(l, next).name, "web-v2");
        map = mapping(l, next);
        assert_int_equal(map.n, 2);
        assert_int_equal(map.disk[0].snapshot, 0);
        assert_string_equal(map.disk[1].device, "vdc");
        assert_int_not_equal(map.disk[1].snapshot, 0);
        assert_int_equal(map.disk[1].blob.size_bytes, MACHINE_SIZE);
        assert_int_equal(work_snapshots(l, l->region), 2); /* with that of the first image's data disk */
        work_wait(l, has_checksum, next);
        work_assert_clean(l);

        /* The new image makes machines, without the old one. */
        assert_ok(instance_remove(l->m, &l->alice, id, library_diag(l)));
        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
        id = machine_make(l, next, "vm2");
        machine_assert_bytes(l, machine_disk(l, id, "vda").o.id, bytes, MACHINE_SIZE, 0);
        assert_true(machine_has_disk(l, id, "vdc"));
        work_assert_clean(l);
        free(bytes);
}

static void test_a_cloud_instance_gives_a_snapshot_per_disk(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdb"), "vm1"), next;
        struct mapping map;

        assert_ok(volume_set_size(l->m, &l->alice, machine_disk(l, id, "vdb").o.id, 1 << 20, library_diag(l)));
        next = capture(l, id, "web-v2");
        assert_int_equal(work_get(l, next).type, TYPE_CLOUD);
        map = mapping(l, next);
        assert_int_equal(map.n, 2);
        assert_true(map.disk[0].system);
        assert_string_equal(map.disk[0].snapshot_handle, "web-v2");
        assert_string_equal(map.disk[1].snapshot_handle, "web-v2-2");
        assert_int_equal(map.disk[1].blob.size_bytes, 1 << 20);
        assert_int_equal(work_get(l, next).o.size_bytes, MACHINE_SIZE + (1 << 20));
        work_wait(l, has_checksum, next);
        work_assert_clean(l);
}

static void test_unchanged_disks_take_no_space(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdb"), "vm1");
        struct model_stats before, after;

        assert_ok(model_get_stats(l->m, &before));
        capture(l, id, "web-v2");
        assert_ok(model_get_stats(l->m, &after));
        assert_int_equal(after.blobs.unique_bytes, before.blobs.unique_bytes);
        assert_int_equal(after.blobs.blobs, before.blobs.blobs + 2);
}

static void test_image_disks_selects(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdb vdd"), "vm1"), next;
        struct mapping map;

        assert_ok(quota_set_line(l->m, &l->admin, l->region, "private-images limit=10", library_diag(l)));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, "none"));
        assert_int_equal(mapping(l, capture(l, id, "none")).n, 1);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, "all"));
        assert_int_equal(mapping(l, capture(l, id, "all")).n, 3);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, "vdd"));
        map = mapping(l, capture(l, id, "one"));
        assert_int_equal(map.n, 2);
        assert_string_equal(map.disk[1].device, "vdd");
        assert_ok(machine_set(l, id, INSTANCE_FIELD_DETACH, "vdd"));
        assert_refused(l, instance_capture(l->m, &l->alice, id, "missing", library_diag(l), &next), -ENOENT);
        work_assert_clean(l);
}

static void test_captures_that_are_refused(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdb"), "vm1"), next;
        uint64_t empty = machine_make_empty(l, "vm2");

        assert_refused(l, instance_capture(l->m, &l->alice, id, "web", library_diag(l), &next), -EEXIST);
        assert_refused(l, instance_capture(l->m, &l->alice, id, ".web", library_diag(l), &next), -EINVAL);
        assert_refused(l, instance_capture(l->m, &l->alice, empty, "x", library_diag(l), &next), -EBUSY);
        assert_err(instance_capture(l->m, &l->alice, 4711, "x", library_diag(l), &next), -ENOENT);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=3", library_diag(l)));
        assert_refused(l, instance_capture(l->m, &l->alice, id, "x", library_diag(l), &next), -EDQUOT);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=4", library_diag(l)));
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "private-images limit=1", library_diag(l)));
        assert_refused(l, instance_capture(l->m, &l->alice, id, "x", library_diag(l), &next), -EDQUOT);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "private-images limit=2", library_diag(l)));
        assert_int_equal(work_snapshots(l, l->region), 2);
        capture(l, id, "x");
        work_assert_clean(l);
}

static int note_image(void *ctx, const struct object *o, enum image_class class)
{
        assert_int_equal(class, CLASS_PRIVATE);
        *(uint64_t *)ctx = o->id;
        return 0;
}

static void test_images_are_known_to_their_instance(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "local", ""), "vm1"), next, found = 0;

        assert_ok(instance_images(l->m, id, note_image, &found));
        assert_int_equal(found, 0);
        next = capture(l, id, "web-v2");
        assert_ok(instance_images(l->m, id, note_image, &found));
        assert_int_equal(found, next);
        assert_ok(image_remove(l->m, &l->alice, next, library_diag(l)));
        assert_ok(image_destroy(l->m, &l->alice, next, library_diag(l)));
        found = 0;
        assert_ok(instance_images(l->m, id, note_image, &found));
        assert_int_equal(found, 0);
}

/* As if a capture had just been accepted, before a worker takes it. */
static void park(struct library *l, uint64_t image, const char *task_status)
{
        library_sql(l,
                    "UPDATE task SET status = '%s', finished = NULL WHERE kind = 'capture';"
                    "UPDATE image SET status = 'pending' WHERE id = %lld;"
                    "UPDATE image_disk SET blob = NULL WHERE image = %lld;"
                    "UPDATE snapshot SET status = 'creating', blob = NULL WHERE id IN (SELECT snapshot FROM image_disk "
                    "WHERE image = %lld)",
                    task_status, (long long)image, (long long)image, (long long)image);
}

static int count(void *ctx, const struct object *o)
{
        (void)o;
        ++*(unsigned *)ctx;
        return 0;
}

static void test_while_it_is_made_the_instance_stands_still(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "local", "vdb"), "vm1"), next = capture(l, id, "v2"), s;
        struct volume_file *f;
        unsigned n = 0;

        park(l, next, "running");
        assert_true(machine_get(l, id).busy);
        assert_ok(instance_used_by(l->m, id, count, &n));
        assert_int_equal(n, 1);
        assert_refused(l, volume_open(l->m, machine_disk(l, id, "vda").o.id, true, library_diag(l), &f), -EBUSY);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_POWER, "start"), -EBUSY);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_DETACH, "vdb"), -EBUSY);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE, "private/web"), -EBUSY);
        assert_refused(l, instance_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
        assert_refused(l, instance_capture(l->m, &l->alice, id, "v3", library_diag(l), &s), -EBUSY);
        assert_refused(l, volume_snapshot(l->m, &l->alice, machine_disk(l, id, "vdb").o.id, "s", library_diag(l), &s),
                       -EBUSY);
        assert_refused(l, image_remove(l->m, &l->alice, next, library_diag(l)), -EBUSY);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_DESCRIPTION, "busy"));
}

static void test_a_capture_goes_on_after_a_restart(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "local", "vdb"), "vm1"), next = capture(l, id, "v2");

        library_close(l);
        park(l, next, "running");
        library_sql(l, "UPDATE image SET status = 'replicating' WHERE id = %lld", (long long)next);
        assert_ok(library_open(l));
        assert_int_equal(library_wait_image(l, next), IMAGE_AVAILABLE);
        work_assert_bytes(l, next, MACHINE_SIZE, 1);
        work_assert_clean(l);
}

static void test_a_cancelled_capture_was_never_there(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdb"), "vm1"), next = capture(l, id, "v2");
        uint64_t task = (uint64_t)library_sql_int(l, "SELECT id FROM task WHERE kind = 'capture'");

        park(l, next, "running");
        assert_ok(task_remove(l->m, &l->alice, task, library_diag(l)));
        assert_int_equal(work_find(l, l->region, CLASS_PRIVATE, "v2"), 0);
        assert_int_equal(work_snapshots(l, l->region), 2);
        assert_false(machine_get(l, id).busy);
        work_assert_clean(l);
}

static void test_a_failed_capture_keeps_its_image_and_no_snapshot(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdb"), "vm1"), next = capture(l, id, "v2");
        struct image image;

        library_close(l);
        park(l, next, "running");
        library_sql(l, "UPDATE volume SET key = randomblob(16), made = 1 WHERE device = 'vdb'");
        assert_ok(library_open(l));
        assert_int_equal(library_wait_image(l, next), IMAGE_ERROR);
        image = work_get(l, next);
        assert_true(image.error[0] != '\0');
        assert_int_equal(work_snapshots(l, l->region), 2);
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 2);
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_PRIVATE_IMAGES), 2);
        assert_ok(image_remove(l->m, &l->alice, next, library_diag(l)));
        assert_false(machine_get(l, id).busy);
}

/* The administrator may attach a disk of another: to a machine it says nothing of who may read the disk. */
static void test_a_disk_of_another_does_not_go_along(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", NULL, "vdb"), "vm1"), image, disk;

        disk = machine_volume(l, "his", MACHINE_SIZE);
        assert_ok(model_set_access(l->m, &l->admin, OBJECT_VOLUME, disk, NULL, &l->bob.uid, NULL, library_diag(l)));
        assert_ok(instance_set(l->m, &l->admin, id, INSTANCE_FIELD_ATTACH, "his", library_diag(l)));
        assert_refused(l, instance_capture(l->m, &l->alice, id, "all", library_diag(l), &image), -EACCES);
        assert_contains(l->diag.text, "vdc");
        assert_int_equal(work_find(l, l->region, CLASS_PRIVATE, "all"), 0);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, "vdb"));
        assert_ok(instance_capture(l->m, &l->alice, id, "own", library_diag(l), &image));
        assert_int_equal(library_wait_image(l, image), IMAGE_AVAILABLE);
        assert_int_equal(mapping(l, image).n, 2);
}

/* Nor is it read by those whom its owner let into the machine, and not to the disk. */
static void test_a_closed_disk_does_not_go_along(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", NULL, ""), "vm1"), image, disk;
        const mode_t all = 0777;

        disk = machine_volume(l, "hers", MACHINE_SIZE);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_ATTACH, "hers"));
        assert_ok(model_set_access(l->m, &l->alice, OBJECT_INSTANCE, id, &all, NULL, NULL, library_diag(l)));
        assert_refused(l, instance_capture(l->m, &l->bob, id, "all", library_diag(l), &image), -EACCES);
        assert_contains(l->diag.text, "vdb");
        assert_ok(model_set_access(l->m, &l->alice, OBJECT_VOLUME, disk, &all, NULL, NULL, library_diag(l)));
        assert_ok(instance_capture(l->m, &l->bob, id, "all", library_diag(l), &image));
        assert_int_equal(library_wait_image(l, image), IMAGE_AVAILABLE);
}

static void test_what_another_noted_about_her_image_stays_hers(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", NULL, ""), vm = machine_make(l, image, "vm1"), id, share;
        char alice[16];

        assert_ok(image_set(l->m, &l->alice, image, IMAGE_FIELD_OS, "linux", library_diag(l)));
        assert_ok(image_set(l->m, &l->alice, image, IMAGE_FIELD_LABELS, "k=v", library_diag(l)));
        assert_ok(image_set(l->m, &l->alice, image, IMAGE_FIELD_PROJECT_GROUP, "x", library_diag(l)));
        assert_string_equal(work_get(l, capture(l, vm, "own")).labels, "k=v");
        assert_ok(model_set_access(l->m, &l->admin, OBJECT_IMAGE, image, NULL, &l->bob.uid, NULL, library_diag(l)));
        (void)snprintf(alice, sizeof(alice), "%u", l->alice.uid);
        assert_ok(share_create(l->m, &l->bob, image, alice, library_diag(l), &share));
        id = capture(l, vm, "next");
        assert_string_equal(work_get(l, id).os, "linux");
        assert_string_equal(work_get(l, id).labels, "");
        assert_string_equal(work_get(l, id).project_group, "");

        /* And all of it, once it is not shared. */
        assert_ok(share_remove(l->m, &l->bob, share, library_diag(l)));
        assert_string_equal(work_get(l, capture(l, vm, "last")).os, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_a_local_instance_gives_a_local_image),
                TEST(test_a_cloud_instance_gives_a_snapshot_per_disk),
                TEST(test_unchanged_disks_take_no_space),
                TEST(test_image_disks_selects),
                TEST(test_captures_that_are_refused),
                TEST(test_images_are_known_to_their_instance),
                TEST(test_while_it_is_made_the_instance_stands_still),
                TEST(test_a_capture_goes_on_after_a_restart),
                TEST(test_a_cancelled_capture_was_never_there),
                TEST(test_a_failed_capture_keeps_its_image_and_no_snapshot),
                TEST(test_a_disk_of_another_does_not_go_along),
                TEST(test_a_closed_disk_does_not_go_along),
                TEST(test_what_another_noted_about_her_image_stays_hers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
