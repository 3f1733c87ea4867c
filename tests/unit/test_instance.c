/* SPDX-License-Identifier: MIT */
/* Machines: made from images, started, their disks attached and detached, rebuilt, removed. */

#include "tests/lib/machine.h"
#include "tests/lib/stopwatch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/check.h"
#include "model/work/convert.h"

static int count(void *ctx, const struct object *o)
{
        (void)o;
        ++*(unsigned *)ctx;
        return 0;
}

static unsigned disks_listed(struct library *l)
{
        unsigned n = 0;

        assert_ok(volume_each(l->m, l->region, count, &n));
        return n;
}

static void assert_seed(struct library *l, uint64_t volume, uint32_t seed)
{
        uint8_t *bytes = work_bytes(MACHINE_SIZE, seed);

        machine_assert_bytes(l, volume, bytes, MACHINE_SIZE, 0);
        free(bytes);
}

/* ---- made from an image ---- */

static void test_from_a_local_image_the_system_disk_is_in_no_list(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "local", "vdb");
        struct model_stats before, after;
        uint64_t id;

        assert_ok(model_get_stats(l->m, &before));
        id = machine_make(l, image, "vm1");
        assert_ok(model_get_stats(l->m, &after));
        assert_int_equal(after.blobs.stored_bytes, before.blobs.stored_bytes);

        assert_int_equal(machine_get(l, id).type, TYPE_LOCAL);
        assert_int_equal(machine_get(l, id).image, image);
        assert_string_equal(machine_get(l, id).image_path, "private/web");
        assert_false(machine_get(l, id).running);
        assert_false(machine_disk(l, id, "vda").cloud);
        assert_true(machine_disk(l, id, "vda").system);
        assert_string_equal(machine_disk(l, id, "vda").o.handle, "vda");
        assert_true(machine_disk(l, id, "vdb").cloud);
        assert_string_equal(machine_disk(l, id, "vdb").o.handle, "vm1-vdb");
        assert_int_equal(disks_listed(l), 1);
        assert_seed(l, machine_disk(l, id, "vda").o.id, 1);
        assert_seed(l, machine_disk(l, id, "vdb").o.id, 2);
        work_assert_clean(l);
        assert_seed(l, machine_disk(l, id, "vda").o.id, 1);
}

static void test_from_a_cloud_image_all_disks_are_listed(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "vdb vdd");
        uint64_t id, taken = machine_volume(l, "vm1-vda", 0);
        struct object o;

        id = machine_make(l, image, "vm1");
        assert_int_equal(machine_get(l, id).type, TYPE_CLOUD);
        assert_string_equal(machine_disk(l, id, "vda").o.handle, "vm1-vda-2");
        assert_string_equal(machine_disk(l, id, "vdd").o.handle, "vm1-vdd");
        assert_false(machine_has_disk(l, id, "vdc"));
        assert_int_equal(disks_listed(l), 4);
        assert_ok(volume_remove(l->m, &l->alice, taken, library_diag(l)));
        assert_ok(instance_find_of_image(l->m, image, "vm1", &o));
        assert_int_equal(o.id, id);
        assert_int_equal(o.uid, l->alice.uid);
        work_assert_clean(l);
}

static void test_writing_to_a_clone_leaves_the_image_and_its_other_clones_alone(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "");
        uint64_t one = machine_make(l, image, "vm1"), two = machine_make(l, image, "vm2");

        machine_write(l, machine_disk(l, one, "vda").o.id, "hello", 5, 100);
        machine_assert_bytes(l, machine_disk(l, one, "vda").o.id, "hello", 5, 100);
        assert_seed(l, machine_disk(l, two, "vda").o.id, 1);
        work_assert_bytes(l, image, MACHINE_SIZE, 1);
        work_assert_clean(l);
        machine_assert_bytes(l, machine_disk(l, one, "vda").o.id, "hello", 5, 100);
}

