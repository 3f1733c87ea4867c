/* SPDX-License-Identifier: MIT */

/* Leases are the catalogue's to keep: see db_pg_host.c. */

#include "model/core/hosts.h"

#include <limits.h>
#include <unistd.h>

#include "model/core/state.h"

struct walk {
        host_fn *fn;
        void *ctx;
};

/* A db_row_fn. */
static int tell(void *ctx, const struct db_row *row)
{
        const struct walk *w = ctx;
        char name[HOST_NAME_MAX + 1], version[32];

        db_row_text(row, 0, name, sizeof(name)); /* each borrows the row for itself alone */
        db_row_text(row, 2, version, sizeof(version));
        return w->fn(w->ctx, &(struct host){ .name = name, .lease_us = db_row_int(row, 1), .version = version,
                                             .directory = db_row_str(row, 3) });
}

int host_each(struct model *m, host_fn *fn, void *ctx)
{
        struct walk w = { fn, ctx };
        char name[HOST_NAME_MAX + 1] = "";
        DB_TXN(t);
        int r;

        if (!db_is_far(m->db)) {
                (void)gethostname(name, sizeof(name) - 1); /* cannot fail with that size */
                return fn(ctx, &(struct host){ .name = name, .version = IMAGEFS_VERSION, .directory = m->dir });
        }
        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each_host(&t, tell, &w);
}
