/* SPDX-License-Identifier: MIT */
/* What the library held day by day. */

#include "model/work/history.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/strbuf.h"
#include "tests/lib/expect.h"
#include "tests/lib/library.h"
#include "tests/lib/work.h"

#define MIB (UINT64_C(1) << 20)

struct seen {
        struct strbuf text;
        int64_t today;
        size_t rows;
        bool known; /* of the last row of the whole library */
        uint64_t stored;
};

static void seen_done(struct seen *s)
{
        strbuf_done(&s->text);
}

/* Days are told from today. */
static int see(void *ctx, const struct history_row *row)
{
        struct seen *s = ctx;

        s->rows++;
        strbuf_addf(&s->text, "%lld %s: %llu images, %llu snapshots, %llu, %llu\n", (long long)(row->day - s->today),
                    row->region, (unsigned long long)row->images, (unsigned long long)row->snapshots,
                    (unsigned long long)(row->size_bytes / MIB), (unsigned long long)(row->data_bytes / MIB));
        if (!row->region[0]) {
                s->known = row->stored_known;
                s->stored = row->stored_bytes;
        }
        return 0;
}

static int64_t today(void)
{
        return time(NULL) / 86400;
}

static struct seen look(struct library *l)
{
        struct seen s = { .today = today() };

        assert_ok(history_each(l->m, see, &s));
        return s;
}

static void assert_history(struct library *l, const char *text)
{
        CLEANUP(seen_done) struct seen s = look(l);

        assert_string_equal(strbuf_text(&s.text), text);
}

static void test_a_library_of_one_day(void **state)
{
        struct library *l = *state;

        assert_history(l, "0 : 0 images, 0 snapshots, 0, 0\n0 r1: 0 images, 0 snapshots, 0, 0\n");
        (void)work_image(l, &l->alice, l->region, "web", NULL, 4 * MIB, 1);
        (void)work_image(l, &l->alice, l->region, "again", NULL, 4 * MIB, 1);
        {
                CLEANUP(seen_done) struct seen s = look(l);

                assert_string_equal(strbuf_text(&s.text), "0 : 2 images, 2 snapshots, 8, 6\n"
                                                          "0 r1: 2 images, 2 snapshots, 8, 6\n");
                assert_true(s.known);
                assert_in_range(s.stored, 1, 5 * MIB); /* the same twice is stored once */
        }
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM history"), 0);
}

static void test_days_are_kept(void **state)
{
        struct library *l = *state;

        assert_ok(history_write(l->m, today() - 2));
        (void)work_image(l, &l->alice, l->region, "web", "local", 4 * MIB, 1);
        assert_ok(history_write(l->m, today() - 1));
        library_close(l); /* which writes today's */
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM history"), 6);
        assert_ok(library_open(l));
        assert_history(l, "-2 : 0 images, 0 snapshots, 0, 0\n-2 r1: 0 images, 0 snapshots, 0, 0\n"
                          "-1 : 1 images, 0 snapshots, 4, 3\n-1 r1: 1 images, 0 snapshots, 4, 3\n"
                          "0 : 1 images, 0 snapshots, 4, 3\n0 r1: 1 images, 0 snapshots, 4, 3\n");
}

/* A day that is written again has the regions that are there then, and what they have. */
static void test_the_last_of_a_day_counts(void **state)
{
        struct library *l = *state;
        uint64_t region;

        assert_ok(region_create(l->m, &l->admin, "r2", library_diag(l), &region));
        assert_ok(history_write(l->m, today() - 1));
        assert_ok(region_remove(l->m, &l->admin, region, library_diag(l)));
        (void)library_image(l, "web");
        assert_ok(history_write(l->m, today() - 1));
        assert_history(l, "-1 : 1 images, 0 snapshots, 0, 0\n-1 r1: 1 images, 0 snapshots, 0, 0\n"
                          "0 : 1 images, 0 snapshots, 0, 0\n0 r1: 1 images, 0 snapshots, 0, 0\n");
}

/* What is counted is counted again when it may have changed: a snapshot that goes is in no list. */
static void test_snapshots_that_no_image_has_count(void **state)
{
        struct library *l = *state;
        uint64_t web = work_image(l, &l->alice, l->region, "web", NULL, 4 * MIB, 1);
        struct object snapshot;

        assert_ok(snapshot_find(l->m, l->region, "web", &snapshot));
        assert_history(l, "0 : 1 images, 1 snapshots, 4, 3\n0 r1: 1 images, 1 snapshots, 4, 3\n");
        library_sql(l, "DELETE FROM image_disk WHERE image = %lld", (long long)web);
        library_sql(l, "DELETE FROM image WHERE id = %lld", (long long)web);
        assert_history(l, "0 : 0 images, 1 snapshots, 4, 3\n0 r1: 0 images, 1 snapshots, 4, 3\n");
        assert_ok(snapshot_remove(l->m, &l->alice, snapshot.id, library_diag(l)));
        assert_history(l, "0 : 0 images, 0 snapshots, 0, 0\n0 r1: 0 images, 0 snapshots, 0, 0\n");
}

static void test_ten_years_are_kept_whatever_the_clock_says(void **state)
{
        struct library *l = *state;

        library_sql(l, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                    "INSERT INTO history SELECT %lld - i, '', 1, 0, 0, 0, 0, 0 FROM n", HISTORY_DAYS + 9, (long long)today() - 1);
        library_sql(l, "INSERT INTO history SELECT day, 'r1', 1, 0, 0, 0, NULL, NULL FROM history");
        assert_ok(history_write(l->m, today()));
        assert_int_equal(library_sql_int(l, "SELECT count(DISTINCT day) FROM history"), HISTORY_DAYS);
        assert_int_equal(library_sql_int(l, "SELECT min(day) FROM history"), today() - HISTORY_DAYS + 1);
        /* A hundred years ahead: one more day, and not the loss of all others. */
        assert_ok(history_write(l->m, today() + 36500));
        assert_int_equal(library_sql_int(l, "SELECT count(DISTINCT day) FROM history"), HISTORY_DAYS);
        {
                CLEANUP(seen_done) struct seen s = look(l);

                assert_int_equal(s.rows, 2 * (HISTORY_DAYS - 1)); /* today's are as it is now */
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_a_library_of_one_day),
                TEST(test_days_are_kept),
                TEST(test_the_last_of_a_day_counts),
                TEST(test_snapshots_that_no_image_has_count),
                TEST(test_ten_years_are_kept_whatever_the_clock_says),
        };

        while (time(NULL) % 86400 >= 86400 - 60) /* days are told from today, which is not to become another one */
                (void)sleep(1);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