static void test_from_an_image_of_both_the_type_can_be_chosen_until_the_first_start(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "local", ""), id;

        library_sql(l, "UPDATE image SET type = 'both' WHERE id = %lld", (long long)image);
        id = machine_make(l, image, "vm1");
        assert_int_equal(machine_get(l, id).type, TYPE_CLOUD);
        assert_int_equal(disks_listed(l), 1);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_TYPE, "local"));
        assert_int_equal(machine_get(l, id).type, TYPE_LOCAL);
        assert_int_equal(disks_listed(l), 0);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_TYPE, "cloud"));
        assert_string_equal(machine_disk(l, id, "vda").o.handle, "vm1-vda");
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_TYPE, "both"), -EINVAL);

        assert_ok(machine_set(l, id, INSTANCE_FIELD_POWER, "start"));
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_TYPE, "local"), -EBUSY);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_POWER, "stop"));
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_TYPE, "local"), -EBUSY);
        work_assert_clean(l);
}

static void test_the_type_of_others_is_their_image_s(void **state)
{
        struct library *l = *state;
        uint64_t local = machine_make(l, machine_image(l, "local", "local", ""), "vm1");
        uint64_t empty = machine_make_empty(l, "vm2");

        assert_ok(machine_set(l, local, INSTANCE_FIELD_TYPE, "local"));
        assert_refused(l, machine_set(l, local, INSTANCE_FIELD_TYPE, "cloud"), -EOPNOTSUPP);
        assert_refused(l, machine_set(l, empty, INSTANCE_FIELD_TYPE, "local"), -EBUSY);
}

static void test_what_cannot_be_made_leaves_nothing(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "");
        uint64_t queued = library_image(l, "queued"), id;

        assert_refused(l, instance_create_from_image(l->m, &l->alice, queued, "vm1", library_diag(l), &id), -EBUSY);
        assert_refused(l, instance_create_from_image(l->m, &l->alice, image, "a/b", library_diag(l), &id), -EINVAL);
        assert_refused(l, instance_create_from_image(l->m, &l->bob, image, "vm1", library_diag(l), &id), -EACCES);
        assert_err(instance_create_from_image(l->m, &l->alice, 4711, "vm1", library_diag(l), &id), -ENOENT);
        assert_refused(l, instance_create(l->m, &l->alice, l->region, ".vm", library_diag(l), &id), -EINVAL);
        machine_make(l, image, "vm1");
        assert_refused(l, instance_create_from_image(l->m, &l->bob, image, "vm1", library_diag(l), &id), -EACCES);
        assert_refused(l, instance_create_from_image(l->m, &l->alice, image, "vm1", library_diag(l), &id), -EEXIST);
        assert_refused(l, instance_create(l->m, &l->bob, l->region, "vm1", library_diag(l), &id), -EEXIST);
        assert_int_equal(disks_listed(l), 1);
        machine_wait_disks(l, 0);
        work_assert_clean(l);
}

static void test_an_iso_gives_a_cdrom_and_a_disk_that_waits_for_its_size(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "debian", "local", ""), id;
        struct blob_info info;
        struct blob *b;

        library_sql(l, "UPDATE image SET class = 'iso', source = 'iso', type = 'both', mode = %d WHERE id = %lld", 0755,
                    (long long)image);
        assert_ok(instance_create_from_image(l->m, &l->bob, image, "vm1", library_diag(l), &id));
        assert_int_equal(machine_get(l, id).cdrom, image);
        assert_ok(instance_cdrom_info(l->m, id, &info));
        assert_int_equal(info.size_bytes, MACHINE_SIZE);
        assert_ok(instance_cdrom_open(l->m, id, NULL, &b));
        blob_close(b);
        assert_int_equal(machine_disk(l, id, "vda").size_bytes, 0);
        assert_ok(volume_set_size(l->m, &l->bob, machine_disk(l, id, "vda").o.id, 1 << 20, library_diag(l)));
        assert_int_equal(machine_disk(l, id, "vda").size_bytes, 1 << 20);
        assert_refused(l, image_remove(l->m, &l->admin, image, library_diag(l)), -EBUSY);
        work_assert_clean(l);
}

/* ---- running ---- */

