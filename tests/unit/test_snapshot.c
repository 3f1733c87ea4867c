/* SPDX-License-Identifier: MIT */

#include "model/image/snapshot.h"

#include "model/core/quota.h"
#include "model/image/image_row.h"
#include "model/image/snapshot_row.h"
#include "tests/lib/expect.h"
#include "tests/lib/library.h"

/* Makes a snapshot of alice's called NAME, as an upload does; BLOB 0: still being created. */
static uint64_t make(struct library *l, const char *name, uint64_t blob)
{
        struct snapshot s = { .region = l->region, .o = { .uid = l->alice.uid, .gid = l->alice.gid, .mode = 0700 } };
        DB_TXN(t);

        (void)snprintf(s.o.handle, sizeof(s.o.handle), "%s", name);
        (void)snprintf(s.name, sizeof(s.name), "%s", name);
        (void)snprintf(s.source, sizeof(s.source), "image:img-x");
        assert_ok(db_begin(l->m->db, DB_WRITE, &t));
        assert_ok(snapshot_insert(&t, &s));
        if (blob)
                assert_ok(snapshot_set_blob(&t, s.o.id, blob));
        assert_ok(db_commit(&t));
        return s.o.id;
}

static void give(struct library *l, uint64_t image, uint64_t snapshot, const char *device)
{
        library_sql(l, "INSERT INTO image_disk (image, device, role, snapshot) VALUES (%lld, '%s', 'system', %lld)",
                    (long long)image, device, (long long)snapshot);
}

static void test_is_created_and_becomes_available(void **state)
{
        struct library *l = *state;
        uint64_t blob = library_blob(l, "abcd", 4), id = make(l, "web", 0);
        struct snapshot s;
        struct object o;
        struct blob *b;
        DB_TXN(t);

        assert_ok(snapshot_get(l->m, id, &s));
        assert_false(s.available);
        assert_true(strncmp(s.ident, "snap-", 5) == 0);
        assert_string_equal(s.source, "image:img-x");
        assert_err(snapshot_open(l->m, id, NULL, &b), -ENOENT);

        assert_ok(db_begin(l->m->db, DB_WRITE, &t));
        assert_ok(snapshot_set_blob(&t, id, blob));
        assert_err(snapshot_set_blob(&t, id, blob), -ENOENT); /* once */
        assert_ok(db_commit(&t));
        assert_ok(snapshot_get(l->m, id, &s));
        assert_true(s.available);
        assert_int_equal(s.blob.size_bytes, 4);
        assert_ok(snapshot_find(l->m, l->region, "web", &o));
        assert_int_equal(o.id, id);
        assert_ok(snapshot_open(l->m, id, NULL, &b));
        blob_close(b);
}

static void test_a_taken_name_gets_a_suffix(void **state)
{
        struct library *l = *state;
        struct snapshot s;

        (void)make(l, "web", 0);
        (void)make(l, "web", 0);
        assert_ok(snapshot_get(l->m, make(l, "web", 0), &s));
        assert_string_equal(s.o.handle, "web-3");
        assert_string_equal(s.name, "web");
}

static void test_counts_for_as_long_as_it_exists(void **state)
{
        struct library *l = *state;
        uint64_t id = make(l, "web", library_blob(l, "abcd", 4));
        struct quota quota;

        assert_ok(quota_get(l->m, l->region, l->alice.uid, LIMIT_SNAPSHOTS, &quota));
        assert_int_equal(quota.used, 1);
        assert_ok(snapshot_remove(l->m, &l->alice, id, library_diag(l)));
        assert_ok(quota_get(l->m, l->region, l->alice.uid, LIMIT_SNAPSHOTS, &quota));
        assert_int_equal(quota.used, 0);
}

static void test_is_renamed_and_described(void **state)
{
        struct library *l = *state;
        uint64_t id = make(l, "web", 0);
        struct snapshot s;

        (void)make(l, "db", 0);
        assert_err(snapshot_rename(l->m, &l->alice, id, "db", library_diag(l)), -EEXIST);
        assert_err(snapshot_rename(l->m, &l->alice, id, ".db", library_diag(l)), -EINVAL);
        assert_err(snapshot_rename(l->m, &l->alice, 99, "x", library_diag(l)), -ENOENT);
        assert_ok(snapshot_rename(l->m, &l->alice, id, "web", library_diag(l)));
        assert_ok(snapshot_rename(l->m, &l->alice, id, "www", library_diag(l)));
        assert_ok(snapshot_set_description(l->m, &l->alice, id, "a\nb", library_diag(l)));
        assert_err(snapshot_set_description(l->m, &l->alice, id, "\a", library_diag(l)), -EINVAL);
        assert_ok(snapshot_get(l->m, id, &s));
        assert_string_equal(s.o.handle, "www");
        assert_string_equal(s.name, "www");
        assert_ok(snapshot_set_name(l->m, &l->alice, id, "the web", library_diag(l)));
        assert_err(snapshot_set_name(l->m, &l->alice, id, "", library_diag(l)), -EINVAL);
        assert_ok(snapshot_get(l->m, id, &s));
        assert_string_equal(s.o.handle, "www");
        assert_string_equal(s.name, "the web");
        assert_string_equal(s.description, "a\nb");
}

