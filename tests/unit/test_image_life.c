/* SPDX-License-Identifier: MIT */

#include "model/image/image_life.h"

#include "model/core/quota.h"
#include "model/image/image_row.h"
#include "tests/lib/expect.h"
#include "tests/lib/library.h"

/* ---- the table ---- */

/*
 * What each verb makes of each status; "-" is refused with -EBUSY. A change of the table must change this too. What a
 * restore gives is shown for an image that was available.
 */
static const char golden[] =
        "            queued      uploading   pending     replicating available   error       deleting    deleted\n"
        "UPLOAD      uploading   -           -           -           -           -           -           -\n"
        "FETCH       uploading   -           -           -           -           -           -           -\n"
        "FETCH_AGAIN -           -           -           -           -           uploading   -           -\n"
        "ABANDON     -           queued      -           -           -           -           -           -\n"
        "IMPORT      -           pending     -           -           -           -           -           -\n"
        "CONVERT     -           -           -           -           -           -           -           -\n"
        "COPY        -           -           -           -           -           -           -           -\n"
        "CAPTURE     -           -           -           -           -           -           -           -\n"
        "REPLICATE   -           -           replicating replicating -           -           -           -\n"
        "FINISH      -           -           available   available   -           -           -           -\n"
        "FAIL        -           error       error       error       -           -           -           -\n"
        "DELETE      deleting    deleting    -           -           deleted     deleted     -           -\n"
        "RESTORE     -           -           -           -           -           -           -           available\n"
        "DESTROY     -           -           -           -           -           -           -           deleting\n"
        "PUBLISH     -           -           -           -           available   -           -           -\n"
        "UNPUBLISH   -           -           -           -           available   -           -           -\n"
        "HAND_OVER   queued      -           -           -           available   error       -           deleted\n"
        "SHARE_WORK  -           -           -           -           available   -           -           -\n";

static const char *const verb_names[VERB_COUNT] = {
        [VERB_FETCH_AGAIN] = "FETCH_AGAIN",
        [VERB_UPLOAD] = "UPLOAD",       [VERB_FETCH] = "FETCH",         [VERB_ABANDON] = "ABANDON",
        [VERB_IMPORT] = "IMPORT",       [VERB_CONVERT] = "CONVERT",     [VERB_COPY] = "COPY",
        [VERB_CAPTURE] = "CAPTURE",     [VERB_REPLICATE] = "REPLICATE", [VERB_FINISH] = "FINISH",
        [VERB_FAIL] = "FAIL",           [VERB_DELETE] = "DELETE",       [VERB_RESTORE] = "RESTORE",
        [VERB_DESTROY] = "DESTROY",     [VERB_PUBLISH] = "PUBLISH",     [VERB_HAND_OVER] = "HAND_OVER",
        [VERB_SHARE_WORK] = "SHARE_WORK", [VERB_UNPUBLISH] = "UNPUBLISH",
};

static void add_cell(char *text, const char *cell, bool last)
{
        char padded[16];

        (void)snprintf(padded, sizeof(padded), last ? "%s\n" : "%-12s", cell);
        strcat(text, padded);
}

/* What the verb does to an image in that status, tried on a row. */
static const char *try_verb(struct library *l, uint64_t id, enum image_verb verb, enum image_status from)
{
        struct image image;
        DB_TXN(t);
        int r;

        library_sql(l, "UPDATE image SET status = '%s', restore_status = 'available', error = 'x' WHERE id = %lld",
                    image_status_name(from), (long long)id);
        assert_ok(db_begin(l->m->db, DB_WRITE, &t));
        assert_ok(image_load(&t, id, &image));
        r = image_life_apply(&t, &image, verb, library_diag(l));
        if (r < 0) {
                assert_err(r, -EBUSY);
                assert_true(l->diag.text[0] != '\0');
                return "-";
        }
        assert_string_equal(l->diag.text, "");
        assert_ok(image_load(&t, id, &image));
        return image_status_name(image.status);
}