static void test_power_is_kept_and_goes_one_way_at_a_time(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", ""), "vm1"),
                 empty = machine_make_empty(l, "vm2");

        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_POWER, "stop"), -EBUSY);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_POWER, "on"), -EINVAL);
        assert_refused(l, machine_set(l, empty, INSTANCE_FIELD_POWER, "start"), -EBUSY);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_POWER, "start"));
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_POWER, "start"), -EBUSY);
        assert_true(machine_get(l, id).running);
        work_assert_clean(l);
        assert_true(machine_get(l, id).running);
        assert_true(machine_get(l, id).started);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_POWER, "stop"));
        assert_false(machine_get(l, id).running);
}

/* Everything that is for stopped instances only. */
static void assert_all_refused(struct library *l, uint64_t id)
{
        uint64_t vdb = machine_disk(l, id, "vdb").o.id, made;

        assert_refused(l, instance_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
        assert_refused(l, instance_capture(l->m, &l->alice, id, "copy", library_diag(l), &made), -EBUSY);
        assert_refused(l, volume_snapshot(l->m, &l->alice, vdb, "s", library_diag(l), &made), -EBUSY);
        assert_refused(l, volume_set_size(l->m, &l->alice, vdb, 1 << 20, library_diag(l)), -EBUSY);
        assert_refused(l, volume_remove(l->m, &l->alice, vdb, library_diag(l)), -EBUSY);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_DETACH, "vdb"), -EBUSY);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_ATTACH, "spare"), -EBUSY);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE, "private/web"), -EBUSY);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_TYPE, "local"), -EBUSY);
}

static void test_a_running_instance_keeps_its_disks(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdb"), "vm1");
        struct volume_file *f, *reader;

        machine_volume(l, "spare", 4096);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_POWER, "start"));
        assert_all_refused(l, id);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_POWER, "stop"));

        assert_ok(volume_open(l->m, machine_disk(l, id, "vda").o.id, false, library_diag(l), &reader));
        assert_false(machine_get(l, id).running);
        assert_ok(volume_open(l->m, machine_disk(l, id, "vda").o.id, true, library_diag(l), &f));
        assert_true(machine_get(l, id).running);
        assert_all_refused(l, id);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_POWER, "start"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_POWER, "stop"));
        assert_true(machine_get(l, id).running);
        volume_close(f);
        assert_false(machine_get(l, id).running);
        assert_true(machine_get(l, id).started);

        assert_ok(instance_remove(l->m, &l->alice, id, library_diag(l)));
        volume_close(reader);
        work_assert_clean(l);
}

static void test_what_a_crash_cut_off_does_not_run(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", ""), "vm1");

        machine_write(l, machine_disk(l, id, "vda").o.id, "x", 1, 0);
        library_close(l);
        assert_ok(library_open(l));
        assert_false(machine_get(l, id).running);
}

/* ---- attach and detach ---- */

static void test_devices_are_the_first_free_letters(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdc"), "vm1");
        uint64_t one = machine_volume(l, "one", 4096);
        struct volume v;

        machine_volume(l, "two", 8192);
        assert_ok(volume_get(l->m, one, &v));
        assert_int_equal(v.instance, 0);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_ATTACH, "one"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_ATTACH, "two"));
        assert_string_equal(machine_disk(l, id, "vdb").o.handle, "one");
        assert_string_equal(machine_disk(l, id, "vdd").o.handle, "two");
        assert_ok(machine_set(l, id, INSTANCE_FIELD_DETACH, "vdb"));
        assert_false(machine_has_disk(l, id, "vdb"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_DETACH, "vdd"));
        assert_ok(volume_get(l->m, one, &v));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_ATTACH, v.ident));
        assert_string_equal(machine_disk(l, id, "vdb").o.handle, "one");
        work_assert_clean(l);
}

