/* SPDX-License-Identifier: MIT */

/*
 * Removing blobs that lend and borrow pages where what says of their chunks is damaged, lost, or not there any more.
 * Each of them goes nevertheless, what others need stays, and what could not be taken back is, once the index is made
 * again.
 */

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/lend_priv.h"
#include "blobstore/blobs/map_file_priv.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MIB ((size_t)1 << 20)
#define SIZE (24 * MIB) /* of noise: some pages of a map */
#define CHANGE_AT (3 * MIB)

enum { LENDER, BORROWER, FAMILY };

struct world {
        struct store s; /* first: as store_teardown() takes it */
        struct blob_id ids[FAMILY];
        uint8_t *bytes;
};

static int setup(void **state)
{
        struct world *w = calloc(1, sizeof(*w));
        struct blob_share_stats stats;
        struct blob_writer *writer;
        struct blob *b[FAMILY];
        uint64_t seed = 9;

        assert_non_null(w);
        tempdir_make(w->s.dir);
        assert_ok(store_open(&w->s));
        w->bytes = malloc(SIZE);
        assert_non_null(w->bytes);
        random_fill(&seed, w->bytes, SIZE);
        b[LENDER] = image_store(&w->s, w->bytes, SIZE);
        random_fill(&seed, w->bytes + CHANGE_AT, MIB);
        assert_ok(blob_writer_new(w->s.bs, &writer));
        assert_ok(blob_writer_share(writer, b[LENDER], 0, CHANGE_AT, &stats));
        assert_ok(blob_writer_append(writer, w->bytes + CHANGE_AT, MIB));
        assert_ok(blob_writer_share(writer, b[LENDER], CHANGE_AT + MIB, SIZE - CHANGE_AT - MIB, &stats));
        assert_ok(blob_writer_commit(writer, &b[BORROWER]));
        blob_writer_free(writer);
        assert_true(map_entries(b[BORROWER]->map) > map_own_entries(b[BORROWER]->map));
        for (int i = 0; i < FAMILY; i++) {
                w->ids[i] = *blob_get_id(b[i]);
                blob_close(b[i]);
        }
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        struct world *w = *state;

        store_close(&w->s);
        tempdir_remove(w->s.dir);
        free(w->bytes);
        free(w);
        return 0;
}

static void map_path(const struct world *w, int i, bool dead, char ret[2 * TEMPDIR_MAX])
{
        char name[MAP_NAME_SIZE], path[MAP_NAME_SIZE + 32];

        map_name(&w->ids[i], name);
        (void)snprintf(path, sizeof(path), "maps/%.2s/%s%s", name, name, dead ? ".dead" : "");
        store_path(&w->s, path, ret);
}

/* Turns bits of a map from byte FROM on; -1: of its last page. */
static void damage_map(const struct world *w, int i, bool dead, off_t from)
{
        char path[2 * TEMPDIR_MAX];
        CLEANUP_CLOSE int fd = -1;
        uint8_t byte;

        map_path(w, i, dead, path);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        if (from < 0)
                from = lseek(fd, 0, SEEK_END) / MAP_PAGE_SIZE * MAP_PAGE_SIZE - MAP_PAGE_SIZE + 64;
        assert_int_equal(pread(fd, &byte, 1, from), 1);
        byte ^= 0x55;
        assert_int_equal(pwrite(fd, &byte, 1, from), 1);
}

static bool is_stale(const struct world *w)
{
        char path[2 * TEMPDIR_MAX];

        store_path(&w->s, "index.stale", path);
        return access(path, F_OK) == 0;
}

static void remove_blob(struct world *w, int i)
{
        assert_ok(blob_remove(w->s.bs, &w->ids[i]));
        assert_false(blobstore_is_degraded(w->s.bs));
}

static void assert_reads(struct world *w, int i)
{
        struct blob *b;

        assert_ok(blob_open(w->s.bs, &w->ids[i], &b));
        image_assert_same(b, w->bytes, SIZE);
        blob_close(b);
}

/* With the next opening the index is made again, and all space comes back. */
static void assert_nothing_is_left(struct world *w)
{
        char path[2 * TEMPDIR_MAX];

        store_reopen(&w->s);
        assert_false(is_stale(w));
        (void)store_gc(&w->s);
        assert_int_equal(store_stats(&w->s).blobs, 0);
        assert_int_equal(store_stats(&w->s).chunks, 0);
        store_assert_clean(&w->s);
        for (int i = 0; i < FAMILY; i++) {
                map_path(w, i, true, path);
                assert_int_equal(access(path, F_OK), -1);
                map_path(w, i, false, path);
                assert_int_equal(access(path, F_OK), -1);
        }
}

/* At once, without a collection: a map that lent stays for no longer than somebody borrows of it. */
static void test_the_last_borrower_takes_its_lender_along(void **state)
{
        struct world *w = *state;
        char path[2 * TEMPDIR_MAX];
        struct index_blob blob;

        remove_blob(w, LENDER);
        map_path(w, LENDER, true, path);
        assert_ok(access(path, F_OK));
        assert_reads(w, BORROWER);
        remove_blob(w, BORROWER);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(index_blob_get(w->s.bs->chunks->index, &w->ids[LENDER], &blob), -ENOENT);
        assert_nothing_is_left(w);
}