static void test_every_verb_in_every_status(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        char matrix[sizeof(golden) + 1024] = "";

        add_cell(matrix, "", false);
        for (enum image_status s = 0; s < IMAGE_STATUS_COUNT; s++)
                add_cell(matrix, image_status_name(s), s + 1 == IMAGE_STATUS_COUNT);
        for (enum image_verb v = 0; v < VERB_COUNT; v++) {
                add_cell(matrix, verb_names[v], false);
                for (enum image_status s = 0; s < IMAGE_STATUS_COUNT; s++)
                        add_cell(matrix, try_verb(l, id, v, s), s + 1 == IMAGE_STATUS_COUNT);
        }
        assert_string_equal(matrix, golden);
}

static void test_a_status_that_has_moved_meanwhile_is_not_moved(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct image image;
        DB_TXN(t);

        assert_ok(db_begin(l->m->db, DB_WRITE, &t));
        assert_ok(image_load(&t, id, &image));
        assert_ok(image_life_apply(&t, &image, VERB_UPLOAD, library_diag(l)));
        assert_err(image_life_apply(&t, &image, VERB_UPLOAD, library_diag(l)), -EBUSY);
}

/* ---- the recycle bin ---- */

static struct image *get(struct library *l, uint64_t id)
{
        static struct image image;

        assert_ok(image_get(l->m, id, &image));
        return &image;
}

static uint64_t make(struct library *l, const char *handle, const char *status)
{
        uint64_t id = library_image(l, handle);

        library_sql(l, "UPDATE image SET status = '%s' WHERE id = %lld", status, (long long)id);
        return id;
}

static int move(struct library *l, uint64_t id, enum image_class class, const char *handle)
{
        return image_move(l->m, &l->alice, id, l->region, class, handle, library_diag(l));
}

static int rm(struct library *l, uint64_t id)
{
        return image_remove(l->m, &l->alice, id, library_diag(l));
}

static int destroy(struct library *l, uint64_t id)
{
        return image_destroy(l->m, &l->alice, id, library_diag(l));
}

static void test_deleted_and_restored_as_it_was(void **state)
{
        static const char *const statuses[] = { "available", "error" };
        struct library *l = *state;

        for (size_t i = 0; i < 2; i++) {
                uint64_t id = make(l, "web", statuses[i]);

                assert_ok(rm(l, id));
                assert_int_equal(get(l, id)->status, IMAGE_DELETED);
                assert_int_equal(get(l, id)->class, CLASS_RECYCLE);
                assert_int_equal(get(l, id)->source, CLASS_PRIVATE);
                assert_string_equal(get(l, id)->o.handle, "web");
                assert_true(library_sql_int(l, "SELECT deleted FROM image WHERE id = %lld", (long long)id) > 0);

                assert_ok(move(l, id, CLASS_PRIVATE, "web"));
                assert_string_equal(image_status_name(get(l, id)->status), statuses[i]);
                assert_int_equal(get(l, id)->class, CLASS_PRIVATE);
                assert_int_equal(library_sql_int(l, "SELECT deleted IS NULL AND restore_status = '' FROM image "
                                                    "WHERE id = %lld", (long long)id), 1);
                assert_err(destroy(l, id), -ENOENT); /* somebody has restored it meanwhile */
                assert_ok(rm(l, id));
                assert_err(rm(l, id), -ENOENT); /* likewise, removed it: the bin is another matter */
                assert_int_equal(get(l, id)->status, IMAGE_DELETED);
                assert_ok(destroy(l, id));
                assert_err(destroy(l, id), -ENOENT);
        }
}

static void test_queued_and_uploading_ones_are_gone_at_once(void **state)
{
        static const char *const statuses[] = { "queued", "uploading" };
        struct library *l = *state;
        struct object o;

        for (size_t i = 0; i < 2; i++) {
                uint64_t id = make(l, "web", statuses[i]);

                assert_ok(rm(l, id));
                assert_err(image_get_object(l->m, id, &o), -ENOENT);
        }
}

