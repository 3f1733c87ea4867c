/* SPDX-License-Identifier: MIT */

/* Rows of PostgreSQL's, which come as texts: truths as t and f, bytes in hex. Each result has one. */

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "model/db/db_pg_priv.h"

#define TYPE_BOOL 16 /* pg_type.dat */

static const struct pg_row *pg(const struct db_row *row)
{
        return (const struct pg_row *)row;
}

static bool is_null(const struct db_row *row, int col)
{
        return PQgetisnull(pg(row)->result, 0, col);
}

static const char *str(const struct db_row *row, int col)
{
        const char *text = PQgetvalue(pg(row)->result, 0, col) ?: ""; /* NULL: there is no such column */

        if (PQftype(pg(row)->result, col) == TYPE_BOOL && *text)
                return *text == 't' ? "1" : "0";
        return text;
}

static int64_t integer(const struct db_row *row, int col)
{
        return strtoll(str(row, col), NULL, 10); /* which the server wrote, or a text: as far as it is a number */
}

static const void *bytes_of(const struct db_row *row, int col, size_t *ret_n)
{
        struct pg_row *r = (struct pg_row *)row; /* it only looks constant: who goes through the rows made it */

        *ret_n = 0;
        if (is_null(row, col))
                return NULL;
        PQfreemem(r->bytes);
        r->bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(r->result, 0, col), ret_n);
        return r->bytes;
}

static const struct db_row_access row_access = {
        .is_null = is_null, .integer = integer, .str = str, .bytes = bytes_of
};

void pg_row_set(struct pg_row *row, const PGresult *result)
{
        row->row.access = &row_access;
        row->result = result;
}

void pg_row_done(struct pg_row *row)
{
        PQfreemem(row->bytes);
        row->bytes = NULL;
}
