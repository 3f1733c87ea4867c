/* SPDX-License-Identifier: MIT */

/*
 * The library's tables in PostgreSQL: all in a schema of their own, "imagefs", whose comment says which version they
 * are of, so that it is known before any table is read. They are made in one transaction; there is no other step yet,
 * since all that there are were made at this version or a later one.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/strbuf.h"
#include "model/db/db_pg_dialect.h"
#include "model/db/db_pg_priv.h"
#include "model/db/migrate.h"

extern const char embed_schema_sql[], embed_postgresql_sql[];

#define VERSION_IS                                                                                                     \
        "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = 'imagefs'"

static int make(struct pg_connection *c, pg_rows_fn *rows, void *ctx)
{
        CLEANUP_STRBUF struct strbuf first = { 0 }, last = { 0 };
        CLEANUP_FREE char *tables = NULL, *watch = NULL;
        int r;

        r = db_pg_schema(embed_schema_sql, &tables, &watch);
        if (r < 0)
                return r;
        strbuf_addf(&first, "BEGIN; CREATE SCHEMA imagefs;\n%s%s", embed_postgresql_sql, tables);
        strbuf_addf(&last, "%sCOMMENT ON SCHEMA imagefs IS 'imagefs %d'; COMMIT", watch, MIGRATE_VERSION);
        if (strbuf_error(&first) < 0 || strbuf_error(&last) < 0)
                return -ENOMEM;
        r = pg_exec(c, strbuf_text(&first), NULL, 0);
        if (r == 0 && rows)
                r = rows(c, ctx);
        if (r >= 0 && !c->conn)
                r = -EIO;
        if (r >= 0)
                r = pg_exec(c, strbuf_text(&last), NULL, 0);
        if (r < 0 && c->conn)
                (void)pg_exec(c, "ROLLBACK", NULL, 0); /* R says what went wrong */
        return r < 0 ? r : 1;
}

int pg_check_schema(struct pg_connection *c, bool may_make, pg_rows_fn *rows, void *ctx)
{
        char is[64];
        int version, r;

        r = pg_exec(c, VERSION_IS, is, sizeof(is));
        if (r < 0)
                return r;
        if (may_make)
                return is[0] == '\0' ? make(c, rows, ctx) : -EEXIST;
        if (is[0] == '\0')
                return -ENOENT;
        if (sscanf(is, "imagefs %d", &version) != 1)
                return -EUCLEAN;
        return version == MIGRATE_VERSION ? 0 : -EPROTONOSUPPORT;
}
