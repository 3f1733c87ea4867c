/* SPDX-License-Identifier: MIT */

#include "model/image/image.h"

#include <stdlib.h>

#include "model/core/object.h"
#include "model/core/object_row.h"
#include "model/image/image_row.h"
#include "tests/lib/expect.h"
#include "tests/lib/library.h"

static struct image *get(struct library *l, uint64_t id)
{
        static struct image image;

        assert_ok(image_get(l->m, id, &image));
        return &image;
}

static int create(struct library *l, const struct caller *c, enum image_class class, const char *handle, uint64_t *ret)
{
        return image_create(l->m, c, l->region, class, handle, library_diag(l), ret);
}

static int set(struct library *l, uint64_t id, enum image_field field, const char *value)
{
        return image_set(l->m, &l->alice, id, field, value, library_diag(l));
}

/* ---- making ---- */

static void test_begins_queued_and_belongs_to_its_maker(void **state)
{
        struct library *l = *state;
        const struct image *image;
        struct object o;
        uint64_t id;

        assert_ok(create(l, &l->alice, CLASS_PRIVATE, "web", &id));
        image = get(l, id);
        assert_int_equal(image->status, IMAGE_QUEUED);
        assert_int_equal(image->class, CLASS_PRIVATE);
        assert_int_equal(image->source, CLASS_PRIVATE);
        assert_int_equal(image->type, TYPE_CLOUD);
        assert_string_equal(image->format, "auto");
        assert_string_equal(image->name, "web");
        assert_string_equal(image->o.handle, "web");
        assert_true(strncmp(image->ident, "img-", 4) == 0);
        assert_int_equal(image->o.mode, 0700);
        assert_int_equal(image->o.uid, l->alice.uid);
        assert_int_equal(image->o.size_bytes, 0);
        assert_false(image->busy);
        assert_ok(image_find(l->m, l->region, CLASS_PRIVATE, "web", &o));
        assert_int_equal(o.id, id);
        assert_err(image_find(l->m, l->region, CLASS_PUBLIC, "web", &o), -ENOENT);
        assert_err(image_get_object(l->m, 99, &o), -ENOENT);
}

static void test_other_classes_are_the_administrators(void **state)
{
        static const enum image_class classes[] = { CLASS_PUBLIC, CLASS_MARKETPLACE };
        struct library *l = *state;
        uint64_t id;

        for (size_t i = 0; i < 2; i++) {
                assert_err(create(l, &l->alice, classes[i], "web", &id), -EPERM);
                assert_ok(create(l, &l->admin, classes[i], "web", &id));
                assert_int_equal(get(l, id)->type, TYPE_BOTH);
                assert_int_equal(get(l, id)->o.mode, 0755);
                assert_int_equal(get(l, id)->source, classes[i]);
                assert_err(image_set(l->m, &l->alice, id, IMAGE_FIELD_NAME, "x", library_diag(l)), -EPERM);
                assert_err(image_remove(l->m, &l->alice, id, library_diag(l)), -EPERM);
                assert_err(image_move(l->m, &l->alice, id, l->region, classes[i], "x", library_diag(l)), -EPERM);
        }
        assert_err(create(l, &l->admin, CLASS_RECYCLE, "web", &id), -EPERM);
}

static void test_names_are_valid_and_unique_in_their_class(void **state)
{
        struct library *l = *state;
        char name[NAME_LEN_MAX + 2];
        uint64_t id;

        memset(name, 'n', sizeof(name));
        name[NAME_LEN_MAX + 1] = '\0';
        assert_err(create(l, &l->alice, CLASS_PRIVATE, name, &id), -EINVAL);
        name[NAME_LEN_MAX] = '\0';
        assert_ok(create(l, &l->alice, CLASS_PRIVATE, name, &id));
        assert_err(create(l, &l->alice, CLASS_PRIVATE, "", &id), -EINVAL);
        assert_err(create(l, &l->alice, CLASS_PRIVATE, ".x", &id), -EINVAL);
        assert_err(create(l, &l->alice, CLASS_PRIVATE, "a\nb", &id), -EINVAL);
        assert_err(create(l, &l->bob, CLASS_PRIVATE, name, &id), -EEXIST);
        assert_err(image_create(l->m, &l->alice, 99, CLASS_PRIVATE, "x", library_diag(l), &id), -ENOENT);
}

