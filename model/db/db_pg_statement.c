/* SPDX-License-Identifier: MIT */

/* Our statements as PostgreSQL takes them, by the address of their text. */

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "model/db/db_pg_dialect.h"
#include "model/db/db_pg_priv.h"

static int compare_statements(const void *a, const void *b)
{
        const uintptr_t x = (uintptr_t)((const struct pg_statement *)a)->sql;
        const uintptr_t y = (uintptr_t)((const struct pg_statement *)b)->sql;

        return (x > y) - (x < y);
}

struct pg_statement *pg_statement_find(struct db_pg *db, const char *sql)
{
        struct pg_statement key = { .sql = sql };
        struct pg_statement *s = bsearch(&key, db->statements, db->n_statements, sizeof(key), compare_statements);

        assert(s); /* of a table that db_open() was given */
        return s;
}

/* "table column, …": of each whose ids the server gives. */
#define ASK_IDS                                                                                                        \
        "SELECT ' ' || string_agg(relname || ' RETURNING ' || attname, ', ' ORDER BY relname) || ','"                  \
        " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"                                                  \
        " WHERE relnamespace = 'imagefs'::regnamespace AND attidentity <> ''"
#define IDS_MAX 2048

/* An id that the server gives is asked for with the row: what triggers make of it has ids, too. */
static int translate(struct pg_statement *s, const char *ids)
{
        CLEANUP_FREE char *text = NULL;
        char table[64];
        int r;

        r = db_pg_statement(s->sql, &text);
        if (r < 0)
                return r;
        if (sscanf(text, "INSERT INTO %48s", table + 1) == 1) {
                const char *at;

                table[0] = ' ';
                (void)strcat(table, " ");
                at = strstr(ids, table);
                if (at) {
                        const char *returning = at + strlen(table);
                        char *more;

                        if (asprintf(&more, "%s %.*s", text, (int)strcspn(returning, ","), returning) < 0)
                                return -ENOMEM;
                        free(text);
                        text = more;
                }
        }
        s->text = TAKE_PTR(text);
        return 0;
}

int pg_statements_take(struct db_pg *db, const struct db_statements *const *tables)
{
        char ids[IDS_MAX];
        size_t n = 0;
        int r;

        r = pg_exec(&db->writer, ASK_IDS, ids, sizeof(ids));
        if (r < 0)
                return r;
        for (size_t i = 0; tables[i]; i++)
                n += tables[i]->count;
        db->statements = calloc(n + 1, sizeof(*db->statements));
        if (!db->statements)
                return -ENOMEM;
        for (size_t i = 0; tables[i]; i++) {
                for (size_t k = 0; k < tables[i]->count; k++) {
                        if (!tables[i]->sql[k]) /* a gap in the enumeration */
                                continue;
                        db->statements[db->n_statements].sql = tables[i]->sql[k];
                        r = translate(&db->statements[db->n_statements], ids);
                        if (r < 0)
                                return r;
                        db->n_statements++;
                }
        }
        qsort(db->statements, db->n_statements, sizeof(*db->statements), compare_statements);
        return 0;
}

void pg_statements_free(struct db_pg *db)
{
        for (size_t i = 0; i < db->n_statements; i++) {
                free(db->statements[i].text);
                free(db->statements[i].types);
        }
        free(db->statements);
}
