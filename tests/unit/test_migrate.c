/* SPDX-License-Identifier: MIT */

/* Databases of earlier versions, as they were left on disk: what is in them is in them afterwards. */

#include "model/db/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/strbuf.h"
#include "model/check.h"
#include "model/db/db.h"
#include "tests/lib/expect.h"
#include "tests/lib/fault.h"
#include "tests/lib/tempdir.h"

extern const char embed_schema_2_sql[], embed_schema_3_sql[], embed_schema_3_machines_sql[], embed_schema_4_sql[],
                  embed_schema_5_sql[], embed_schema_6_sql[], embed_schema_7_sql[], embed_schema_8_sql[];

static const struct old {
        int version;
        const char *sql;
        const char *newest_task; /* its id, of a task that is gone */
} olds[] = {
        { 2, embed_schema_2_sql, "task|9|\n" },
        { 3, embed_schema_3_sql, "task|7|\n" },
        { 4, embed_schema_4_sql, "task|7|\n" },
        { 5, embed_schema_5_sql, "task|7|\n" },
        { 6, embed_schema_6_sql, "task|7|\n" },
        { 7, embed_schema_7_sql, "task|10|\n" },
        { 8, embed_schema_8_sql, "task|11|\n" },
};
#define OLDS (sizeof(olds) / sizeof(olds[0]))

static const struct old with_machines = { 3, embed_schema_3_machines_sql, NULL };

