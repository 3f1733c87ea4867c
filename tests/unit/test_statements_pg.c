/* SPDX-License-Identifier: MIT */

/*
 * As test_statements, of PostgreSQL, with 100 000 rows in each table that grows: what is asked for an object, or by a request, has an
 * index that leads to it. Of those who may look at all there is, test_statements tells.
 */

#include "model/statements.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "model/db/db_pg_dialect.h"
#include "tests/lib/expect.h"
#include "tests/lib/pg_server.h"
#include "tests/lib/tempdir.h"

#define ALL NULL

/*
 * Each table but those of which there are some few rows; no constraint and no trigger is asked. And each index but the partial ones, which
 * are of some few rows, gets a name that says so.
 */
#define FILL                                                                                                           \
        "DO $$ DECLARE t record; c record; n int := 100000; BEGIN\n"                                                   \
        "SET LOCAL session_replication_role = replica;\n"                                                              \
        "FOR c IN SELECT conrelid::regclass AS tab, conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid\n" \
        "  WHERE relnamespace = 'imagefs'::regnamespace AND contype = 'c' LOOP\n"                                      \
        "  EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.tab, c.conname); END LOOP;\n"                         \
        "FOR t IN SELECT oid, relname FROM pg_class WHERE relnamespace = 'imagefs'::regnamespace AND relkind = 'r'\n"  \
        "  AND relname NOT IN ('library', 'region', 'store', 'quota_limit', 'writer', 'host', 'place', 'damage', 'follow') LOOP\n" \
        "  EXECUTE (SELECT format('INSERT INTO imagefs.%I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM generate_series(1, %s) AS n', t.relname,\n" \
        "    string_agg(quote_ident(attname), ', '), string_agg(CASE WHEN attname = 'status' THEN '''available'''\n"   \
        "    WHEN atttypid = 'bigint'::regtype THEN 'n' WHEN atttypid = 'bytea'::regtype THEN 'decode(md5(n::text), ''hex'')'\n" \
        "    WHEN atttypid = 'text'::regtype THEN 'md5(n::text)' ELSE 'NULL' END, ', '), n)\n"                          \
        "    FROM pg_attribute WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '');\n"   \
        "END LOOP;\n"                                                                                                  \
        "FOR t IN SELECT indexrelid::regclass AS name, relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid\n" \
        "  WHERE relnamespace = 'imagefs'::regnamespace AND indpred IS NULL LOOP\n"                                   \
        "  EXECUTE format('ALTER INDEX %s RENAME TO %I', t.name, 'whole_' || t.relname); END LOOP;\n"                  \
        "END $$;\nANALYZE;\n"

/* As each connection has it (db_pg_conn.c), and plans as they are kept. */
#define SESSION                                                                                                        \
        "SET search_path = imagefs, pg_catalog; SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off;" \
        " SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan;\n"

/* As in test_statements, by the names of tables. */
static const struct {
        const char *stem, *scans;
} may_scan[] = {
        { ALL, "library" }, { ALL, "region" }, { ALL, "store" }, { ALL, "quota_limit" }, { ALL, "place" }, { ALL, "follow" },
        { ALL, "damage" },
        { "check_rules", ALL }, { "usage_rows", ALL }, { "history", ALL },
        { "fetch_row", "fetch" }, { "download", "download" },
        { "task_view", "task" }, { "dismiss", ALL },
        { "scrub_row", "blob" }, /* in search of a twin of what is damaged */
};

static bool scan_is_allowed(const char *stem, const char *table)
{
        const size_t n = strcspn(table, " \"\n");

        for (size_t i = 0; i < sizeof(may_scan) / sizeof(may_scan[0]); i++) {
                if (may_scan[i].stem && strcmp(may_scan[i].stem, stem) != 0)
                        continue;
                if (!may_scan[i].scans || (strlen(may_scan[i].scans) == n && strncmp(may_scan[i].scans, table, n) == 0))
                        return true;
        }
        return false;
}

static unsigned parameters(const char *sql)
{
        unsigned most = 0, n;

        for (const char *at = strchr(sql, '$'); at; at = strchr(at + 1, '$'))
                if (sscanf(at, "$%u", &n) == 1 && n > most)
                        most = n;
        return most;
}