static void test_the_short_form_names_and_types_by_the_ending(void **state)
{
        static const struct {
                const char *file, *handle, *format;
        } files[] = {
                { "debian-12.qcow2", "debian-12", "qcow2" },
                { "debian-13.raw", "debian-13", "raw" },
                { "debian-14.IMG", "debian-14", "auto" },
                { "a.b.qcow2", "a.b", "qcow2" },
        };
        struct library *l = *state;
        uint64_t id;

        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                assert_ok(image_create_for_file(l->m, &l->alice, l->region, CLASS_PRIVATE, files[i].file,
                                                library_diag(l), &id));
                assert_string_equal(get(l, id)->o.handle, files[i].handle);
                assert_string_equal(get(l, id)->format, files[i].format);
        }
        assert_string_equal(get(l, id)->name, "a.b");
        assert_err(image_create_for_file(l->m, &l->alice, l->region, CLASS_PRIVATE, "a.b.raw", library_diag(l), &id),
                   -EEXIST);
        assert_string_equal(l->diag.text, "private/a.b: there is such an image already: choose another name");
}

static void test_the_short_form_refuses_other_endings(void **state)
{
        static const char *const files[] = { "notes.txt", "qcow2",  ".qcow2",   "..qcow2",
                                             "x.iso",     "x.xml",  "a\nb.raw", "" };
        struct library *l = *state;
        char name[300];
        uint64_t id;

        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                assert_err(image_create_for_file(l->m, &l->alice, l->region, CLASS_PRIVATE, files[i], library_diag(l),
                                                 &id),
                           -EINVAL);
                assert_true(l->diag.text[0] != '\0');
        }
        memset(name, 'n', sizeof(name));
        strcpy(name + 200, ".raw");
        assert_err(image_create_for_file(l->m, &l->alice, l->region, CLASS_PRIVATE, name, library_diag(l), &id),
                   -EINVAL);
        assert_ok(image_create_for_file(l->m, &l->admin, l->region, CLASS_ISO, "x.iso", library_diag(l), &id));
        assert_string_equal(get(l, id)->format, "iso");
        assert_err(image_create_for_file(l->m, &l->admin, l->region, CLASS_ISO, "x.raw", library_diag(l), &id),
                   -EINVAL);
        assert_ok(image_create_for_file(l->m, &l->alice, l->region, CLASS_ISO, "y.iso", library_diag(l), &id));
        assert_string_equal(get(l, id)->o.handle, "y");
        assert_int_equal(get(l, id)->o.mode, 0700);
}

struct taken {
        unsigned up_to, gap; /* numbers of the handles */
        unsigned looks;
};

static int is_taken(void *ctx, const char *handle)
{
        struct taken *t = ctx;
        unsigned number = strcmp(handle, "web") == 0 ? 1 : (unsigned)strtoul(handle + strlen("web-"), NULL, 10);

        t->looks++;
        return number <= t->up_to && number != t->gap;
}

/* Each number was looked at, from 2 on, with the database locked. */
static void test_a_free_handle_is_found_in_a_few_looks(void **state)
{
        char handle[NAME_LEN_MAX + 1], wanted[32];

        (void)state;
        for (unsigned n = 0; n < 100; n++) {
                struct taken t = { .up_to = n };

                (void)snprintf(wanted, sizeof(wanted), n ? "web-%u" : "web", n + 1);
                assert_ok(object_free_handle("web", is_taken, &t, handle));
                assert_string_equal(handle, wanted);
        }
        for (unsigned gap = 2; gap < 100; gap++) {
                struct taken t = { .up_to = 100000, .gap = gap };

                assert_ok(object_free_handle("web", is_taken, &t, handle));
                assert_int_equal(is_taken(&t, handle), 0);
                assert_true(t.looks < 40);
        }
}

