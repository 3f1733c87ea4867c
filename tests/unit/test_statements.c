/* SPDX-License-Identifier: MIT */

/* What is asked of the database once for every disk and blob of a store is never answered by reading all rows. */

#include "model/statements.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/strbuf.h"
#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

static int take_step(void *ctx, int n, char **values, char **names)
{
        (void)n;
        (void)names;
        if (strncmp(values[3], "SCAN ", 5) == 0 && strcmp(values[3], "SCAN CONSTANT ROW") != 0)
                strbuf_addf(ctx, "%s\n", values[3]);
        return 0;
}

static void assert_finds_its_rows(sqlite3 *conn, const char *sql)
{
        CLEANUP_STRBUF struct strbuf scans = { 0 };
        char *plan = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);

        assert_int_equal(sqlite3_exec(conn, plan, take_step, &scans, NULL), SQLITE_OK);
        if (scans.len > 0)
                fail_msg("%s\n%s", sql, strbuf_text(&scans));
        sqlite3_free(plan);
}

static void test_no_disk_or_blob_takes_a_look_at_all_of_them(void **state)
{
        static const struct db_statements *const tables[] = { &reap_statements, &unnamed_statements,
                                                              &volume_disk_statements, &volume_file_statements,
                                                              NULL };
        const struct db_opts opts = { .tables = tables };
        char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 16];
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
        for (size_t i = 0; tables[i]; i++)
                for (size_t j = 0; j < tables[i]->count; j++)
                        assert_finds_its_rows(conn, tables[i]->sql[j]);
        assert_int_equal(sqlite3_close(conn), SQLITE_OK);
        (void)close(dir_fd);
        tempdir_remove(dir);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_disk_or_blob_takes_a_look_at_all_of_them),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