static void test_a_lender_that_was_open_is_taken_back_by_its_last_borrower(void **state)
{
        struct world *w = *state;
        struct blob *lender;

        assert_ok(blob_open(w->s.bs, &w->ids[LENDER], &lender));
        remove_blob(w, LENDER);
        blob_close(lender);
        remove_blob(w, BORROWER); /* before any collection */
        assert_false(is_stale(w));
        assert_nothing_is_left(w);
}

/* Of some pages it is recorded that they were taken back, or stay since they are lent: they are not met again. */
static void test_a_removal_that_was_interrupted_goes_on_where_it_was(void **state)
{
        struct world *w = *state;
        struct index_blob blob;
        struct map_page page;
        struct blob *lender;

        assert_ok(blob_open(w->s.bs, &w->ids[LENDER], &lender));
        remove_blob(w, LENDER);
        assert_true(map_row_get(lender->map, map_rows(lender->map) - 1, &page));
        assert_ok(index_blob_release(w->s.bs->chunks->index, &w->ids[LENDER], NULL, 0,
                                     map_own_entries(lender->map) - page.entries));
        blob_close(lender);
        (void)store_gc(&w->s); /* by the first collection, whoever borrows of it */
        assert_ok(index_blob_get(w->s.bs->chunks->index, &w->ids[LENDER], &blob));
        assert_int_equal(blob.retained, 0);
        assert_reads(w, BORROWER);
        remove_blob(w, BORROWER);
        assert_false(is_stale(w));
        assert_nothing_is_left(w);
}

/* What it counts cannot be read. */
static void test_a_lender_that_was_open_and_is_damaged_goes_too(void **state)
{
        struct world *w = *state;
        struct blob *lender;

        assert_ok(blob_open(w->s.bs, &w->ids[LENDER], &lender));
        remove_blob(w, LENDER);
        damage_map(w, LENDER, false, 0);
        blob_close(lender);
        remove_blob(w, BORROWER);
        assert_true(is_stale(w));
}

static void test_a_page_of_its_own_that_is_damaged_keeps_no_blob(void **state)
{
        struct world *w = *state;

        damage_map(w, BORROWER, false, -1);
        remove_blob(w, BORROWER);
        assert_true(is_stale(w));
        store_reopen(&w->s);
        remove_blob(w, LENDER);
        assert_nothing_is_left(w);
}

static void test_a_map_without_a_header_keeps_no_blob(void **state)
{
        struct world *w = *state;

        damage_map(w, BORROWER, false, 0);
        remove_blob(w, BORROWER);
        assert_true(is_stale(w));
        store_reopen(&w->s);
        remove_blob(w, LENDER);
        assert_nothing_is_left(w);
}

/* Another map of that name, which says of fewer chunks than were counted. */
static void test_a_map_that_is_shorter_than_what_was_counted_keeps_no_blob(void **state)
{
        struct world *w = *state;
        struct blob_info info = { .size_bytes = SIZE };
        char path[2 * TEMPDIR_MAX];
        struct map_writer *writer;
        int fd;

        map_path(w, BORROWER, false, path);
        assert_ok(unlink(path));
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_ok(map_writer_new(fd, &w->ids[BORROWER], &writer));
        assert_ok(map_writer_finish(writer, &info));
        map_writer_free(writer);
        remove_blob(w, BORROWER);
        assert_true(is_stale(w));
        store_reopen(&w->s);
        remove_blob(w, LENDER);
        assert_nothing_is_left(w);
}

static void test_a_lent_page_that_is_damaged_keeps_no_borrower(void **state)
{
        struct world *w = *state;

        remove_blob(w, LENDER);
        assert_reads(w, BORROWER);
        damage_map(w, LENDER, true, -1);
        remove_blob(w, BORROWER);
        assert_true(is_stale(w));
        assert_nothing_is_left(w);
}

static void test_a_lender_whose_map_is_lost_keeps_no_borrower(void **state)
{
        struct world *w = *state;
        char path[2 * TEMPDIR_MAX];

        remove_blob(w, LENDER);
        map_path(w, LENDER, true, path);
        assert_ok(unlink(path));
        remove_blob(w, BORROWER);
        assert_true(is_stale(w));
        assert_nothing_is_left(w);
}

/* The borrower waits, as a dead one, and goes when the lender's map can be read again. */
static void test_a_lender_whose_map_cannot_be_opened_puts_a_removal_off(void **state)
{
        struct world *w = *state;
        char path[2 * TEMPDIR_MAX], away[2 * TEMPDIR_MAX];

        remove_blob(w, LENDER);
        map_path(w, LENDER, true, path);
        store_path(&w->s, "away", away);
        assert_ok(rename(path, away));
        assert_ok(symlink("nowhere", path));
        assert_err(blob_remove(w->s.bs, &w->ids[BORROWER]), -ELOOP);
        assert_false(is_stale(w));
        assert_ok(unlink(path));
        assert_ok(rename(away, path));
        (void)store_gc(&w->s);
        assert_nothing_is_left(w);
}