/* A handle at the greatest length used to get no suffix, or half a character before it. */
static void test_a_long_handle_makes_room_for_its_suffix(void **state)
{
        struct library *l = *state;
        char name[NAME_LEN_MAX + 3] = "", handle[NAME_LEN_MAX + 1];
        uint64_t id;
        DB_TXN(t);

        while (strlen(name) < NAME_LEN_MAX)
                strcat(name, "ä");
        assert_ok(create(l, &l->alice, CLASS_PRIVATE, name, &id));
        assert_ok(db_begin(l->m->db, DB_READ, &t));
        assert_ok(image_free_handle(&t, l->region, CLASS_PRIVATE, name, handle));
        assert_true(name_is_valid(handle));
        assert_int_equal(strlen(handle), NAME_LEN_MAX);
        assert_string_equal(handle + NAME_LEN_MAX - 2, "-2");
}

/* ---- listing ---- */

struct listed {
        unsigned n;
        char last[NAME_LEN_MAX + 1];
};

static int check_order(void *ctx, const struct object *o)
{
        struct listed *listed = ctx;

        assert_true(strcmp(listed->last, o->handle) < 0);
        strcpy(listed->last, o->handle);
        listed->n++;
        return 0;
}

static void test_a_hundred_thousand_are_listed_in_order(void **state)
{
        struct library *l = *state;
        struct listed listed = { 0 };

        library_sql_plain(l,
                          "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
                          "INSERT INTO image (ident, region, class, handle, uid, gid, mode, created, updated, source, "
                          "name, status, type) SELECT 'img-' || i, %lld, 'public', 'image-' || i, 0, 0, 493, 0, 0, "
                          "'public', 'x', 'available', 'both' FROM n",
                          (long long)l->region);
        assert_ok(image_each(l->m, l->region, CLASS_PUBLIC, check_order, &listed));
        assert_int_equal(listed.n, 100000);
        listed = (struct listed){ 0 };
        assert_ok(image_each(l->m, l->region, CLASS_PRIVATE, check_order, &listed));
        assert_int_equal(listed.n, 0);
}

/* ---- attributes ---- */

static void test_values_are_checked_and_kept(void **state)
{
        static const struct {
                enum image_field field;
                const char *value;
                int r;
        } cases[] = {
                { IMAGE_FIELD_NAME, "anything goes", 0 },
                { IMAGE_FIELD_NAME, "", -EINVAL },
                { IMAGE_FIELD_NAME, "a/b", -EINVAL },
                { IMAGE_FIELD_OS, "linux", 0 },
                { IMAGE_FIELD_OS, "", 0 },
                { IMAGE_FIELD_OS, "Linux", -EINVAL },
                { IMAGE_FIELD_OS, "lin", -EINVAL },
                { IMAGE_FIELD_ARCHITECTURE, "x86_64", 0 },
                { IMAGE_FIELD_ARCHITECTURE, "i386", -EINVAL },
                { IMAGE_FIELD_BOOT_MODE, "uefi", 0 },
                { IMAGE_FIELD_BOOT_MODE, "bios uefi", -EINVAL },
                { IMAGE_FIELD_PLATFORM, "Debian GNU/Linux", 0 },
                { IMAGE_FIELD_PLATFORM, "two\nlines", -EINVAL },
                { IMAGE_FIELD_PLATFORM_VERSION, "12.5", 0 },
                { IMAGE_FIELD_PROJECT_GROUP, "\xff", -EINVAL },
                { IMAGE_FIELD_PROVIDER, "me", 0 },
                { IMAGE_FIELD_TYPE, "local", 0 },
                { IMAGE_FIELD_TYPE, "both", -EINVAL },
                { IMAGE_FIELD_TYPE, "", -EINVAL },
                { IMAGE_FIELD_FORMAT, "qcow2", 0 },
                { IMAGE_FIELD_FORMAT, "tar", -EINVAL },
                { IMAGE_FIELD_DESCRIPTION, "two\nlines", 0 },
                { IMAGE_FIELD_DESCRIPTION, "bell \a", -EINVAL },
                { IMAGE_FIELD_LABELS, "a=1\nb=\nc=x=y", 0 },
                { IMAGE_FIELD_LABELS, "a=1\n=2", -EINVAL },
                { IMAGE_FIELD_LABELS, "a=1\n\nb=2", -EINVAL },
                { IMAGE_FIELD_LABELS, "a=1\nb", -EINVAL },
                { IMAGE_FIELD_LABELS, "a=1\nb=2\na=3", -EINVAL },
                { IMAGE_FIELD_LABELS, "ab=1\na=2\nb=3", 0 },
        };
        struct library *l = *state;
        uint64_t id = library_image(l, "web");

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                assert_err(set(l, id, cases[i].field, cases[i].value), cases[i].r);
                assert_int_equal(l->diag.text[0] != '\0', cases[i].r < 0);
        }
        assert_string_equal(get(l, id)->name, "anything goes");
        assert_string_equal(get(l, id)->o.handle, "web");
        assert_string_equal(get(l, id)->os, "");
        assert_string_equal(get(l, id)->platform, "Debian GNU/Linux");
        assert_int_equal(get(l, id)->type, TYPE_LOCAL);
        assert_string_equal(get(l, id)->format, "qcow2");
        assert_string_equal(get(l, id)->description, "two\nlines");
        assert_string_equal(get(l, id)->labels, "ab=1\na=2\nb=3");
        assert_ok(set(l, id, IMAGE_FIELD_FORMAT, ""));
        assert_string_equal(get(l, id)->format, "auto");
        assert_err(set(l, 99, IMAGE_FIELD_OS, "linux"), -ENOENT);
}

