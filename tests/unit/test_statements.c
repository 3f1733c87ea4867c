/* SPDX-License-Identifier: MIT */

/* What is asked of the database for an object, or by a request, is never answered by reading all rows of a table that grows. */

#include "model/statements.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/strbuf.h"
#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

#define ALL NULL

/* Who may: of each table that has some few rows, whoever asks; of others, statements that are about all of them. */
static const struct {
        const char *stem, *scans;
} may_scan[] = {
        /* an administrator's, of which there are some */
        { ALL, "library" }, { ALL, "region" }, { ALL, "store" }, { ALL, "quota_limit" }, { ALL, "place" },
        /* those of one object's: a line for each, or a text's */
        { ALL, "json_each" }, { ALL, "own" }, { ALL, "follow" },
        /* of what is damaged, which is none or a few */
        { ALL, "damage" },
        /* of a library that nobody serves */
        { "check_rules", ALL }, { "usage_rows", ALL },
        /* once a day, in portions */
        { "history", ALL },
        /* at the start, or when a key was lost */
        { "fetch_row", "fetch" }, { "download", "download" },
        /* what is listed: all that there are, of which each user has a bounded number; and who has too many of them */
        { "task_view", "task" }, { "dismiss", ALL },
        /* in search of a twin of what is damaged */
        { "scrub_row", "other" },
};

static bool scan_is_allowed(const char *stem, const char *step)
{
        const size_t n = strcspn(step, " ");

        for (size_t i = 0; i < sizeof(may_scan) / sizeof(may_scan[0]); i++) {
                if (may_scan[i].stem && strcmp(may_scan[i].stem, stem) != 0)
                        continue;
                if (!may_scan[i].scans || (strlen(may_scan[i].scans) == n && strncmp(may_scan[i].scans, step, n) == 0))
                        return true;
        }
        return false;
}

struct plan {
        const char *stem;
        struct strbuf scans;
};

static int take_step(void *ctx, int n, char **values, char **names)
{
        struct plan *plan = ctx;

        (void)n;
        (void)names;
        if (strncmp(values[3], "SCAN ", 5) == 0 && strcmp(values[3], "SCAN CONSTANT ROW") != 0 &&
            !scan_is_allowed(plan->stem, values[3] + strlen("SCAN ")))
                strbuf_addf(&plan->scans, "%s\n", values[3]);
        return 0;
}

/* Gives how many statements there are that scan. */
static unsigned count_scan(sqlite3 *conn, const char *stem, const char *sql)
{
        struct plan plan = { .stem = stem };
        char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
        unsigned scans;

        assert_int_equal(sqlite3_exec(conn, explain, take_step, &plan, NULL), SQLITE_OK);
        scans = plan.scans.len > 0;
        if (scans > 0)
                print_error("%s: %s\n%s", stem, sql, strbuf_text(&plan.scans));
        strbuf_done(&plan.scans);
        sqlite3_free(explain);
        return scans;
}

#define STATEMENTS_NAMED(stem) { #stem, &stem##_statements },
#define STATEMENTS_POINTER(stem) &stem##_statements,

static void test_nothing_is_found_by_a_look_at_all_there_is(void **state)
{
        static const struct {
                const char *stem;
                const struct db_statements *statements;
        } named[] = { STATEMENT_TABLES(STATEMENTS_NAMED) };
        static const struct db_statements *const tables[] = { STATEMENT_TABLES(STATEMENTS_POINTER) NULL };
        const struct db_opts opts = { .tables = tables };
        char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 16];
        unsigned scans = 0;
        struct db *db;
        sqlite3 *conn;
        int dir_fd;

        (void)state;
        tempdir_make(dir);
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(dir_fd >= 0);
        assert_ok(db_open(dir_fd, &opts, &db));
        db_close(db);
        (void)snprintf(path, sizeof(path), "%s/" DB_FILE, dir);
        assert_int_equal(sqlite3_open(path, &conn), SQLITE_OK);
        for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
                for (size_t j = 0; j < named[i].statements->count; j++)
                        if (named[i].statements->sql[j])
                                scans += count_scan(conn, named[i].stem, named[i].statements->sql[j]);
        assert_int_equal(scans, 0);
        assert_int_equal(sqlite3_close(conn), SQLITE_OK);
        (void)close(dir_fd);
        tempdir_remove(dir);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_is_found_by_a_look_at_all_there_is),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