static void change_index(struct world *w, const char *sql)
{
        char path[2 * TEMPDIR_MAX], *why = NULL;
        sqlite3 *db;

        store_path(&w->s, "index.db", path);
        store_close(&w->s);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
                fail_msg("%s", why);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        assert_ok(store_open(&w->s));
}

static void test_a_lender_of_which_the_index_does_not_know_keeps_no_borrower(void **state)
{
        struct world *w = *state;

        remove_blob(w, LENDER);
        change_index(w, "DELETE FROM blob WHERE state = 2");
        remove_blob(w, BORROWER);
        (void)store_gc(&w->s);
        assert_true(store_stats(&w->s).chunks > 0); /* what was lent stays, until the index is made again */
        assert_ok(index_mark_stale(w->s.bs->dir_fd));
        assert_nothing_is_left(w);
}

/* ---- what the index says of loans ---- */

static void test_a_loan_that_was_changed_is_not_believed(void **state)
{
        struct world *w = *state;
        uint64_t lent[INDEX_LOAN_PAGES / 64];
        struct index_loan loan;

        assert_int_equal(index_loan_list(w->s.bs->chunks->index, &w->ids[BORROWER], 0, &loan, 1), 1);
        assert_ok(index_lent_pages(w->s.bs->chunks->index, &w->ids[LENDER], loan.page, loan.count, NULL, 0, lent));
        change_index(w, "UPDATE loan SET count = count + 1");
        assert_err(index_loan_list(w->s.bs->chunks->index, &w->ids[BORROWER], 0, &loan, 1), -EBADMSG);
        store_reopen(&w->s);
        assert_reads(w, BORROWER);
        store_assert_clean(&w->s); /* it was made again */
}

static void test_a_loan_that_was_changed_does_not_say_what_is_lent(void **state)
{
        struct world *w = *state;
        uint64_t lent[INDEX_LOAN_PAGES / 64];

        change_index(w, "UPDATE loan SET count = count + 1");
        assert_err(index_lent_pages(w->s.bs->chunks->index, &w->ids[LENDER], 0, INDEX_LOAN_PAGES, NULL, 0, lent),
                   -EBADMSG);
}

static void test_what_is_borrowed_already_is_not_borrowed_again(void **state)
{
        struct world *w = *state;
        struct index *ix = w->s.bs->chunks->index;
        struct index_writer hold;
        struct index_loan loan;

        assert_int_equal(index_loan_list(ix, &w->ids[BORROWER], 0, &loan, 1), 1);
        index_writer_begin(ix, &hold);
        assert_true(index_loan_add(ix, &hold, &w->ids[BORROWER], &loan, 1) < 0);
        index_writer_end(ix, &hold);
        store_reopen(&w->s);
        assert_reads(w, BORROWER);
        store_assert_clean(&w->s);
}

static void test_a_store_that_takes_no_writes_changes_no_loan(void **state)
{
        struct world *w = *state;
        struct index *ix = w->s.bs->chunks->index;
        struct index_loan loan, same;
        struct index_writer hold;

        assert_int_equal(index_loan_list(ix, &w->ids[BORROWER], 0, &loan, 1), 1);
        atomic_store(&w->s.bs->chunks->degraded, true);
        index_writer_begin(ix, &hold);
        assert_err(index_loan_add(ix, &hold, &w->ids[LENDER], &loan, 1), -EROFS);
        index_writer_end(ix, &hold);
        assert_err(index_loan_shrink(ix, &w->ids[BORROWER], loan.row, 0, NULL, 0), -EROFS);
        assert_int_equal(index_loan_list(ix, &w->ids[BORROWER], 0, &same, 1), 1);
        assert_int_equal(same.count, loan.count);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                CASE(test_the_last_borrower_takes_its_lender_along),
                CASE(test_a_lender_that_was_open_is_taken_back_by_its_last_borrower),
                CASE(test_a_removal_that_was_interrupted_goes_on_where_it_was),
                CASE(test_a_lender_that_was_open_and_is_damaged_goes_too),
                CASE(test_a_page_of_its_own_that_is_damaged_keeps_no_blob),
                CASE(test_a_map_without_a_header_keeps_no_blob),
                CASE(test_a_map_that_is_shorter_than_what_was_counted_keeps_no_blob),
                CASE(test_a_lent_page_that_is_damaged_keeps_no_borrower),
                CASE(test_a_lender_whose_map_is_lost_keeps_no_borrower),
                CASE(test_a_lender_whose_map_cannot_be_opened_puts_a_removal_off),
                CASE(test_a_lender_of_which_the_index_does_not_know_keeps_no_borrower),
                CASE(test_a_loan_that_was_changed_is_not_believed),
                CASE(test_a_loan_that_was_changed_does_not_say_what_is_lent),
                CASE(test_what_is_borrowed_already_is_not_borrowed_again),
                CASE(test_a_store_that_takes_no_writes_changes_no_loan),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
