/* SPDX-License-Identifier: MIT */

/* Without libpq: all else in db_pg*.c but the dialect is not built. */

#include <errno.h>

#include "model/db/db_engine.h"

int db_pg_open(const struct db_opts *opts, struct db **ret)
{
        (void)opts;
        (void)ret;
        return -EOPNOTSUPP;
}