static void test_what_cannot_be_attached_or_detached(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "vdb");
        uint64_t id = machine_make(l, image, "vm1"), other = machine_make(l, image, "vm2");
        uint64_t mine = machine_volume(l, "mine", 4096);
        struct volume_file *f;

        machine_volume(l, "unsized", 0);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_ATTACH, "nothing"), -ENOENT);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_ATTACH, "unsized"), -EBUSY);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_ATTACH, "vm2-vdb"), -EBUSY);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_ATTACH, "vm1-vdb"), -EBUSY);
        assert_refused(l, instance_set(l->m, &l->bob, id, INSTANCE_FIELD_ATTACH, "mine", library_diag(l)), -EACCES);
        assert_ok(volume_open(l->m, mine, true, library_diag(l), &f));
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_ATTACH, "mine"), -EBUSY);
        volume_close(f);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_DETACH, "vda"), -EINVAL);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_DETACH, "vdz"), -ENOENT);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_DETACH, "sda"), -EINVAL);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_DETACH, ""), -EINVAL);
        assert_refused(l, volume_remove(l->m, &l->alice, machine_disk(l, other, "vdb").o.id, library_diag(l)), -EBUSY);
        work_assert_clean(l);
}

static void test_there_are_26_devices(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make_empty(l, "vm1");
        char handle[8];

        for (int i = 0; i < 25; i++) {
                (void)snprintf(handle, sizeof(handle), "d%d", i);
                machine_volume(l, handle, 4096);
                assert_ok(machine_set(l, id, INSTANCE_FIELD_ATTACH, handle));
        }
        machine_volume(l, "more", 4096);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_ATTACH, "more"), -EBUSY);
        assert_true(machine_has_disk(l, id, "vdz"));
        assert_false(machine_has_disk(l, id, "vda"));
}

/* ---- removing ---- */

static void test_removing_takes_what_was_made_with_it(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "vdb vdc");
        uint64_t id = machine_make(l, image, "vm1"), mine = machine_volume(l, "mine", 4096);
        struct volume v;
        struct object o;

        for (const char *device = "ab"; *device; device++)
                machine_write(l, machine_disk(l, id, (char[]){ 'v', 'd', *device, 0 }).o.id, "x", 1, MACHINE_SIZE - 1);
        machine_write(l, mine, "mine", 4, 0);
        machine_wait_disks(l, 3);
        assert_refused(l, image_remove(l->m, &l->alice, image, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "vm1");
        assert_ok(machine_set(l, id, INSTANCE_FIELD_ATTACH, "mine"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_DETACH, "vdc"));
        assert_ok(instance_remove(l->m, &l->alice, id, library_diag(l)));
        assert_err(instance_find(l->m, l->region, "vm1", &o), -ENOENT);
        assert_ok(volume_get(l->m, mine, &v));
        assert_int_equal(v.instance, 0);
        assert_string_equal(v.device, "");
        assert_ok(volume_find(l->m, l->region, "vm1-vdc", &o));
        assert_err(volume_find(l->m, l->region, "vm1-vdb", &o), -ENOENT);
        machine_wait_disks(l, 1);
        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
        assert_ok(image_destroy(l->m, &l->alice, image, library_diag(l)));
        work_assert_clean(l);
        assert_seed(l, o.id, 3);
}

static void test_bytes_stay_as_long_as_a_clone_needs_them(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "local", ""), disk, snapshot_id;
        struct object snapshot;

        /* The disk of a snapshot that is gone. */
        assert_ok(image_convert(l->m, &l->alice, image, "cloud one", library_diag(l)));
        assert_int_equal(library_wait_image(l, work_find(l, l->region, CLASS_PRIVATE, "one")), IMAGE_AVAILABLE);
        assert_ok(snapshot_find(l->m, l->region, "one", &snapshot));
        snapshot_id = snapshot.id;
        assert_ok(volume_create_from_snapshot(l->m, &l->alice, snapshot_id, "d1", library_diag(l), &disk));
        for (int i = 0; i < 2; i++) {
                uint64_t one = work_find(l, l->region, i ? CLASS_RECYCLE : CLASS_PRIVATE, "one");

                assert_ok((i ? image_destroy : image_remove)(l->m, &l->alice, image, library_diag(l)));
                assert_ok((i ? image_destroy : image_remove)(l->m, &l->alice, one, library_diag(l)));
        }
        assert_ok(snapshot_remove(l->m, &l->alice, snapshot_id, library_diag(l)));
        work_assert_clean(l);
        assert_seed(l, disk, 1);
        work_wait_blobs(l, 1);
        assert_ok(volume_remove(l->m, &l->alice, disk, library_diag(l)));
        work_wait_blobs(l, 0);
        machine_wait_disks(l, 0);
        work_assert_clean(l);
}