static void test_features_are_a_set(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");

        assert_ok(set(l, id, IMAGE_FIELD_FEATURES, "  hot-upgrade cloud-init   hot-upgrade "));
        assert_string_equal(get(l, id)->features, "cloud-init hot-upgrade");
        assert_err(set(l, id, IMAGE_FIELD_FEATURES, "cloud-init teleport"), -EINVAL);
        assert_contains(l->diag.text, "cloud-init, qemu-ga, hot-upgrade");
        assert_ok(set(l, id, IMAGE_FIELD_FEATURES, ""));
        assert_string_equal(get(l, id)->features, "");
}

static void test_lengths_have_limits(void **state)
{
        char text[IMAGE_TEXT_MAX + 2];
        struct library *l = *state;
        uint64_t id = library_image(l, "web");

        memset(text, 'x', sizeof(text));
        text[IMAGE_TEXT_MAX + 1] = '\0';
        assert_err(set(l, id, IMAGE_FIELD_DESCRIPTION, text), -EINVAL);
        text[IMAGE_TEXT_MAX] = '\0';
        assert_ok(set(l, id, IMAGE_FIELD_DESCRIPTION, text));
        assert_string_equal(get(l, id)->description, text);
        text[IMAGE_VALUE_MAX + 1] = '\0';
        assert_err(set(l, id, IMAGE_FIELD_PLATFORM, text), -EINVAL);
        text[IMAGE_VALUE_MAX] = '\0';
        assert_ok(set(l, id, IMAGE_FIELD_PLATFORM, text));
        assert_string_equal(get(l, id)->platform, text);
}

static void test_type_and_format_are_set_while_queued_only(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");

        library_sql(l, "UPDATE image SET status = 'available'");
        assert_err(set(l, id, IMAGE_FIELD_TYPE, "local"), -EBUSY);
        assert_err(set(l, id, IMAGE_FIELD_FORMAT, "raw"), -EBUSY);
        assert_contains(l->diag.text, "web is available");
        assert_ok(set(l, id, IMAGE_FIELD_OS, "linux"));
}

static void test_every_visible_change_moves_updated(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        int64_t before = get(l, id)->o.updated_us, created = get(l, id)->o.created_us;
        const mode_t mode = 0750;

        assert_ok(set(l, id, IMAGE_FIELD_OS, "linux"));
        assert_true(get(l, id)->o.updated_us > before);
        before = get(l, id)->o.updated_us;
        assert_ok(image_move(l->m, &l->alice, id, l->region, CLASS_PRIVATE, "www", library_diag(l)));
        assert_true(get(l, id)->o.updated_us > before);
        before = get(l, id)->o.updated_us;
        assert_ok(model_set_access(l->m, &l->alice, OBJECT_IMAGE, id, &mode, NULL, NULL, library_diag(l)));
        assert_true(get(l, id)->o.updated_us > before);
        assert_int_equal(get(l, id)->o.mode, 0750);
        before = get(l, id)->o.updated_us;
        assert_err(set(l, id, IMAGE_FIELD_OS, "plan9"), -EINVAL);
        assert_int_equal(get(l, id)->o.updated_us, before);
        assert_int_equal(get(l, id)->o.created_us, created);
}

