/* SPDX-License-Identifier: MIT */

/* The newest whole copy of the catalogue comes back, whatever became of imagefs.db; what it does not name is found. */

#include "model/restore.h"

#include <stdlib.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/strbuf.h"
#include "model/core/limits.h"
#include "model/found.h"
#include "tests/lib/machine.h"

#define SIZE 200000

#define SAID(name) CLEANUP_STRBUF struct strbuf name = { 0 }

static void note(void *ctx, const char *line)
{
        strbuf_addf(ctx, "%s\n", line);
}

static char *path_in(struct library *l, const char *name)
{
        static char path[4][3 * TEMPDIR_MAX];
        static unsigned turn;
        char *ret = path[turn++ % 4];

        (void)snprintf(ret, sizeof(path[0]), "%s/%s", l->dir, name);
        return ret;
}

static void shell(struct library *l, const char *command)
{
        CLEANUP_STRBUF struct strbuf line = { 0 };

        strbuf_addf(&line, "cd '%s' && %s", l->dir, command);
        assert_int_equal(system(strbuf_text(&line)), 0);
}

static bool holds(struct library *l, const char *test)
{
        CLEANUP_STRBUF struct strbuf line = { 0 };

        strbuf_addf(&line, "cd '%s' && %s", l->dir, test);
        return system(strbuf_text(&line)) == 0;
}

static int restore(struct library *l, struct strbuf *said)
{
        return model_restore(path_in(l, "lib"), note, said, library_diag(l));
}

static int find(struct library *l, bool name, struct strbuf *said)
{
        return name ? model_found_name(path_in(l, "lib"), false, note, said, library_diag(l)) :
                      model_found_list(path_in(l, "lib"), note, said, library_diag(l));
}

/* An image in a copy, and one that came later. */
static void make_library(struct library *l, uint64_t *early, uint64_t *late)
{
        *early = work_image(l, &l->alice, l->region, "early", "local", SIZE, 1);
        library_close(l);
        shell(l, "mkdir kept && cp lib/blobs/catalogue/* kept/");
        assert_ok(library_open(l));
        *late = work_image(l, &l->alice, l->region, "late", "local", SIZE, 2);
        library_close(l);
        shell(l, "rm lib/blobs/catalogue/* && cp kept/* lib/blobs/catalogue/");
}

static void assert_early(struct library *l, uint64_t early)
{
        assert_ok(library_open(l));
        work_assert_bytes(l, early, SIZE, 1);
        assert_int_equal(work_find(l, l->region, CLASS_PRIVATE, "early"), early);
        assert_int_equal(work_find(l, l->region, CLASS_PRIVATE, "late"), 0);
        work_assert_clean(l);
}

static void test_whatever_became_of_the_catalogue_a_copy_takes_its_place(void **state)
{
        static const struct {
                const char *harm, *kept;
        } cases[] = {
                { "rm lib/imagefs.db*", "! ls lib | grep damaged" },
                { "rm -f lib/imagefs.db* lib/lock lib/reserve", "! ls lib | grep damaged" },
                { "echo garbage >lib/imagefs.db", "grep -q garbage lib/imagefs.db.*.damaged" },
                { ": >lib/imagefs.db", "test -f lib/imagefs.db.*.damaged" },
                { "head -c 70000 /dev/urandom | dd of=lib/imagefs.db conv=notrunc seek=1 bs=4096 status=none",
                  "test -f lib/imagefs.db.*.damaged" },
                { "echo log >lib/imagefs.db-wal && echo index >lib/imagefs.db-shm",
                  "grep -q log lib/imagefs.db.*.damaged-wal && grep -q index lib/imagefs.db.*.damaged-shm" },
                { "cp lib/imagefs.db lib/imagefs.db.new", "test -f lib/imagefs.db.*.damaged" }, /* one that was cut off */
        };
        struct library *l = *state;
        uint64_t early, late;

        make_library(l, &early, &late);
        shell(l, "cp -a lib before");
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                SAID(said);

                shell(l, "rm -rf lib && cp -a before lib");
                shell(l, cases[i].harm);
                assert_ok(restore(l, &said));
                assert_contains(strbuf_text(&said), "is the catalogue of 20");
                assert_true(holds(l, cases[i].kept));
                assert_true(holds(l, "test \"$(stat -c %a lib/imagefs.db)\" = 600 && ! test -e lib/imagefs.db.new"));
                assert_early(l, early);
                library_close(l);
        }
        assert_ok(library_open(l));
}