static void test_a_region_with_machines_stays(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make_empty(l, "vm1"), disk;

        assert_refused(l, region_remove(l->m, &l->admin, l->region, library_diag(l)), -EBUSY);
        assert_ok(instance_remove(l->m, &l->alice, id, library_diag(l)));
        disk = machine_volume(l, "d", 0);
        assert_refused(l, region_remove(l->m, &l->admin, l->region, library_diag(l)), -EBUSY);
        assert_ok(volume_remove(l->m, &l->alice, disk, library_diag(l)));
        assert_ok(region_remove(l->m, &l->admin, l->region, library_diag(l)));
}

/* ---- image ---- */

static void test_writing_image_to_an_empty_instance_makes_its_disks(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "vdb"), id = machine_make_empty(l, "vm1");

        machine_volume(l, "mine", 4096);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE, ""), -ENOENT);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE, "private/no"), -ENOENT);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE, "nowhere/web"), -ENOENT);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_ATTACH, "mine"));
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE, "private/web"), -EBUSY);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_DETACH, "vdb"));
        assert_refused(l, instance_set(l->m, &l->bob, id, INSTANCE_FIELD_IMAGE, "private/web", library_diag(l)),
                       -EACCES);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_IMAGE, work_get(l, image).ident));
        assert_seed(l, machine_disk(l, id, "vda").o.id, 1);
        assert_seed(l, machine_disk(l, id, "vdb").o.id, 2);
        machine_wait_disks(l, 0);
        work_assert_clean(l);
}

static void test_a_rebuild_replaces_the_system_disk_alone(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "vdb"), id = machine_make(l, image, "vm1");
        uint64_t other = machine_image(l, "next", "local", ""), vda = machine_disk(l, id, "vda").o.id;
        uint64_t vdb = machine_disk(l, id, "vdb").o.id;
        struct volume v;

        machine_write(l, vda, "changed", 7, 0);
        machine_write(l, vdb, "kept", 4, 0);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_IMAGE, "private/web"));
        assert_int_not_equal(machine_disk(l, id, "vda").o.id, vda);
        assert_err(volume_get(l->m, vda, &v), -ENOENT);
        assert_seed(l, machine_disk(l, id, "vda").o.id, 1);
        assert_string_equal(machine_disk(l, id, "vda").o.handle, "vm1-vda");
        machine_assert_bytes(l, vdb, "kept", 4, 0);

        assert_ok(machine_set(l, id, INSTANCE_FIELD_IMAGE, "private/next"));
        assert_int_equal(machine_get(l, id).image, other);
        assert_int_equal(machine_get(l, id).type, TYPE_LOCAL);
        assert_false(machine_disk(l, id, "vda").cloud);
        machine_assert_bytes(l, vdb, "kept", 4, 0);
        machine_wait_disks(l, 1);
        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
        assert_refused(l, image_remove(l->m, &l->alice, other, library_diag(l)), -EBUSY);
        work_assert_clean(l);
}

/* The first look at the instance did not wait for a release that was on its way. */
static void test_who_has_closed_a_disk_may_rebuild(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", ""), "vm1");
        struct volume_file *f;
        pthread_t thread;

        assert_ok(volume_open(l->m, machine_disk(l, id, "vda").o.id, true, library_diag(l), &f));
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE, "private/web"), -EBUSY);
        assert_ok(volume_flush(f));
        thread = machine_close_later(f);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_IMAGE, "private/web"));
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_seed(l, machine_disk(l, id, "vda").o.id, 1);
}

