/* SPDX-License-Identifier: MIT */

/*
 * The library's tables in PostgreSQL: all in a schema of their own, "imagefs", whose comment says which version they
 * are of, so that it is known before any table is read. They are made in one transaction, and brought from one version to the next in
 * one for each, by the host that serves the library: earlier programs are refused from then on, also one that had waited for that.
 *
 * Was it made, if the answer to its commit did not come? A row with the name of this process says so, which a new connection
 * finds, or not: it asks behind the lock that the one before had until its end.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/strbuf.h"
#include "model/db/db_pg_dialect.h"
#include "model/db/db_pg_priv.h"
#include "model/db/migrate.h"

extern const char embed_schema_sql[], embed_postgresql_sql[], embed_9_postgresql_sql[];

/* There are none from before FIRST_VERSION. */
#define FIRST_VERSION 8

static const struct {
        int from;
        const char *sql;
} steps[] = {
        { 8, embed_9_postgresql_sql },
};

#define VERSION_IS                                                                                                     \
        "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = 'imagefs'"

/* From its first statement on it has the lock of all that write: who comes after that has waited for its end. */
#define BEGIN "BEGIN; SELECT pg_advisory_xact_lock(1768777331, 2)"

/* Of a new catalogue, and as long as nobody but this process has served it (db_pg_host.c). */
#define MARK    "INSERT INTO writer VALUES ('%s', 0)"
#define IS_MADE "SELECT to_regclass('imagefs.writer') IS NOT NULL"
#define IS_OURS "SELECT count(*) = 1 FROM writer WHERE name = '%s'"

/* So many deadlines the server has to come back. */
#define LEARN_DEADLINES 2
#define AGAIN_MS 100

static int64_t now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with it */
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 1: what this process made is there, and nobody else's yet; 0: it is not. In a transaction, which goes on. */
static int find_ours(struct pg_connection *c)
{
        char sql[sizeof(IS_OURS) + sizeof(c->db->name)], answer[8];
        int r;

        r = pg_exec(c, BEGIN "; " IS_MADE, answer, sizeof(answer));
        if (r < 0 || *answer != 't')
                return r;
        (void)snprintf(sql, sizeof(sql), IS_OURS, c->db->name);
        r = pg_exec(c, sql, answer, sizeof(answer));
        return r < 0 ? r : *answer == 't';
}

static int is_there(struct pg_connection *c)
{
        const int found = find_ours(c);
        const int r = found < 0 ? found : pg_exec(c, "ROLLBACK", NULL, 0);

        return r < 0 ? r : found;
}

static int remove_ours(struct pg_connection *c)
{
        const int found = find_ours(c);

        return found < 0 ? found : pg_exec(c, found ? "DROP SCHEMA imagefs CASCADE; COMMIT" : "ROLLBACK", NULL, 0);
}

/* Asks on a new connection, again and again. -EINPROGRESS: the server did not come back. */
static int learn(struct pg_connection *c, int (*ask)(struct pg_connection *c))
{
        const int64_t due = now_ms() + (int64_t)PG_DEADLINE_MS * LEARN_DEADLINES;
        const unsigned deadline_ms = c->deadline_ms;
        int r;

        if (c->deadline_ms > PG_DEADLINE_MS)
                c->deadline_ms = PG_DEADLINE_MS;
        do {
                pg_disconnect(c); /* whatever it is in */
                r = pg_connect(c, false);
                if (r == 0)
                        r = ask(c);
                if (r >= 0)
                        break;
                (void)poll(NULL, 0, AGAIN_MS); /* the server is asked whether it is back: nobody tells */
        } while (now_ms() < due);
        c->deadline_ms = deadline_ms;
        return r < 0 ? -EINPROGRESS : r;
}

static int make(struct pg_connection *c, pg_rows_fn *rows, void *ctx)
{
        CLEANUP_STRBUF struct strbuf first = { 0 }, last = { 0 };
        CLEANUP_FREE char *tables = NULL, *watch = NULL;
        int r;

        r = db_pg_schema(embed_schema_sql, &tables, &watch);
        if (r < 0)
                return r;
        strbuf_addf(&first, BEGIN "; CREATE SCHEMA imagefs;\n%s%s", embed_postgresql_sql, tables);
        strbuf_addf(&last, "%s" MARK "; COMMENT ON SCHEMA imagefs IS 'imagefs %d'; COMMIT", watch, c->db->name, MIGRATE_VERSION);
        if (strbuf_error(&first) < 0 || strbuf_error(&last) < 0)
                return -ENOMEM;
        r = pg_exec(c, strbuf_text(&first), NULL, 0);
        if (r == 0 && rows)
                r = rows(c, ctx);
        if (r >= 0 && !c->conn)
                r = -EIO;
        if (r < 0) {
                if (c->conn)
                        (void)pg_exec(c, "ROLLBACK", NULL, 0); /* R says what went wrong */
                return r;
        }
        r = pg_exec(c, strbuf_text(&last), NULL, 0);
        if (r == 0)
                return 1;
        if (c->conn)
                (void)pg_exec(c, "ROLLBACK", NULL, 0);
        else
                r = learn(c, is_there);
        return r == 0 ? -EIO : r;
}

int pg_unmake(struct pg_connection *c)
{
        return learn(c, remove_ours);
}

/* 0: there is none. */
static int find_version(struct pg_connection *c, int *ret)
{
        char is[64];
        int r;

        *ret = 0;
        r = pg_exec(c, VERSION_IS, is, sizeof(is));
        if (r == 0 && is[0] && sscanf(is, "imagefs %d", ret) != 1)
                return -EUCLEAN;
        return r;
}

int pg_check_schema(struct pg_connection *c, bool may_make, pg_rows_fn *rows, void *ctx)
{
        int version, r;

        r = find_version(c, &version);
        if (may_make && (r == -EUCLEAN || version))
                return -EEXIST;
        if (r < 0)
                return r;
        if (may_make)
                return make(c, rows, ctx);
        if (version == 0)
                return -ENOENT;
        if (version < FIRST_VERSION || version > MIGRATE_VERSION)
                return -EPROTONOSUPPORT;
        return version < MIGRATE_VERSION && c->db->read_only ? -ESTALE : 0;
}

static int run_step(struct pg_connection *c, const char *sql, int to)
{
        CLEANUP_FREE char *text = NULL;
        int r;

        if (asprintf(&text, "BEGIN;\n%sCOMMENT ON SCHEMA imagefs IS 'imagefs %d'; COMMIT", sql, to) < 0)
                return -ENOMEM;
        r = pg_exec(c, text, NULL, 0);
        if (r < 0 && c->conn)
                (void)pg_exec(c, "ROLLBACK", NULL, 0); /* R says what went wrong */
        return r;
}

int pg_update_schema(struct pg_connection *c)
{
        int version, r;

        r = find_version(c, &version);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && r == 0; i++) {
                if (steps[i].from == version)
                        r = run_step(c, steps[i].sql, ++version);
        }
        return r < 0 || version == MIGRATE_VERSION ? r : -EPROTONOSUPPORT;
}