static void test_a_copy_that_is_not_whole_is_not_taken(void **state)
{
        static const char *const harms[] = {
                "printf x | dd of=\"$newest\" conv=notrunc bs=1 seek=9000 status=none", /* one byte, of no matter to sqlite */
                "truncate -s -4096 \"$newest\"",
                ": >\"$newest\"",
                "rm \"$newest\" && mkdir \"$newest\"",
                "cp \"$newest\" \"${newest%.db}.tmp\" && rm \"$newest\"",
        };
        struct library *l = *state;
        uint64_t early, late;

        make_library(l, &early, &late);
        assert_ok(library_open(l));
        assert_ok(image_remove(l->m, &l->alice, early, library_diag(l)));
        library_close(l); /* the newest copy has no early */
        shell(l, "rm lib/imagefs.db && cp -a lib before");
        for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
                CLEANUP_STRBUF struct strbuf command = { 0 };
                SAID(said);

                shell(l, "rm -rf lib && cp -a before lib");
                strbuf_addf(&command, "newest=$(ls lib/blobs/catalogue/*.db | tail -n 1) && %s", harms[i]);
                shell(l, strbuf_text(&command));
                assert_ok(restore(l, &said));
                if (i < 4)
                        assert_contains(strbuf_text(&said), "not taken: it is damaged");
                assert_early(l, early);
                library_close(l);
        }
        assert_ok(library_open(l));
}

static void test_other_stores_have_copies_too(void **state)
{
        struct library *l = *state;
        uint64_t early, late;
        SAID(said);

        (void)work_far_region(l, "far");
        make_library(l, &early, &late);
        shell(l, "rm far-far/catalogue/* && mv lib/blobs/catalogue/* far-far/catalogue/");
        /* It can still be read, so that the store is known. */
        assert_ok(restore(l, &said));
        assert_contains(strbuf_text(&said), "/far-far/catalogue/");
        assert_early(l, early);
}

static void test_another_librarys_copy_is_not_taken(void **state)
{
        struct library *l = *state, other;
        CLEANUP_STRBUF struct strbuf command = { 0 };
        uint64_t early, late;
        SAID(said);

        library_make(&other);
        library_close(&other);
        make_library(l, &early, &late);
        strbuf_addf(&command, "cd lib && rm imagefs.db blobs/catalogue/* && cp %s/lib/blobs/catalogue/*.db blobs/catalogue/",
                    other.dir);
        shell(l, strbuf_text(&command));
        assert_err(restore(l, &said), -ENOENT);
        assert_contains(strbuf_text(&said), "not taken: it is another library's");
        assert_contains(l->diag.text, "no whole copy of the catalogue in");
        assert_true(holds(l, "! ls lib | grep -q imagefs.db"));
        library_remove(&other);
}

static void test_refusals_change_nothing(void **state)
{
        struct library *l = *state;
        SAID(said);

        assert_err(restore(l, &said), -EBUSY);
        assert_contains(l->diag.text, "unmount that one first");
        library_close(l);
        shell(l, "rm lib/blobs/catalogue/* && find lib -type f ! -name lock | sort | xargs sha256sum >before");
        assert_err(restore(l, &said), -ENOENT);
        shell(l, "find lib -type f ! -name lock | sort | xargs sha256sum | diff before - >&2");
        assert_err(model_restore(path_in(l, "nowhere"), note, &said, library_diag(l)), -ENOENT);
        shell(l, "mkdir empty");
        assert_err(model_restore(path_in(l, "empty"), note, &said, library_diag(l)), -EUCLEAN);
        assert_true(holds(l, "test -z \"$(ls -A empty)\" && ! test -e nowhere"));
        assert_string_equal(strbuf_text(&said), "");
        assert_ok(library_open(l));
}

/* ---- what a catalogue does not name ---- */

static uint64_t find_recycled(struct library *l, uint64_t region)
{
        return (uint64_t)library_sql_int(l, "SELECT id FROM image WHERE region = %lld AND class = 'recycle'"
                                            " AND handle LIKE 'found-%%'", (long long)region);
}

