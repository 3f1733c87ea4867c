/* SPDX-License-Identifier: MIT */

/*
 * A database file tells whose it is by its application id, and its schema by its user version, both in the
 * header of the file, so that they are known before any table is read. Each step runs in a transaction that also
 * sets the version it arrives at: after a crash the database is at one version or the other.
 */

#include "model/db/migrate.h"

#include <errno.h>
#include <sqlite3.h>
#include <stddef.h>

#include "model/db/db_sqlite_errno.h"

extern const char embed_schema_sql[], embed_3_sql[], embed_4_sql[], embed_5_sql[], embed_6_sql[],
                  embed_7_sql[], embed_8_sql[], embed_9_sql[];

/*
 * The schema makes a new database at the newest version; every other row brings one version to the next. There is none
 * for version 1, of before the first release: it had several schemas under one number, and maps of another layout.
 */
static const struct step {
        int from, to;
        const char *sql;
} steps[] = {
        { 0, MIGRATE_VERSION, embed_schema_sql },
        { 2, 3, embed_3_sql },
        { 3, 4, embed_4_sql },
        { 4, 5, embed_5_sql },
        { 5, 6, embed_6_sql },
        { 6, 7, embed_7_sql },
        { 7, 8, embed_8_sql },
        { 8, 9, embed_9_sql },
};

static int exec(sqlite3 *conn, const char *sql)
{
        return sqlite3_exec(conn, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_errno(conn);
}

static int query_int(sqlite3 *conn, const char *sql, int *ret)
{
        sqlite3_stmt *stmt = NULL;
        int r = 0;

        if (sqlite3_prepare_v2(conn, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
                *ret = sqlite3_column_int(stmt, 0);
        else
                r = db_errno(conn);
        (void)sqlite3_finalize(stmt); /* repeats the error of the step */
        return r;
}

static int run_step(sqlite3 *conn, const struct step *step)
{
        char *stamp;
        int r;

        stamp = sqlite3_mprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", MIGRATE_APPLICATION_ID,
                                step->to);
        if (!stamp)
                return -ENOMEM;
        r = exec(conn, "BEGIN IMMEDIATE");
        if (r == 0)
                r = exec(conn, step->sql);
        if (r == 0)
                r = exec(conn, stamp);
        if (r < 0 && !sqlite3_get_autocommit(conn))
                (void)exec(conn, "ROLLBACK"); /* R says what went wrong first */
        sqlite3_free(stamp);
        return r;
}

static const struct step *find_step(int from)
{
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                if (steps[i].from == from)
                        return &steps[i];
        }
        return NULL;
}

int migrate(sqlite3 *conn, bool read_only, migrate_keep_fn *keep, void *ctx)
{
        int application, version, tables;
        bool made, kept;
        int r;

        r = query_int(conn, "PRAGMA application_id", &application);
        if (r == 0)
                r = query_int(conn, "PRAGMA user_version", &version);
        if (r == 0)
                r = query_int(conn, "SELECT count(*) FROM sqlite_schema", &tables);
        if (r < 0)
                return r;

        made = application == 0 && version == 0 && tables == 0;
        if (!made && application != MIGRATE_APPLICATION_ID)
                return -EUCLEAN;
        if (made && read_only)
                return -EUCLEAN;

        for (kept = made; version != MIGRATE_VERSION; kept = true) {
                const struct step *step = find_step(version);

                if (!step)
                        return -EPROTONOSUPPORT;
                if (read_only)
                        return -ESTALE;
                r = kept ? 0 : keep(ctx, conn, version);
                if (r == 0)
                        r = run_step(conn, step);
                if (r < 0)
                        return r;
                version = step->to;
        }
        return made;
}