static void test_names_in_the_recycle_bin_do_not_collide(void **state)
{
        struct library *l = *state;
        uint64_t a = make(l, "web", "available"), b;

        assert_ok(rm(l, a));
        b = make(l, "web", "available");
        assert_ok(rm(l, b));
        assert_string_equal(get(l, b)->o.handle, "web-2");
        assert_string_equal(get(l, b)->name, "web");
        assert_ok(move(l, b, CLASS_PRIVATE, "web"));
        assert_string_equal(get(l, b)->o.handle, "web");
        assert_err(move(l, a, CLASS_PRIVATE, "web"), -EEXIST);
        assert_contains(l->diag.text, "private/web");
        assert_ok(move(l, a, CLASS_PRIVATE, "other"));
        assert_string_equal(get(l, a)->name, "other");
}

static void test_restored_only_to_where_it_was_deleted(void **state)
{
        struct library *l = *state;
        uint64_t id = make(l, "web", "available");

        assert_ok(rm(l, id));
        assert_err(image_move(l->m, &l->admin, id, l->region, CLASS_PUBLIC, "web", library_diag(l)), -EPERM);
        assert_contains(l->diag.text, "private");
        assert_err(move(l, id, CLASS_PRIVATE, ".web"), -EINVAL);
        assert_int_equal(get(l, id)->status, IMAGE_DELETED);
}

/* ---- in use ---- */

static void add_task(struct library *l, const char *kind, uint64_t image, uint64_t result)
{
        library_sql(
                l,
                "INSERT INTO task (ident, kind, status, image, image_ident, region, region_name, result, uid, gid, "
                "mode, created) VALUES ('task-x', '%s', 'running', %lld, 'img-x', %lld, 'r1', nullif(%lld, 0), 0, 0, "
                "0, 1)",
                kind, (long long)image, (long long)l->region, (long long)result);
}

static void test_what_a_task_works_on_is_not_deleted(void **state)
{
        struct library *l = *state;
        uint64_t id = make(l, "web", "available"), result = make(l, "made", "pending");

        add_task(l, "convert", id, result);
        assert_true(get(l, id)->busy);
        assert_err(rm(l, id), -EBUSY);
        assert_contains(l->diag.text, "rmdir /tasks/task-x");
        assert_err(rm(l, result), -EBUSY);
        assert_contains(l->diag.text, "made is being made by a conversion");
        assert_err(image_move(l->m, &l->admin, id, l->region, CLASS_PUBLIC, "web", library_diag(l)), -EBUSY);
        assert_ok(move(l, id, CLASS_PRIVATE, "www")); /* all else works */
        assert_ok(image_set(l->m, &l->alice, id, IMAGE_FIELD_OS, "linux", library_diag(l)));
        library_sql(l, "UPDATE task SET status = 'done', finished = 2");
        assert_false(get(l, id)->busy);
        assert_ok(rm(l, id));
}

static void test_a_refusal_names_the_state_and_the_way_out(void **state)
{
        struct library *l = *state;
        uint64_t id = make(l, "web", "pending");

        add_task(l, "import", id, 0);
        assert_err(rm(l, id), -EBUSY);
        assert_string_equal(l->diag.text,
                            "web is being imported: wait for it (cat wait), or cancel it with rmdir /tasks/task-x");
}

/* ---- other moves ---- */

static void test_a_rename_sets_handle_and_name(void **state)
{
        struct library *l = *state;
        uint64_t a = make(l, "a", "available"), b = make(l, "b", "queued");

        assert_ok(image_set(l->m, &l->alice, a, IMAGE_FIELD_NAME, "display", library_diag(l)));
        assert_ok(move(l, a, CLASS_PRIVATE, "a"));
        assert_string_equal(get(l, a)->name, "display");
        assert_err(move(l, a, CLASS_PRIVATE, "b"), -EEXIST);
        assert_ok(move(l, b, CLASS_PRIVATE, "c"));
        assert_ok(move(l, a, CLASS_PRIVATE, "b"));
        assert_string_equal(get(l, a)->o.handle, "b");
        assert_string_equal(get(l, a)->name, "b");
        assert_int_equal(get(l, a)->status, IMAGE_AVAILABLE);
        assert_err(move(l, a, CLASS_PRIVATE, "x/y"), -EINVAL);
        assert_err(move(l, 99, CLASS_PRIVATE, "x"), -ENOENT);
}

