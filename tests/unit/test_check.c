/* SPDX-License-Identifier: MIT */
/* Each rule of the check is broken once behind the model's back, and found. */

#include <stdlib.h>

#include "model/check.h"
#include "tests/lib/work.h"

#define SIZE 300000

struct findings {
        int n;
        char first[1024];
};

static void note(void *ctx, const char *text)
{
        struct findings *f = ctx;

        if (f->n++ == 0)
                (void)snprintf(f->first, sizeof(f->first), "%s", text);
}

static int check(struct library *l, bool read_data, struct findings *ret)
{
        char path[2 * TEMPDIR_MAX];

        *ret = (struct findings){ 0 };
        (void)snprintf(path, sizeof(path), "%s/lib", l->dir);
        return model_check(path, read_data, NULL, note, ret, library_diag(l));
}

static void make_library(struct library *l)
{
        (void)work_image(l, &l->alice, l->region, "cloud", NULL, SIZE, 1);
        (void)work_image(l, &l->alice, l->region, "local", "local", SIZE, 2);
        (void)library_image(l, "queued");
}

static void test_a_library_in_use_cannot_be_checked(void **state)
{
        struct library *l = *state;
        struct findings f;

        assert_refused(l, check(l, false, &f), -EBUSY);
        library_close(l);
        assert_err(check(l, false, &f), 0);
        assert_ok(library_open(l));
}

static void test_what_is_wrong_in_the_database_is_found(void **state)
{
        static const struct {
                const char *sql, *undo, *says;
        } cases[] = {
                {
                        "UPDATE usage SET used = used + 1 WHERE key = 'snapshots'",
                        "UPDATE usage SET used = used - 1 WHERE key = 'snapshots'",
                        "has 1 snapshots",
                },
                {
                        "UPDATE image SET status = 'pending' WHERE handle = 'queued'",
                        "UPDATE image SET status = 'queued' WHERE handle = 'queued'",
                        "no task works on it",
                },
                {
                        "UPDATE image SET status = 'available' WHERE handle = 'queued'",
                        "UPDATE image SET status = 'queued' WHERE handle = 'queued'",
                        "has no bytes for any disk",
                },
                {
                        "UPDATE image_disk SET blob = 1 WHERE snapshot IS NOT NULL",
                        "UPDATE image_disk SET blob = NULL WHERE snapshot IS NOT NULL",
                        "has a snapshot and bytes of its own",
                },
                {
                        "UPDATE image SET class = 'recycle', deleted = 1 WHERE handle = 'queued'",
                        "UPDATE image SET class = 'private', deleted = NULL WHERE handle = 'queued'",
                        "is queued, but in recycle",
                },
                {
                        "UPDATE image SET status = 'deleting' WHERE handle = 'queued'",
                        "UPDATE image SET status = 'queued' WHERE handle = 'queued'",
                        "half removed",
                },
                {
                        "UPDATE task SET status = 'running' WHERE image = (SELECT id FROM image WHERE handle = 'local')",
                        "UPDATE task SET status = 'done'",
                        "is running, but what it makes is available",
                },
                {
                        "INSERT INTO share (image, region, uid, created) SELECT id, region, uid, 1 FROM image "
                        "WHERE handle = 'local'",
                        "DELETE FROM share",
                        "is shared with user 61001, but is hers",
                },
                {
                        "UPDATE image SET size = size + 1 WHERE handle = 'queued'",
                        "UPDATE image SET size = size - 1 WHERE handle = 'queued'",
                        "is said to have 1 bytes, but has 0",
                },
                {
                        "UPDATE blob SET size = size + 1 WHERE id = 1; UPDATE image SET size = size + 1 WHERE handle = 'cloud'",
                        "UPDATE blob SET size = size - 1 WHERE id = 1; UPDATE image SET size = size - 1 WHERE handle = 'cloud'",
                        "image r1/private/cloud, vda: its bytes in the store are not those",
                },
                {
                        "UPDATE blob SET key = zeroblob(16) WHERE id = 2",
                        NULL,
                        "image r1/private/local, vda: its bytes are not in the store",
                },
        };
        struct library *l = *state;
        struct findings f;

        make_library(l);
        library_close(l);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                library_sql(l, "%s", cases[i].sql);
                assert_true(check(l, false, &f) > 0);
                assert_contains(f.first, cases[i].says);
                if (!cases[i].undo)
                        continue;
                library_sql(l, "%s", cases[i].undo);
                library_sql(l, "DELETE FROM reap");
                assert_err(check(l, false, &f), 0);
        }
        assert_ok(library_open(l));
}

static void test_damaged_bytes_name_their_image(void **state)
{
        struct library *l = *state;
        char command[3 * TEMPDIR_MAX];
        struct findings f;

        make_library(l);
        library_close(l);
        (void)snprintf(command, sizeof(command),
                       "for f in %s/lib/blobs/segments/*; do "
                       "printf x | dd of=$f bs=1 seek=5000 conv=notrunc status=none; done",
                       l->dir);
        assert_int_equal(system(command), 0);
        assert_true(check(l, true, &f) > 0);
        assert_contains(f.first, "image r1/private/");
        assert_ok(library_open(l));
}

static void test_what_a_crash_leaves_is_no_finding(void **state)
{
        struct library *l = *state;
        char command[3 * TEMPDIR_MAX];
        struct findings f;

        make_library(l);
        (void)library_blob(l, "nameless", 8);
        library_close(l);
        library_sql(l, "DELETE FROM blob WHERE size = 8");
        (void)snprintf(command, sizeof(command), "echo left > %s/lib/blobs/incoming/img-left", l->dir);
        assert_int_equal(system(command), 0);
        assert_err(check(l, true, &f), 0);
        assert_ok(library_open(l));
}

static void test_what_is_no_library_is_refused(void **state)
{
        struct library *l = *state;
        struct findings f;

        assert_refused(l, model_check(l->dir, false, NULL, note, &f, library_diag(l)), -EUCLEAN);
        assert_err(model_check("/nowhere/at/all", false, NULL, note, &f, library_diag(l)), -ENOENT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_a_library_in_use_cannot_be_checked),
                TEST(test_what_is_wrong_in_the_database_is_found),
                TEST(test_damaged_bytes_name_their_image),
                TEST(test_what_a_crash_leaves_is_no_finding),
                TEST(test_what_is_no_library_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
