/* SPDX-License-Identifier: MIT */

/* Copies of the catalogue: when there are any, how many stay, and that none is taken for one that is not whole. */

#include "model/core/catalogue.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/strbuf.h"
#include "model/core/clock.h"
#include "model/core/library.h"
#include "model/core/limits.h"
#include "model/core/stores.h"
#include "tests/lib/fault.h"
#include "tests/lib/work.h"

#define SECOND_US INT64_C(1000000)

static int copies_dir(struct library *l, const char *store)
{
        char path[3 * TEMPDIR_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s/" CATALOGUE_DIR, l->dir, store);
        return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static size_t copies_in(struct library *l, const char *store, struct catalogue_copies *ret)
{
        CLEANUP_CLOSE int fd = copies_dir(l, store);

        *ret = (struct catalogue_copies){ 0 };
        if (fd >= 0)
                assert_ok(catalogue_list(fd, ret));
        return ret->n;
}

static size_t count(struct library *l, const char *store)
{
        CLEANUP(catalogue_copies_done) struct catalogue_copies copies;

        return copies_in(l, store, &copies);
}

static void newest(struct library *l, const char *store, struct catalogue_copy *ret)
{
        CLEANUP(catalogue_copies_done) struct catalogue_copies copies;

        assert_true(copies_in(l, store, &copies) > 0);
        *ret = copies.copy[0];
}

/* Every file there is a whole copy, and for nobody else. */
static void assert_whole(struct library *l, const char *store)
{
        CLEANUP(catalogue_copies_done) struct catalogue_copies copies;
        CLEANUP_CLOSE int dir = copies_dir(l, store);
        struct stat st;

        (void)copies_in(l, store, &copies);
        assert_ok(fstat(dir, &st));
        assert_int_equal(st.st_mode & 0777, 0700);
        for (size_t i = 0; i < copies.n; i++) {
                CLEANUP_CLOSE int fd = openat(dir, copies.copy[i].name, O_RDONLY | O_CLOEXEC);
                uint8_t sum[HASH128_SIZE];
                struct db_copy_facts facts;

                assert_ok(fstat(fd, &st));
                assert_int_equal(st.st_mode & 0777, 0600);
                assert_ok(catalogue_sum(fd, sum));
                assert_memory_equal(sum, copies.copy[i].sum, sizeof(sum));
                assert_ok(db_copy_read(dir, copies.copy[i].name, &facts));
                assert_int_equal(strlen(facts.library), 32);
                assert_false(facts.is_older);
        }
        assert_err(faccessat(dir, "new.tmp", F_OK, 0), -1);
}

static void change(struct library *l, int i)
{
        char handle[32];

        (void)snprintf(handle, sizeof(handle), "change-%d", i);
        (void)work_region(l, handle);
}

static void test_what_has_changed_is_copied_when_the_library_is_closed(void **state)
{
        struct library *l = *state;
        struct catalogue_copy before, after;

        /* a store is noted to be scrubbed when somebody gets to it */
        assert_ok(limit_set_line(l->m, &l->admin, "scrub-days 0", library_diag(l)));
        change(l, 1);
        library_close(l);
        newest(l, "lib/blobs", &before);
        assert_whole(l, "lib/blobs");

        for (int i = 0; i < 3; i++) {
                assert_ok(library_open(l));
                library_close(l);
        }
        newest(l, "lib/blobs", &after);
        assert_string_equal(after.name, before.name);

        assert_ok(library_open(l));
        change(l, 2);
        library_close(l);
        newest(l, "lib/blobs", &after);
        assert_true(strcmp(after.name, before.name) > 0);
        assert_ok(library_open(l));
}

static void test_the_last_seven_stay(void **state)
{
        struct library *l = *state;
        struct catalogue_copy last = { .name = "" }, now;

        for (int i = 0; i < CATALOGUE_KEPT + 3; i++) {
                change(l, i);
                library_close(l);
                newest(l, "lib/blobs", &now);
                assert_true(strcmp(now.name, last.name) > 0); /* within one second, too */
                last = now;
                assert_ok(library_open(l));
        }
        library_close(l); /* the upkeep may be at it */
        assert_int_equal(count(l, "lib/blobs"), CATALOGUE_KEPT);
        assert_whole(l, "lib/blobs");
}

static bool never(void *ctx)
{
        (void)ctx;
        return false;
}

/* Gives the newest copy another time. */
static void make_older(struct library *l, int64_t time_us)
{
        CLEANUP_CLOSE int dir = copies_dir(l, "lib/blobs");
        CLEANUP_STRBUF struct strbuf name = { 0 };
        struct catalogue_copy copy;

        newest(l, "lib/blobs", &copy);
        strbuf_add_time(&name, time_us);
        strbuf_add(&name, copy.name + CATALOGUE_TIME_LEN);
        assert_ok(renameat(dir, copy.name, dir, strbuf_text(&name)));
}

static void keep_only_newest(struct library *l)
{
        CLEANUP(catalogue_copies_done) struct catalogue_copies copies;
        CLEANUP_CLOSE int dir = copies_dir(l, "lib/blobs");

        (void)copies_in(l, "lib/blobs", &copies);
        for (size_t i = 1; i < copies.n; i++)
                assert_ok(unlinkat(dir, copies.copy[i].name, 0));
}

static void test_there_is_one_each_day(void **state)
{
        const int64_t now_us = clock_now_us();
        struct library *l = *state;
        struct catalogue_copy copy;
        int64_t due_us;

        library_close(l);
        keep_only_newest(l);
        make_older(l, now_us + 3 * SECOND_US); /* as where some were made within a second: names are a second apart */
        assert_ok(library_open_idle(l)); /* no upkeep, and no copy at the end */
        change(l, 1);
        due_us = catalogue_renew(l->m, never, NULL);
        assert_true(due_us > now_us + CATALOGUE_APART_US - 60 * SECOND_US);
        assert_true(due_us <= clock_now_us() + CATALOGUE_APART_US + 3 * SECOND_US);
        assert_int_equal(count(l, "lib/blobs"), 1);

        make_older(l, now_us - CATALOGUE_APART_US - SECOND_US);
        due_us = catalogue_renew(l->m, never, NULL);
        assert_true(due_us >= now_us + CATALOGUE_APART_US);
        assert_int_equal(count(l, "lib/blobs"), 2);

        /* Nothing has changed: it is looked at again the day after, and one more is not made. */
        keep_only_newest(l);
        make_older(l, now_us - 2 * CATALOGUE_APART_US);
        due_us = catalogue_renew(l->m, never, NULL);
        assert_true(due_us >= now_us + CATALOGUE_APART_US);
        assert_int_equal(count(l, "lib/blobs"), 1);

        /* A clock that was wrong: the copy of tomorrow stays the older one. */
        make_older(l, now_us + 1000 * CATALOGUE_APART_US);
        change(l, 2);
        (void)catalogue_renew(l->m, never, NULL);
        assert_int_equal(count(l, "lib/blobs"), 2);
        newest(l, "lib/blobs", &copy);
        assert_true(copy.time_us > now_us + 1000 * CATALOGUE_APART_US - SECOND_US);
        assert_whole(l, "lib/blobs");
}

static bool has(struct library *l, const char *file)
{
        char path[3 * TEMPDIR_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s", l->dir, file);
        return access(path, F_OK) == 0;
}

static void test_every_store_of_ours_has_some_and_no_other(void **state)
{
        struct library *l = *state, other;
        char theirs[2 * TEMPDIR_MAX], adopt[3 * TEMPDIR_MAX], aside[128];
        struct store_owner owner;
        struct blobstore *bs;
        size_t before;

        (void)work_far_region(l, "far");
        library_close(l);
        assert_true(count(l, "lib/blobs") > 0);
        assert_true(count(l, "far-far") > 0);
        assert_whole(l, "far-far");
        assert_ok(library_open(l));

        /* What is another's is left alone until it is taken over; its copies are kept then. */
        library_make(&other);
        (void)work_image(&other, &other.alice, other.region, "a", "local", 100000, 1);
        library_close(&other);
        before = count(&other, "lib/blobs");
        assert_true(before > 0);
        (void)snprintf(theirs, sizeof(theirs), "%s/lib/blobs", other.dir);
        (void)snprintf(adopt, sizeof(adopt), "adopt %s", theirs);
        assert_ok(library_open(&other));
        assert_ok(stores_get(other.m, 1, NULL, &bs));
        assert_ok(blobstore_get_owner(bs, &owner));
        library_close(&other);
        assert_ok(region_set_store(l->m, &l->admin, work_region(l, "r9"), adopt, library_diag(l)));
        assert_int_equal(count(&other, "lib/blobs"), 0);
        change(l, 1);
        library_close(l);
        assert_int_equal(count(&other, "lib/blobs"), 1);
        (void)snprintf(aside, sizeof(aside), "lib/blobs/catalogue.%s", owner.library);
        assert_true(has(&other, aside));

        /* The other one finds its store taken, and puts nothing there. */
        assert_ok(library_open(&other));
        change(&other, 1);
        library_close(&other);
        assert_int_equal(count(&other, "lib/blobs"), 1);
        library_remove(&other);
}

static void note_sentence(void *ctx, const char *sentence)
{
        (void)snprintf(ctx, 512, "%s", sentence);
}

static void test_what_cannot_be_copied_stops_nobody(void **state)
{
        struct library *l = *state;
        char command[3 * TEMPDIR_MAX], said[512] = "";
        const int64_t now_us = clock_now_us();

        (void)work_far_region(l, "far");
        library_close(l);
        (void)snprintf(command, sizeof(command), "cd '%s' && rm -r far-far/catalogue lib/blobs/catalogue && : >far-far/catalogue",
                       l->dir);
        assert_int_equal(system(command), 0);
        assert_ok(library_open_idle(l));
        assert_true(catalogue_renew(l->m, never, NULL) < now_us + CATALOGUE_APART_US / 2);
        assert_int_equal(count(l, "lib/blobs"), 1); /* the others have theirs */
        assert_ok(model_health(l->m, note_sentence, said));
        assert_contains(said, "a copy of the catalogue could not be kept");
        change(l, 1);
        library_close(l);
        assert_ok(library_open(l));
        library_close(l);
        assert_int_equal(count(l, "lib/blobs"), 2);

        (void)snprintf(command, sizeof(command), "rm '%s/far-far/catalogue'", l->dir);
        assert_int_equal(system(command), 0);
        assert_ok(library_open_idle(l));
        (void)catalogue_renew(l->m, never, NULL);
        said[0] = '\0';
        assert_ok(model_health(l->m, note_sentence, said));
        assert_string_equal(said, "");
}

/* ---- copying itself ---- */

struct copying {
        struct library *l;
        int asked, stop_at;
};

/* Somebody writes, as often as it is asked. */
static bool write_meanwhile(void *ctx)
{
        struct copying *c = ctx;

        change(c->l, c->asked++);
        return c->asked == c->stop_at;
}

static void test_a_copy_is_of_one_moment_and_nobody_waits_for_it(void **state)
{
        struct library *l = *state;
        struct copying c = { .l = l };
        CLEANUP_CLOSE int dir = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct db_copy_facts facts;
        char command[2 * TEMPDIR_MAX];

        change(l, 1000);
        assert_ok(db_copy(l->m->db, dir, "copy.db", write_meanwhile, &c));
        assert_true(c.asked > 0);
        assert_ok(db_copy_read(dir, "copy.db", &facts));
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM region"), 2 + c.asked);
        /* as a library of its own */
        (void)snprintf(command, sizeof(command), "cd '%s' && mkdir other && mv copy.db other/imagefs.db", l->dir);
        assert_int_equal(system(command), 0);
        library_close(l);
        (void)snprintf(command, sizeof(command), "cd '%s' && mv lib lib.away && mv other lib", l->dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM region"), 2);
        (void)snprintf(command, sizeof(command), "cd '%s' && mv lib other && mv lib.away lib", l->dir);
        assert_int_equal(system(command), 0);
        assert_ok(library_open(l));
}

static void test_one_that_is_given_up_leaves_nothing(void **state)
{
        struct library *l = *state;
        struct copying c = { .l = l, .stop_at = 1 };
        CLEANUP_CLOSE int dir = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_err(db_copy(l->m->db, dir, "copy.db", write_meanwhile, &c), -ECANCELED);
        assert_err(faccessat(dir, "copy.db", F_OK, 0), -1);
}

/* A failed write or a full disk at any moment: there is a whole copy or none, and the library works on. */
static void test_one_that_fails_leaves_nothing(void **state)
{
        struct library *l = *state;
        CLEANUP_CLOSE int dir = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct db_copy_facts facts;
        bool done = false;
        unsigned n;

        /* Nobody else writes, whom the fault would hit instead. */
        library_close(l);
        assert_ok(library_open_idle(l));
        for (n = 1; !done; n++) {
                int r;

                fault_set(FAULT_WRITE, n, n % 2);
                r = db_copy(l->m->db, dir, "copy.db", NULL, NULL);
                done = fault_count(FAULT_WRITE) < n;
                fault_set(FAULT_WRITE, 0, 0);
                if (r == 0)
                        assert_ok(db_copy_read(dir, "copy.db", &facts));
                else
                        assert_err(faccessat(dir, "copy.db", F_OK, 0), -1);
                assert_int_equal(r == 0, done);
                change(l, (int)n);
                assert_in_range(n, 1, 10000);
        }
        assert_true(n > 5);
}

static void damage(struct library *l, const char *file, off_t off)
{
        char path[3 * TEMPDIR_MAX];
        uint8_t bytes[64];
        CLEANUP_CLOSE int fd = -1;

        (void)snprintf(path, sizeof(path), "%s/%s", l->dir, file);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        memset(bytes, 0xee, sizeof(bytes));
        assert_ok(pwrite_full(fd, bytes, sizeof(bytes), (uint64_t)off));
}

/* Or it would push out those that are good. */
static void test_a_damaged_catalogue_is_not_copied(void **state)
{
        struct library *l = *state;
        size_t before;
        int64_t page;

        for (int i = 0; i < 40; i++)
                change(l, i);
        library_close(l);
        before = count(l, "lib/blobs");
        page = library_sql_int(l, "SELECT rootpage FROM sqlite_schema WHERE name = 'share_by_user'");
        damage(l, "lib/imagefs.db", (off_t)(page - 1) * 4096);
        assert_ok(library_open(l));
        change(l, 1000);
        (void)catalogue_renew(l->m, never, NULL);
        library_close(l);
        assert_int_equal(count(l, "lib/blobs"), before);
        assert_whole(l, "lib/blobs");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_what_has_changed_is_copied_when_the_library_is_closed),
                TEST(test_the_last_seven_stay),
                TEST(test_there_is_one_each_day),
                TEST(test_every_store_of_ours_has_some_and_no_other),
                TEST(test_what_cannot_be_copied_stops_nobody),
                TEST(test_a_copy_is_of_one_moment_and_nobody_waits_for_it),
                TEST(test_one_that_is_given_up_leaves_nothing),
                TEST(test_one_that_fails_leaves_nothing),
                TEST(test_a_damaged_catalogue_is_not_copied),
        };

        fault_install();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