static void test_the_administrator_publishes(void **state)
{
        struct library *l = *state;
        uint64_t id = make(l, "web", "available"), queued = make(l, "queued", "queued");
        struct quota quota;

        assert_err(move(l, id, CLASS_PUBLIC, "web"), -EPERM);
        assert_err(image_move(l->m, &l->admin, queued, l->region, CLASS_PUBLIC, "queued", library_diag(l)), -EBUSY);
        assert_ok(image_move(l->m, &l->admin, id, l->region, CLASS_PUBLIC, "web-1", library_diag(l)));
        assert_int_equal(get(l, id)->class, CLASS_PUBLIC);
        assert_int_equal(get(l, id)->source, CLASS_PUBLIC);
        assert_int_equal(get(l, id)->type, TYPE_BOTH);
        assert_int_equal(get(l, id)->o.uid, 0);
        assert_int_equal(get(l, id)->o.mode, 0755);
        assert_string_equal(get(l, id)->name, "web-1");
        assert_ok(quota_get(l->m, l->region, l->alice.uid, LIMIT_PRIVATE_IMAGES, &quota));
        assert_int_equal(quota.used, 1);

        /* From the recycle bin it comes back to public, by the administrator's hand. */
        assert_ok(image_remove(l->m, &l->admin, id, library_diag(l)));
        assert_err(image_move(l->m, &l->alice, id, l->region, CLASS_PUBLIC, "web-1", library_diag(l)), -EPERM);
        assert_err(image_move(l->m, &l->admin, id, l->region, CLASS_PRIVATE, "web-1", library_diag(l)), -EPERM);
        assert_err(image_destroy(l->m, &l->alice, id, library_diag(l)), -EPERM);
        assert_ok(image_move(l->m, &l->admin, id, l->region, CLASS_PUBLIC, "web-1", library_diag(l)));
}

static void test_all_other_moves_are_refused(void **state)
{
        static const struct {
                enum image_class from, to;
        } moves[] = {
                { CLASS_PRIVATE, CLASS_ISO },        { CLASS_PUBLIC, CLASS_ISO },
                { CLASS_PUBLIC, CLASS_MARKETPLACE }, { CLASS_MARKETPLACE, CLASS_PUBLIC },
                { CLASS_ISO, CLASS_PRIVATE },        { CLASS_ISO, CLASS_PUBLIC },
        };
        struct library *l = *state;
        uint64_t id, other;

        for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
                assert_ok(image_create(l->m, &l->admin, l->region, moves[i].from, "x", library_diag(l), &id));
                library_sql(l, "UPDATE image SET status = 'available' WHERE id = %lld", (long long)id);
                assert_err(image_move(l->m, &l->admin, id, l->region, moves[i].to, "x", library_diag(l)), -EPERM);
                assert_int_equal(get(l, id)->class, moves[i].from);
                assert_ok(image_remove(l->m, &l->admin, id, library_diag(l)));
                assert_ok(image_destroy(l->m, &l->admin, id, library_diag(l)));
        }
        assert_ok(region_create(l->m, &l->admin, "r2", library_diag(l), &other));
        id = make(l, "web", "available");
        assert_err(image_move(l->m, &l->admin, id, other, CLASS_PRIVATE, "web", library_diag(l)), -EPERM);
        assert_contains(l->diag.text, "copies");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_every_verb_in_every_status),
                TEST(test_a_status_that_has_moved_meanwhile_is_not_moved),
                TEST(test_deleted_and_restored_as_it_was),
                TEST(test_queued_and_uploading_ones_are_gone_at_once),
                TEST(test_names_in_the_recycle_bin_do_not_collide),
                TEST(test_restored_only_to_where_it_was_deleted),
                TEST(test_what_a_task_works_on_is_not_deleted),
                TEST(test_a_refusal_names_the_state_and_the_way_out),
                TEST(test_a_rename_sets_handle_and_name),
                TEST(test_the_administrator_publishes),
                TEST(test_all_other_moves_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
