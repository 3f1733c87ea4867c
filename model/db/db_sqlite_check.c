/* SPDX-License-Identifier: MIT */

/* What sqlite finds wrong with the file, and rows that refer to what is gone. */

#include <stdio.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "model/db/db_sqlite_priv.h"

struct findings {
        void (*fn)(void *ctx, const char *text);
        void *ctx;
        int count;
};

static int integrity_row(void *ctx, const struct db_row *row)
{
        struct findings *f = ctx;
        const char *text = db_row_str(row, 0);

        if (strcmp(text, "ok") == 0)
                return 0;
        f->count++;
        f->fn(f->ctx, text);
        return 0;
}

static int foreign_key_row(void *ctx, const struct db_row *row)
{
        struct findings *f = ctx;
        char text[256];

        (void)snprintf(text, sizeof(text), "table %s, row %lld: what it refers to in %s is gone", db_row_str(row, 0),
                       (long long)db_row_int(row, 1), db_row_str(row, 2));
        f->count++;
        f->fn(f->ctx, text);
        return 0;
}

static int check_with(sqlite3 *conn, const char *pragma, db_row_fn *fn, struct findings *f)
{
        sqlite3_stmt *stmt;
        int r;

        r = db_prepare(conn, pragma, &stmt);
        if (r < 0)
                return r;
        r = db_walk(stmt, fn, f);
        (void)sqlite3_finalize(stmt); /* repeats the error of the last step */
        return r;
}

int db_sqlite_check(struct db *db, void (*fn)(void *ctx, const char *text), void *ctx)
{
        struct findings f = { .fn = fn, .ctx = ctx };
        const struct connection *c;
        struct db_txn t = { 0 };
        int r;

        r = db->engine->begin(db, DB_READ, false, false, &t);
        if (r < 0)
                return r;
        c = t.c;
        r = check_with(c->conn, "PRAGMA integrity_check", integrity_row, &f);
        if (r == 0)
                r = check_with(c->conn, "PRAGMA foreign_key_check", foreign_key_row, &f);
        db->engine->end(&t);
        return r < 0 ? r : f.count;
}