static void test_what_no_image_names_becomes_one(void **state)
{
        struct library *l = *state;
        uint64_t early, late, a, found;
        SAID(listed);
        SAID(named);
        SAID(nothing);

        a = work_region(l, "a"); /* the first by name of those with this store */
        make_library(l, &early, &late);
        shell(l, "rm lib/imagefs.db");
        assert_ok(restore(l, &named));
        assert_err(find(l, false, &listed), 1);
        assert_contains(strbuf_text(&listed), "200000 bytes: no image names it");
        assert_contains(strbuf_text(&listed), "--repair\" makes it a/recycle/found-");
        assert_err(find(l, false, &nothing), 1); /* changes nothing */
        assert_err(find(l, true, &named), 1);
        assert_contains(strbuf_text(&named), " is a/recycle/found-");
        strbuf_reset(&nothing);
        assert_err(find(l, true, &nothing), 0);
        assert_err(find(l, false, &nothing), 0);
        assert_string_equal(strbuf_text(&nothing), "");

        found = find_recycled(l, a);
        assert_ok(library_open(l));
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM unnamed"), 0);
        assert_ok(image_move(l->m, &l->admin, found, a, CLASS_PRIVATE, "back", library_diag(l)));
        work_assert_bytes(l, found, SIZE, 2);
        assert_int_equal(work_get(l, found).type, TYPE_LOCAL);
        assert_int_equal(work_get(l, found).o.uid, getuid());
        work_assert_bytes(l, early, SIZE, 1);
        work_assert_clean(l);
}

/* It lives as long as any other that was removed. */
static void test_one_that_nobody_wants_goes_from_the_recycle_bin(void **state)
{
        struct library *l = *state;
        uint64_t early, late;
        SAID(said);

        make_library(l, &early, &late);
        shell(l, "rm lib/imagefs.db");
        assert_ok(restore(l, &said));
        assert_ok(library_open(l)); /* notes what it is that has no name */
        library_close(l);
        assert_err(find(l, true, &said), 1);
        assert_ok(library_open(l));
        work_wait_blobs(l, 2);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM unnamed"), 0);
        assert_ok(limit_set_line(l->m, &l->admin, "recycle-days 0", library_diag(l)));
        work_wait_blobs(l, 1);
        work_assert_clean(l);
}

static void test_a_store_without_a_region_and_a_disk_are_told(void **state)
{
        struct library *l = *state;
        uint64_t volume;
        SAID(listed);
        SAID(named);

        volume = machine_volume(l, "d1", 8192);
        machine_write(l, volume, "x", 1, 0);
        (void)library_blob(l, "nameless", 8);
        library_close(l);
        library_sql(l, "DELETE FROM blob WHERE size = 8");
        library_sql(l, "UPDATE volume SET key = NULL, size = 0 WHERE id = %lld", (long long)volume);
        assert_err(find(l, false, &listed), 2);
        assert_contains(strbuf_text(&listed), "no machine and no disk names it");

        library_sql(l, "DELETE FROM volume");
        library_sql(l, "DELETE FROM trash");
        library_sql(l, "DELETE FROM region");
        assert_err(find(l, true, &named), 0);
        assert_contains(strbuf_text(&named), "make a region with that store first");
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM image"), 0);
        assert_ok(library_open(l));
}

/* They have their names in another library's catalogue. */
static void test_another_librarys_blobs_are_not_looked_at(void **state)
{
        struct library *l = *state;
        SAID(said);

        (void)work_image(l, &l->alice, l->region, "a", "local", SIZE, 1);
        library_close(l);
        shell(l, "rm lib/imagefs.db && rm -f lib/reserve && mv lib/blobs/catalogue copies"); /* and a new one is made */
        assert_ok(library_open(l));
        assert_ok(region_create(l->m, &l->admin, "r1", library_diag(l), &l->region));
        library_close(l);
        assert_err(find(l, false, &said), 0);
        assert_err(find(l, true, &said), 0);
        assert_string_equal(strbuf_text(&said), "");

        /* Whoever then finds the copies has lost nothing. */
        shell(l, "rm -rf lib/blobs/catalogue && mv copies lib/blobs/catalogue");
        assert_ok(restore(l, &said));
        assert_ok(library_open(l));
        assert_true(work_find(l, l->region, CLASS_PRIVATE, "a") != 0);
        work_assert_clean(l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_whatever_became_of_the_catalogue_a_copy_takes_its_place),
                TEST(test_a_copy_that_is_not_whole_is_not_taken),
                TEST(test_other_stores_have_copies_too),
                TEST(test_another_librarys_copy_is_not_taken),
                TEST(test_refusals_change_nothing),
                TEST(test_what_no_image_names_becomes_one),
                TEST(test_one_that_nobody_wants_goes_from_the_recycle_bin),
                TEST(test_a_store_without_a_region_and_a_disk_are_told),
                TEST(test_another_librarys_blobs_are_not_looked_at),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
