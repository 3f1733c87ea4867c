/* SPDX-License-Identifier: MIT */

/*
 * A commit whose answer did not come may have happened. So each leaves its number in a row that this process alone
 * writes, and a new connection looks which is there. (The server's own number of the transaction does not tell: what
 * was not in its log when it crashed is given to another one, which pg_xact_status() then tells of.) A commit is never
 * done again blindly. Where the server does not come back soon enough it is -EIO, and nobody knows.
 *
 * Another host may have taken over meanwhile (db_pg_host.c). It has removed that row then, and a commit that does not find it is
 * refused by the server: of one number there is no part for none.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "model/db/db_pg_priv.h"

/* Where there is no such row that is an error, and with it the transaction is none. Other hosts, if there are any, are told. */
#define PREPARE_COMMIT                                                                                                 \
        "PREPARE number (bigint) AS WITH mine AS (UPDATE writer SET last = $1 WHERE name = '%1$s' RETURNING 1) "         \
        "SELECT 1 / count(*), (SELECT count(pg_notify('" PG_NEWS "', '%1$s')) FROM host WHERE writer <> '%1$s') FROM mine"
#define COMMIT "EXECUTE number (%llu); COMMIT"
/* It waits for what is left of the earlier connection, and for a standby as every commit does. */
#define LAST_COMMIT "UPDATE writer SET last = last WHERE name = '%s' RETURNING last"

/* So many deadlines the server has to come back, and say how a transaction ended. */
#define RESOLVE_DEADLINES 2
#define AGAIN_MS 100

static int64_t now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with it */
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Was commit NUMBER done, whose connection was lost? */
static int resolve(struct pg_connection *c, uint64_t number)
{
        const int64_t due = now_ms() + (int64_t)c->db->deadline_ms * RESOLVE_DEADLINES;
        char sql[sizeof(LAST_COMMIT) + sizeof(c->db->name)], last[24];

        (void)snprintf(sql, sizeof(sql), LAST_COMMIT, c->db->name);
        do {
                if (pg_connect(c, true) == 0 && pg_exec(c, sql, last, sizeof(last)) == 0)
                        return strtoull(last, NULL, 10) == number ? 0 : -EIO;
                (void)poll(NULL, 0, AGAIN_MS); /* the server is asked whether it is back: nobody tells */
        } while (now_ms() < due && !pg_host_is_lost(c->db));
        return -EIO;
}

static int prepare_commit(struct pg_connection *c)
{
        char sql[sizeof(PREPARE_COMMIT) + 3 * sizeof(c->db->name)];
        int r;

        if (c->commit_prepared)
                return 0;
        (void)snprintf(sql, sizeof(sql), PREPARE_COMMIT, c->db->name);
        r = pg_exec(c, sql, NULL, 0);
        c->commit_prepared = r == 0;
        return r;
}

int pg_commit(struct pg_connection *c)
{
        const uint64_t number = ++c->db->commits;
        char sql[sizeof(COMMIT) + 24];
        int r;

        r = prepare_commit(c);
        if (r < 0)
                return r;
        (void)snprintf(sql, sizeof(sql), COMMIT, (unsigned long long)number);
        r = pg_exec(c, sql, NULL, 0);
        if (r < 0 && c->conn)
                return r == -EINVAL ? -EIO : r;
        return r < 0 ? resolve(c, number) : 0;
}
