/* SPDX-License-Identifier: MIT */
/* In place of xlsx.c, for a build without zlib. */

#include <errno.h>

#include "model/image/xlsx.h"

bool xlsx_is_supported(void)
{
        return false;
}

int xlsx_new(const char *sheet, const struct xlsx_column *columns, unsigned n_columns, struct spool *out,
             struct xlsx **ret)
{
        (void)sheet;
        (void)columns;
        (void)n_columns;
        (void)out;
        (void)ret;
        return -EOPNOTSUPP;
}

void xlsx_free(struct xlsx *x)
{
        (void)x;
}

void xlsx_add_text(struct xlsx *x, const char *text)
{
        (void)x;
        (void)text;
}

void xlsx_add_number(struct xlsx *x, int64_t number)
{
        (void)x;
        (void)number;
}

int xlsx_end_row(struct xlsx *x)
{
        (void)x;
        return -EOPNOTSUPP;
}

int xlsx_finish(struct xlsx *x)
{
        (void)x;
        return -EOPNOTSUPP;
}