static int count_image(void *ctx, const struct object *image, enum image_class class)
{
        assert_true(image->id > 0);
        *(unsigned *)ctx += class == CLASS_RECYCLE ? 10 : 1;
        return 0;
}

static void test_stays_while_an_image_refers_to_it(void **state)
{
        struct library *l = *state;
        uint64_t a = library_image(l, "a"), b = library_image(l, "b");
        uint64_t id = make(l, "web", library_blob(l, "abcd", 4));
        struct snapshot s;
        unsigned n = 0;

        give(l, a, id, "vda");
        give(l, a, id, "vdb");
        give(l, b, id, "vda");
        library_sql(l, "UPDATE image SET status = 'available'");
        assert_ok(snapshot_images(l->m, id, count_image, &n));
        assert_int_equal(n, 2);
        assert_err(snapshot_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "2 images refer to it");
        assert_contains(l->diag.text, "private/a");

        assert_ok(image_remove(l->m, &l->alice, a, library_diag(l)));
        assert_ok(image_destroy(l->m, &l->alice, a, library_diag(l)));
        assert_ok(image_remove(l->m, &l->alice, b, library_diag(l)));
        assert_err(snapshot_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "recycle/b");
        n = 0;
        assert_ok(snapshot_images(l->m, id, count_image, &n));
        assert_int_equal(n, 10);

        assert_ok(image_destroy(l->m, &l->alice, b, library_diag(l)));
        assert_ok(snapshot_get(l->m, id, &s)); /* a destroyed image's snapshots stay */
        assert_ok(snapshot_remove(l->m, &l->alice, id, library_diag(l)));
        assert_err(snapshot_get(l->m, id, &s), -ENOENT);
        assert_err(snapshot_remove(l->m, &l->alice, id, library_diag(l)), -ENOENT);
}

static void test_images_of_others_are_not_named(void **state)
{
        struct library *l = *state;
        uint64_t a = library_image(l, "secret");
        uint64_t id = make(l, "web", library_blob(l, "abcd", 4));

        give(l, a, id, "vda");
        library_sql(l, "UPDATE image SET status = 'available'");
        assert_ok(model_set_access(l->m, &l->admin, OBJECT_IMAGE, a, NULL, &l->bob.uid, NULL, library_diag(l)));
        /* its snapshot has gone along */
        assert_ok(model_set_access(l->m, &l->admin, OBJECT_SNAPSHOT, id, NULL, &l->alice.uid, NULL, library_diag(l)));
        assert_err(snapshot_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "1 image of others refers to it: it has");
        assert_null(strstr(l->diag.text, "secret"));
        assert_err(snapshot_remove(l->m, &l->admin, id, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "private/secret");
}

static void test_is_not_removed_while_it_is_created(void **state)
{
        struct library *l = *state;
        uint64_t id = make(l, "web", 0);

        assert_err(snapshot_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
        assert_contains(l->diag.text, "being created");
}

/* What no longer names a blob makes it a candidate for collection, by whatever way it went. */
static void test_whatever_stops_naming_a_blob_is_noted(void **state)
{
        struct library *l = *state;
        uint64_t image = library_image(l, "a"), blob = library_blob(l, "abcd", 4);
        DB_TXN(t);
        int64_t n;

        library_sql(l, "INSERT INTO image_disk (image, device, role, blob) VALUES (%lld, 'vda', 'system', %lld)",
                    (long long)image, (long long)blob);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM reap"), 0);
        assert_ok(db_begin(l->m->db, DB_WRITE, &t));
        assert_ok(image_erase(&t, image)); /* its disks go by the foreign key's action */
        assert_ok(db_commit(&t));
        n = library_sql_int(l, "SELECT count(*) FROM reap WHERE blob = %lld", (long long)blob);
        assert_int_equal(n, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_is_created_and_becomes_available),
                TEST(test_a_taken_name_gets_a_suffix),
                TEST(test_counts_for_as_long_as_it_exists),
                TEST(test_is_renamed_and_described),
                TEST(test_stays_while_an_image_refers_to_it),
                TEST(test_images_of_others_are_not_named),
                TEST(test_is_not_removed_while_it_is_created),
                TEST(test_whatever_stops_naming_a_blob_is_noted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