/* A look at an instance waited for every release that anybody's flush had announced. */
static void test_to_look_at_an_instance_takes_no_time(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", ""), id = machine_make(l, image, "vm1");
        uint64_t other = machine_make(l, image, "vm2");
        int64_t began_us, fastest_us = STOPWATCH_NEVER;
        struct volume_file *f;
        pthread_t thread;

        assert_ok(volume_open(l->m, machine_disk(l, id, "vda").o.id, true, library_diag(l), &f));
        for (int i = 0; i < 20; i++) {
                assert_ok(volume_flush(f));
                began_us = stopwatch_us();
                assert_false(machine_get(l, other).running);
                assert_true(machine_get(l, id).running);
                stopwatch_keep(began_us, &fastest_us);
        }
        assert_true(fastest_us < 200000); /* for which a release that a flush has announced is waited for */
        assert_ok(volume_flush(f));
        thread = machine_close_later(f);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_false(machine_get(l, id).running);
}

/* ---- attributes ---- */

static void test_names_and_texts(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make_empty(l, "vm1");
        struct object o;

        assert_ok(machine_set(l, id, INSTANCE_FIELD_NAME, "My Machine"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_DESCRIPTION, "two\nlines"));
        assert_string_equal(machine_get(l, id).name, "My Machine");
        assert_string_equal(machine_get(l, id).description, "two\nlines");
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_NAME, ""), -EINVAL);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_DESCRIPTION, "\x1b"), -EINVAL);

        machine_make_empty(l, "vm2");
        assert_refused(l, instance_rename(l->m, &l->alice, id, "vm2", library_diag(l)), -EEXIST);
        assert_ok(instance_rename(l->m, &l->alice, id, "vm3", library_diag(l)));
        assert_ok(instance_find(l->m, l->region, "vm3", &o));
        assert_int_equal(o.id, id);
        assert_string_equal(machine_get(l, id).name, "vm3");
}

static void test_image_disks_names_data_disks_that_are_there(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdb vdd"), "vm1");

        assert_string_equal(machine_get(l, id).image_disks, "all");
        assert_ok(machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, " vdd  vdb vdd"));
        assert_string_equal(machine_get(l, id).image_disks, "vdb vdd");
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, "vdc"), -ENOENT);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, "vda"), -EINVAL);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, "some"), -EINVAL);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, "vdbvdd"), -EINVAL);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, ""), -EINVAL);
        assert_string_equal(machine_get(l, id).image_disks, "vdb vdd");
        assert_ok(machine_set(l, id, INSTANCE_FIELD_IMAGE_DISKS, "none"));
}

static void test_handing_over_takes_along_what_was_made_with_it(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", ""), "vm1"),
                 mine = machine_volume(l, "mine", 4096);
        struct object o;

        assert_ok(machine_set(l, id, INSTANCE_FIELD_ATTACH, "mine"));
        assert_refused(l,
                       model_set_access(l->m, &l->alice, OBJECT_INSTANCE, id, NULL, &l->bob.uid, NULL, library_diag(l)),
                       -EPERM);
        assert_refused(l,
                       model_set_access(l->m, &l->admin, OBJECT_INSTANCE, id, NULL, &l->bob.uid, NULL, library_diag(l)),
                       -EBUSY);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_DETACH, "vdb"));
        assert_ok(model_set_access(l->m, &l->admin, OBJECT_INSTANCE, id, &(mode_t){ 0750 }, &l->bob.uid, NULL, library_diag(l)));
        assert_int_equal(machine_get(l, id).o.uid, l->bob.uid);
        assert_int_equal(machine_disk(l, id, "vda").o.uid, l->bob.uid);
        assert_int_equal(machine_disk(l, id, "vda").o.mode, 0750);
        assert_ok(volume_get_object(l->m, mine, &o));
        assert_int_equal(o.uid, l->alice.uid);
        assert_ok(
                model_set_access(l->m, &l->admin, OBJECT_VOLUME, mine, &(mode_t){ 0750 }, NULL, NULL, library_diag(l)));
}

/* ---- at the same time ---- */

#define RIVALS 4

struct rival {
        struct library *l;
        uint64_t image;
        int r;
};

static void *make_one(void *arg)
{
        struct rival *rival = arg;
        struct diag diag = { 0 };
        uint64_t id;

        rival->r = instance_create_from_image(rival->l->m, &rival->l->alice, rival->image, "vm1", &diag, &id);
        return NULL;
}