#define STATEMENTS_NAMED(stem) { #stem, &stem##_statements },
#define STATEMENTS_POINTER(stem) &stem##_statements,

static const struct {
        const char *stem;
        const struct db_statements *statements;
} named[] = { STATEMENT_TABLES(STATEMENTS_NAMED) };

static void write_explain(FILE *f, const char *stem, size_t j, const char *sql)
{
        CLEANUP_FREE char *text = NULL;
        unsigned n;

        assert_ok(db_pg_statement(sql, &text));
        n = parameters(text);
        (void)fprintf(f, "\\echo '= %s %zu'\nPREPARE s AS %s;\nEXPLAIN (COSTS off) EXECUTE s", stem, j, text);
        for (unsigned i = 0; i < n; i++)
                (void)fprintf(f, "%sNULL%s", i == 0 ? "(" : ", ", i + 1 == n ? ")" : "");
        (void)fprintf(f, ";\nDEALLOCATE s;\n");
}

/* The table of which a line of a plan tells, where all of it is gone through unless an "Index Cond" follows; else NULL. */
static const char *table_in(const char *line)
{
        const char *table = strstr(line, "Seq Scan on "), *index = strstr(line, " using ");

        if (index && strstr(line, "Index ") && !strncmp(index + strlen(" using "), "whole_", strlen("whole_")))
                table = strstr(index, " on ");
        if (!table)
                return NULL;
        table = strstr(table, " on ") + strlen(" on ");
        return table + (*table == '"');
}

/* Gives how many there are. */
static unsigned read_plans(FILE *f)
{
        char line[8192], stem[64] = "", at[96] = "", walk[sizeof(line)] = "";
        unsigned scans = 0;

        while (fgets(line, sizeof(line), f)) {
                const bool next = line[0] == '=' || strstr(line, "->");
                const char *table = table_in(line);

                if (strstr(line, "ERROR"))
                        fail_msg("%s: %s", at, line);
                if (strstr(line, "Index Cond"))
                        walk[0] = '\0';
                if (next && walk[0] && !scan_is_allowed(stem, table_in(walk))) {
                        print_error("%s: %s", at, walk);
                        scans++;
                }
                if (next)
                        walk[0] = '\0';
                if (sscanf(line, "= %63s", stem) == 1)
                        (void)snprintf(at, sizeof(at), "%.*s", (int)strcspn(line, "\n"), line);
                else if (table)
                        (void)snprintf(walk, sizeof(walk), "%s", line);
        }
        return scans;
}

static void test_an_index_leads_to_what_is_asked_for(void **state)
{
        static const struct db_statements *const tables[] = { STATEMENT_TABLES(STATEMENTS_POINTER) NULL };
        struct db_opts opts = { .tables = tables, .make = true };
        char dir[TEMPDIR_MAX], url[TEMPDIR_MAX + 64], path[TEMPDIR_MAX + 16], command[TEMPDIR_MAX * 3 + 128];
        struct pg_server server;
        struct db *db;
        FILE *f;

        (void)state;
        if (!pg_server_make(&server))
                skip();
        tempdir_make(dir);
        pg_server_url(&server, "postgres", url, sizeof(url));
        opts.url = url;
        assert_ok(db_open(-1, &opts, &db));
        db_close(db);
        (void)snprintf(path, sizeof(path), "%s/explain", dir);
        f = fopen(path, "we");
        assert_non_null(f);
        (void)fputs(FILL SESSION, f);
        for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
                for (size_t j = 0; j < named[i].statements->count; j++)
                        if (named[i].statements->sql[j])
                                write_explain(f, named[i].stem, j, named[i].statements->sql[j]);
        assert_int_equal(fclose(f), 0);
        (void)snprintf(command, sizeof(command), "psql -AtqX '%s' -f %s 2>&1", url, path);
        f = popen(command, "re");
        assert_non_null(f);
        assert_int_equal(read_plans(f), 0);
        assert_int_equal(pclose(f), 0);
        tempdir_remove(dir);
        pg_server_remove(&server);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_index_leads_to_what_is_asked_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