static void test_access_is_the_owners_and_handing_over_the_administrators(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        const mode_t mode = 07777;
        const uid_t uid = l->bob.uid;
        const gid_t gid = 42;

        assert_err(model_set_access(l->m, &l->bob, OBJECT_IMAGE, id, &mode, NULL, NULL, library_diag(l)), -EPERM);
        assert_err(model_set_access(l->m, &l->alice, OBJECT_IMAGE, id, NULL, &uid, NULL, library_diag(l)), -EPERM);
        assert_ok(model_set_access(l->m, &l->alice, OBJECT_IMAGE, id, NULL, &l->alice.uid, &gid, library_diag(l)));
        assert_ok(model_set_access(l->m, &l->admin, OBJECT_IMAGE, id, &mode, &uid, NULL, library_diag(l)));
        assert_int_equal(get(l, id)->o.mode, 0777);
        assert_int_equal(get(l, id)->o.uid, uid);
        assert_int_equal(get(l, id)->o.gid, gid);
        assert_ok(model_set_access(l->m, &l->admin, OBJECT_REGION, l->region, &mode, NULL, NULL, library_diag(l)));
        assert_err(model_set_access(l->m, &l->admin, OBJECT_SNAPSHOT, 99, &mode, NULL, NULL, library_diag(l)), -ENOENT);
}

/* ---- disks ---- */

static int take_disk(void *ctx, const struct image_disk *d)
{
        *(struct image_disk *)ctx = *d;
        return 0;
}

static void test_a_disk_shows_its_own_blob(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web"), blob = library_blob(l, "0123456789", 10), image;
        struct image_disk d = { 0 };
        struct blob *b;
        char buf[10];

        library_sql(l, "INSERT INTO image_disk (image, device, role) VALUES (%lld, 'vda', 'system')", (long long)id);
        assert_ok(image_disk_each(l->m, id, take_disk, &d));
        assert_string_equal(d.device, "vda");
        assert_true(d.system);
        assert_false(d.has_blob);
        assert_err(image_disk_open(l->m, d.id, NULL, &b), -ENOENT);

        library_sql(l, "UPDATE image_disk SET blob = %lld", (long long)blob);
        assert_ok(image_disk_get(l->m, d.id, &d, &image));
        assert_int_equal(image, id);
        assert_true(d.has_blob);
        assert_int_equal(d.snapshot, 0);
        assert_int_equal(d.blob.size_bytes, 10);
        assert_int_equal(get(l, id)->o.size_bytes, 10);
        assert_ok(image_disk_open(l->m, d.id, NULL, &b));
        assert_int_equal(blob_pread(b, buf, sizeof(buf), 0), 10);
        assert_memory_equal(buf, "0123456789", 10);
        blob_close(b);
        assert_err(image_disk_get(l->m, 99, &d, &image), -ENOENT);
        assert_err(image_disk_open(l->m, 99, NULL, &b), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_begins_queued_and_belongs_to_its_maker),
                TEST(test_other_classes_are_the_administrators),
                TEST(test_names_are_valid_and_unique_in_their_class),
                TEST(test_the_short_form_names_and_types_by_the_ending),
                TEST(test_the_short_form_refuses_other_endings),
                TEST(test_a_free_handle_is_found_in_a_few_looks),
                TEST(test_a_long_handle_makes_room_for_its_suffix),
                TEST(test_a_hundred_thousand_are_listed_in_order),
                TEST(test_values_are_checked_and_kept),
                TEST(test_features_are_a_set),
                TEST(test_lengths_have_limits),
                TEST(test_type_and_format_are_set_while_queued_only),
                TEST(test_every_visible_change_moves_updated),
                TEST(test_access_is_the_owners_and_handing_over_the_administrators),
                TEST(test_a_disk_shows_its_own_blob),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