static void test_of_several_that_make_one_name_one_wins(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "cloud", "vdb");
        struct rival rival[RIVALS];
        pthread_t thread[RIVALS];
        unsigned won = 0;

        for (int i = 0; i < RIVALS; i++) {
                rival[i] = (struct rival){ .l = l, .image = image };
                assert_int_equal(pthread_create(&thread[i], NULL, make_one, &rival[i]), 0);
        }
        for (int i = 0; i < RIVALS; i++) {
                assert_int_equal(pthread_join(thread[i], NULL), 0);
                won += rival[i].r == 0;
                assert_true(rival[i].r == 0 || rival[i].r == -EEXIST);
        }
        assert_int_equal(won, 1);
        assert_int_equal(disks_listed(l), 2);
        machine_wait_disks(l, 0);
        work_assert_clean(l);
}

/* ---- crashes ---- */

static void test_disks_that_nothing_names_go_at_a_start_when_their_time_is_up(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdb"), "vm1");

        machine_write(l, machine_disk(l, id, "vda").o.id, "kept", 4, 0);
        machine_write(l, machine_disk(l, id, "vdb").o.id, "gone", 4, 0);
        /* As a crash leaves it between the disk and its row. */
        machine_wait_disks(l, 2);
        library_close(l);
        library_sql(l, "DELETE FROM volume WHERE device = 'vdb'; DELETE FROM trash");
        for (int start = 0; start < 2; start++) { /* or as it is for a catalogue that is older than the disk */
                assert_ok(library_open(l));
                machine_wait_disks(l, 2);
                library_close(l);
        }
        library_sql(l, "UPDATE unnamed SET since = since - 30 * 86400000000");
        assert_ok(library_open(l));
        machine_wait_disks(l, 1);
        assert_true(machine_has_disk(l, id, "vda"));
        work_assert_clean(l);
}

static void ignore(void *ctx, const char *text)
{
        strcpy(ctx, text);
}

static void test_the_check_misses_a_disk(void **state)
{
        struct library *l = *state;
        char path[2 * TEMPDIR_MAX], found[1024] = "";

        machine_volume(l, "d1", 4096);
        library_close(l);
        library_sql(l, "UPDATE volume SET key = randomblob(16), made = 1");
        (void)snprintf(path, sizeof(path), "%s/lib", l->dir);
        assert_err(model_check(path, false, NULL, ignore, found, library_diag(l)), 1);
        assert_contains(found, "r1/disks/d1");
        assert_ok(library_open(l));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_from_a_local_image_the_system_disk_is_in_no_list),
                TEST(test_from_a_cloud_image_all_disks_are_listed),
                TEST(test_writing_to_a_clone_leaves_the_image_and_its_other_clones_alone),
                TEST(test_from_an_image_of_both_the_type_can_be_chosen_until_the_first_start),
                TEST(test_the_type_of_others_is_their_image_s),
                TEST(test_what_cannot_be_made_leaves_nothing),
                TEST(test_an_iso_gives_a_cdrom_and_a_disk_that_waits_for_its_size),
                TEST(test_power_is_kept_and_goes_one_way_at_a_time),
                TEST(test_a_running_instance_keeps_its_disks),
                TEST(test_what_a_crash_cut_off_does_not_run),
                TEST(test_devices_are_the_first_free_letters),
                TEST(test_what_cannot_be_attached_or_detached),
                TEST(test_there_are_26_devices),
                TEST(test_removing_takes_what_was_made_with_it),
                TEST(test_bytes_stay_as_long_as_a_clone_needs_them),
                TEST(test_a_region_with_machines_stays),
                TEST(test_writing_image_to_an_empty_instance_makes_its_disks),
                TEST(test_a_rebuild_replaces_the_system_disk_alone),
                TEST(test_who_has_closed_a_disk_may_rebuild),
                TEST(test_to_look_at_an_instance_takes_no_time),
                TEST(test_names_and_texts),
                TEST(test_image_disks_names_data_disks_that_are_there),
                TEST(test_handing_over_takes_along_what_was_made_with_it),
                TEST(test_of_several_that_make_one_name_one_wins),
                TEST(test_disks_that_nothing_names_go_at_a_start_when_their_time_is_up),
                TEST(test_the_check_misses_a_disk),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
