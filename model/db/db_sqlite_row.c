/* SPDX-License-Identifier: MIT */

/* Rows of sqlite's, and going through them. */

#include "model/db/db_sqlite_priv.h"

struct sqlite_row {
        struct db_row row;
        sqlite3_stmt *stmt;
};

static sqlite3_stmt *stmt_of(const struct db_row *row)
{
        return ((const struct sqlite_row *)row)->stmt;
}

static bool is_null(const struct db_row *row, int col)
{
        return sqlite3_column_type(stmt_of(row), col) == SQLITE_NULL;
}

static int64_t integer(const struct db_row *row, int col)
{
        return sqlite3_column_int64(stmt_of(row), col);
}

static const char *str(const struct db_row *row, int col)
{
        const unsigned char *text = sqlite3_column_text(stmt_of(row), col);

        return text ? (const char *)text : "";
}

static const void *bytes_of(const struct db_row *row, int col, size_t *ret_n)
{
        const void *bytes = sqlite3_column_blob(stmt_of(row), col);

        *ret_n = (size_t)sqlite3_column_bytes(stmt_of(row), col);
        return bytes;
}

static const struct db_row_access row_access = { .is_null = is_null, .integer = integer, .str = str, .bytes = bytes_of };

int db_walk(sqlite3_stmt *stmt, db_row_fn *fn, void *ctx)
{
        const struct sqlite_row row = { .row.access = &row_access, .stmt = stmt };

        for (;;) {
                int code = sqlite3_step(stmt);
                int r;

                if (code == SQLITE_DONE)
                        return 0;
                if (code != SQLITE_ROW)
                        return db_errno(sqlite3_db_handle(stmt));
                r = fn(ctx, &row.row);
                if (r != 0)
                        return r;
        }
}