struct fixture {
        char dir[TEMPDIR_MAX];
        int dir_fd;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        tempdir_make(f->dir);
        f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = f;
        return f->dir_fd < 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        fault_set(FAULT_WRITE, 0, 0);
        (void)close(f->dir_fd);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

static sqlite3 *connect_to(struct fixture *f)
{
        char path[TEMPDIR_MAX + 16];
        sqlite3 *conn;

        (void)snprintf(path, sizeof(path), "%s/" DB_FILE, f->dir);
        assert_int_equal(sqlite3_open(path, &conn), SQLITE_OK);
        return conn;
}

static void make_old(struct fixture *f, const struct old *old)
{
        sqlite3 *conn;

        (void)unlinkat(f->dir_fd, DB_FILE, 0);
        conn = connect_to(f);
        assert_int_equal(sqlite3_exec(conn, old->sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(conn), SQLITE_OK);
}

static int open_db(struct fixture *f, bool read_only)
{
        static const struct db_statements *const none[] = { NULL };
        const struct db_opts opts = { .read_only = read_only, .tables = none };
        struct db *db;
        int r;

        r = db_open(f->dir_fd, &opts, &db);
        if (r == 0)
                db_close(db);
        return r;
}

static int take_line(void *ctx, int n, char **values, char **names)
{
        (void)names;
        for (int i = 0; i < n; i++)
                strbuf_addf(ctx, "%s|", values[i] ? values[i] : "NULL");
        strbuf_add(ctx, "\n");
        return 0;
}

static void ask(sqlite3 *conn, const char *sql, struct strbuf *out)
{
        assert_int_equal(sqlite3_exec(conn, sql, take_line, out, NULL), SQLITE_OK);
}

struct tables {
        sqlite3 *conn;
        const struct old *old;
        struct strbuf *out;
};

/* The old schema by itself, kept for the next question: a test asks a thousand times about one. */
static sqlite3 *schema_alone(const struct old *old)
{
        static const struct old *kept_for;
        static sqlite3 *kept;

        if (kept_for != old) {
                assert_int_equal(sqlite3_close(kept), SQLITE_OK);
                assert_int_equal(sqlite3_open(":memory:", &kept), SQLITE_OK);
                assert_int_equal(sqlite3_exec(kept, old->sql, NULL, NULL, NULL), SQLITE_OK);
                kept_for = old;
        }
        return kept;
}

/* COLUMNS of TABLE as the old schema has them; none where it had no such table. */
static void columns_of(const struct old *old, const char *table, struct strbuf *columns)
{
        char *ask_columns = sqlite3_mprintf("SELECT group_concat(name) FROM pragma_table_info(%Q)", table);
        sqlite3_stmt *stmt;

        assert_int_equal(sqlite3_prepare_v2(schema_alone(old), ask_columns, -1, &stmt, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        if (sqlite3_column_type(stmt, 0) != SQLITE_NULL)
                strbuf_add(columns, (const char *)sqlite3_column_text(stmt, 0));
        assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
        sqlite3_free(ask_columns);
}

static int take_table(void *ctx, int n, char **values, char **names)
{
        CLEANUP_STRBUF struct strbuf columns = { 0 };
        struct tables *tables = ctx;
        bool library = strcmp(values[0], "library") == 0 && tables->old->version < 3; /* gets a name, at random */
        bool usage = strcmp(values[0], "usage") == 0; /* counts more than it did */
        /* Those of before 4 end: their tokens were in the database. */
        bool download = strcmp(values[0], "download") == 0 && tables->old->version < 4;
        bool sequence = strcmp(values[0], "sqlite_sequence") == 0;
        char *sql;

        (void)n;
        (void)names;
        if (strcmp(values[0], "refusal") == 0) /* went with 5: what is told is kept in memory */
                return 0;
        if (sequence)
                strbuf_add(&columns, "name, seq");
        else
                columns_of(tables->old, values[0], &columns);
        if (columns.len == 0)
                return 0;
        sql = sqlite3_mprintf("SELECT %s FROM %Q%s ORDER BY 1", library ? "born" : download ? "1" : strbuf_text(&columns),
                              values[0],
                              usage ? " WHERE key LIKE '%-images' OR key = 'snapshots'" :
                              download ? " WHERE false" :
                              sequence ? " WHERE name NOT IN ('refusal', 'place')" : "");
        strbuf_addf(tables->out, "[%s]\n", values[0]);
        ask(tables->conn, sql, tables->out);
        sqlite3_free(sql);
        return 0;
}

/* Every row of every table that there was. */
static void rows_of(struct fixture *f, const struct old *old, struct strbuf *out)
{
        struct tables tables = { .conn = connect_to(f), .old = old, .out = out };

        assert_int_equal(sqlite3_exec(tables.conn, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
                                      take_table, &tables, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(tables.conn), SQLITE_OK);
}

/* What the tables, indices and triggers are, but for how that is written. */
static void schema_of(struct fixture *f, struct strbuf *out)
{
        sqlite3 *conn = connect_to(f);

        ask(conn, "SELECT type, name, tbl_name FROM sqlite_schema ORDER BY type, name", out);
        ask(conn, "SELECT m.name, c.* FROM sqlite_schema m, pragma_table_xinfo(m.name) c WHERE m.type = 'table' "
                  "ORDER BY m.name, c.cid", out);
        ask(conn, "SELECT m.name, k.* FROM sqlite_schema m, pragma_foreign_key_list(m.name) k WHERE m.type = 'table' "
                  "ORDER BY m.name, k.id", out);
        ask(conn, "SELECT name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL "
                  "ORDER BY name", out);
        /* but for what was added at its end since it was made anew, which is written otherwise */
        ask(conn, "SELECT replace(substr(sql, 1, instr(sql, 'finished')), '\"task\"', 'task') FROM sqlite_schema WHERE name = 'task'", out);
        ask(conn, "PRAGMA user_version", out);
        ask(conn, "PRAGMA application_id", out);
        assert_int_equal(sqlite3_close(conn), SQLITE_OK);
}

static void test_every_version_keeps_every_row(void **state)
{
        struct fixture *f = *state;

        for (size_t i = 0; i < OLDS; i++) {
                CLEANUP_STRBUF struct strbuf before = { 0 }, after = { 0 };

                make_old(f, &olds[i]);
                rows_of(f, &olds[i], &before);
                assert_non_null(strstr(strbuf_text(&before), olds[i].newest_task));
                assert_ok(open_db(f, false));
                rows_of(f, &olds[i], &after);
                assert_string_equal(strbuf_text(&after), strbuf_text(&before));
        }
}

/* Put back, it is what it was; and is brought up to date as the first time. */
static void test_version_3_keeps_every_row_and_counts_machines(void **state)
{
        CLEANUP_STRBUF struct strbuf before = { 0 }, after = { 0 }, usage = { 0 };
        struct fixture *f = *state;
        sqlite3 *conn;

        make_old(f, &with_machines);
        rows_of(f, &with_machines, &before);
        assert_ok(open_db(f, false));
        rows_of(f, &with_machines, &after);
        assert_string_equal(strbuf_text(&after), strbuf_text(&before));

        conn = connect_to(f);
        ask(conn, "SELECT uid, key, used FROM usage WHERE key IN ('instances', 'disks', 'disk-bytes') ORDER BY uid, key",
            &usage);
        assert_int_equal(sqlite3_close(conn), SQLITE_OK);
        assert_string_equal(strbuf_text(&usage), "0|disk-bytes|12582912|\n0|disks|2|\n0|instances|2|\n"
                                                 "61001|disk-bytes|8388608|\n61001|disks|1|\n61001|instances|1|\n");
}

/* What version 6 keeps and the ones before worked out: an image that is still being fetched has none of its bytes. */
static void test_images_know_their_size(void **state)
{
        CLEANUP_STRBUF struct strbuf sizes = { 0 };
        struct fixture *f = *state;
        sqlite3 *conn;

        make_old(f, &olds[3]);
        assert_ok(open_db(f, false));
        conn = connect_to(f);
        ask(conn, "SELECT handle, size FROM image ORDER BY id", &sizes);
        assert_int_equal(sqlite3_close(conn), SQLITE_OK);
        assert_string_equal(strbuf_text(&sizes), "a|8388608|\na|8388608|\nweb|8388608|\ndel|8388608|\nf|0|\n"
                                                 "boot|4194304|\n");
}

static void test_the_old_one_stays_beside(void **state)
{
        CLEANUP_STRBUF struct strbuf before = { 0 }, after = { 0 };
        struct fixture *f = *state;
        struct stat st;

        make_old(f, &olds[0]);
        schema_of(f, &before);
        rows_of(f, &olds[0], &before);
        for (int i = 0; i < 2; i++) {
                assert_ok(open_db(f, false));
                assert_ok(fstatat(f->dir_fd, DB_FILE ".schema-2", &st, 0));
                assert_int_equal(st.st_mode & 0777, 0600);
                assert_err(faccessat(f->dir_fd, DB_FILE ".schema-2.tmp", F_OK, 0), -1);
                assert_ok(renameat(f->dir_fd, DB_FILE ".schema-2", f->dir_fd, DB_FILE));
                strbuf_reset(&after);
                schema_of(f, &after);
                rows_of(f, &olds[0], &after);
                assert_string_equal(strbuf_text(&after), strbuf_text(&before));
        }
        /* None is made where nothing is changed. */
        assert_ok(open_db(f, false));
        assert_ok(unlinkat(f->dir_fd, DB_FILE ".schema-2", 0));
        assert_ok(open_db(f, false));
        assert_err(faccessat(f->dir_fd, DB_FILE ".schema-2", F_OK, 0), -1);
}

static void test_every_version_becomes_what_is_made_today(void **state)
{
        CLEANUP_STRBUF struct strbuf fresh = { 0 };
        struct fixture *f = *state;

        assert_ok(open_db(f, false));
        schema_of(f, &fresh);
        for (size_t i = 0; i < OLDS; i++) {
                CLEANUP_STRBUF struct strbuf migrated = { 0 };

                make_old(f, &olds[i]);
                assert_ok(open_db(f, false));
                schema_of(f, &migrated);
                assert_string_equal(strbuf_text(&migrated), strbuf_text(&fresh));
        }
}

/* A full disk or a failed write at any moment leaves one version or the other; every STEPth of them is tried. */
static void fail_at_each_write(struct fixture *f, const struct old *old, unsigned step)
{
        CLEANUP_STRBUF struct strbuf before = { 0 };
        bool done = false;

        make_old(f, old);
        rows_of(f, old, &before);
        for (unsigned n = 1; !done; n += step) {
                CLEANUP_STRBUF struct strbuf after = { 0 };

                make_old(f, old);
                fault_set(FAULT_WRITE, n, n % 2);
                done = open_db(f, false) == 0 && fault_count(FAULT_WRITE) < n;
                fault_set(FAULT_WRITE, 0, 0);
                assert_ok(open_db(f, false));
                rows_of(f, old, &after);
                assert_string_equal(strbuf_text(&after), strbuf_text(&before));
                assert_in_range(n, 1, 10000);
        }
}

static void test_a_step_that_fails_is_done_again(void **state)
{
        for (size_t i = 0; i < OLDS; i++) /* the newest is what is still met, and its step what may change */
                fail_at_each_write(*state, &olds[i], i == OLDS - 1 ? 1 : 7);
}

static void test_an_old_one_is_not_changed_by_who_only_looks(void **state)
{
        CLEANUP_STRBUF struct strbuf before = { 0 }, after = { 0 };
        struct fixture *f = *state;
        struct diag diag = { 0 };
        int fd;

        make_old(f, &olds[OLDS - 1]);
        fd = openat(f->dir_fd, "lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* as every library has it */
        assert_true(fd >= 0);
        (void)close(fd);
        schema_of(f, &before);
        assert_err(open_db(f, true), -ESTALE);
        assert_err(model_check(f->dir, false, NULL, NULL, NULL, &diag), -ESTALE);
        assert_non_null(strstr(diag.text, "mount the library once"));
        schema_of(f, &after);
        assert_string_equal(strbuf_text(&after), strbuf_text(&before));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_every_version_keeps_every_row),
                TEST(test_version_3_keeps_every_row_and_counts_machines),
                TEST(test_images_know_their_size),
                TEST(test_the_old_one_stays_beside),
                TEST(test_every_version_becomes_what_is_made_today),
                TEST(test_a_step_that_fails_is_done_again),
                TEST(test_an_old_one_is_not_changed_by_who_only_looks),
        };

        fault_install();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
