/* SPDX-License-Identifier: MIT */

/* The columns of a row, whichever engine it is of. */

#include <stdio.h>
#include <string.h>

#include "model/db/db_engine.h"

bool db_row_is_null(const struct db_row *row, int col)
{
        return row->access->is_null(row, col);
}

int64_t db_row_int(const struct db_row *row, int col)
{
        return row->access->integer(row, col);
}

const char *db_row_str(const struct db_row *row, int col)
{
        return row->access->str(row, col);
}

void db_row_text(const struct db_row *row, int col, char *buf, size_t size)
{
        (void)snprintf(buf, size, "%s", db_row_str(row, col));
}

void db_row_blob(const struct db_row *row, int col, void *buf, size_t n)
{
        size_t there;
        const void *bytes = row->access->bytes(row, col, &there);

        if (bytes && there == n)
                memcpy(buf, bytes, n);
        else
                memset(buf, 0, n);
}
