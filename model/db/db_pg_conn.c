/* SPDX-License-Identifier: MIT */

/*
 * One connection to PostgreSQL. Nothing here waits longer than its deadline for an answer: libpq's own functions that
 * wait do so for ever, so it is only told to send and to take what has come, and poll(2) waits in between. Who does not
 * answer is disconnected, and not asked again for a moment, so that each request of a mount is not held up by it.
 *
 * A server whose client is gone without a word (a host that lost its power) notices by client_connection_check_interval
 * and by keepalives, and what is left of a transaction goes.
 */

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/parse.h"
#include "model/db/db_pg_priv.h"

#define PAUSE_MS 500          /* after a failure, in which all are refused at once */
#define SERVER_VERSION 130000 /* pg_xact_status() by a number of 64 bits, and anycompatible */

/*
 * Ours before the server's: of one name there are max() and sum(). The statements were written for an engine that goes
 * from row to row by an index, and so does this one: what it chose by its statistics was slow while it had none, and a
 * plan made for an empty table stays with its connection.
 */
#define SESSION                                                                                                        \
        "SET search_path = imagefs, pg_catalog; SET lock_timeout = 10000; SET jit = off;"                              \
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;"                            \
        "SET enable_mergejoin = off;"                                                                                  \
        "SET idle_in_transaction_session_timeout = 60000; SET client_min_messages = warning"
/* Where the server's system cannot tell, that is refused, and all else as it was. */
#define NOTICE_US_GONE "SET client_connection_check_interval = 5000"

/* Whoever has it is who has the library open. */
#define TRY_TO_OWN "SELECT pg_try_advisory_lock(1768777331, 1)"
#define OWN        "SET lock_timeout = 3000; SELECT pg_advisory_lock(1768777331, 1); SET lock_timeout = 10000"
/*
 * What is left of an earlier connection of this process: the server does not know yet that it is gone. Those that read have no
 * such lock, and go on.
 */
#define END_OURS                                                                                                       \
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND pid IN "      \
        "(SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1768777331) AND application_name = "

static int64_t now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with it */
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void pg_trouble(struct db_pg *db, const char *text)
{
        LOCK_SCOPE(&db->troubled);

        atomic_store(&db->in_trouble, *text != '\0');
        (void)snprintf(db->trouble, sizeof(db->trouble), "%.*s", (int)strcspn(text, "\n"), text);
        text_make_clean(db->trouble);
}

void pg_disconnect(struct pg_connection *c)
{
        PQfinish(c->conn);
        c->conn = NULL;
        c->walk = NULL;
        c->ending = false;
        c->pipeline = false;
        c->commit_prepared = false;
        if (c->prepared)
                memset(c->prepared, 0, c->db->n_statements * sizeof(*c->prepared));
}

static void set_pause(struct db_pg *db, int64_t until_ms)
{
        LOCK_SCOPE(&db->troubled);

        db->not_before_ms = until_ms;
}

static int lost(struct pg_connection *c, const char *why)
{
        pg_trouble(c->db, why);
        pg_disconnect(c);
        return -EIO;
}

/* Likewise where another connection would meet the same. */
static int unreachable(struct pg_connection *c, const char *why)
{
        set_pause(c->db, now_ms() + PAUSE_MS);
        return lost(c, why);
}

/* ---- waiting ---- */

/* Gives what can be done, 0 after DUE_MS. */
static int wait_for(PGconn *conn, short events, int64_t due_ms)
{
        struct pollfd p = { .fd = PQsocket(conn), .events = events };

        for (;;) {
                const int64_t left = due_ms - now_ms();
                int n = poll(&p, 1, left > 0 ? (int)left : 0);

                if (n < 0 && errno == EINTR)
                        continue;
                return n <= 0 ? 0 : p.revents;
        }
}

int pg_flush(struct pg_connection *c)
{
        const int64_t due = now_ms() + c->deadline_ms;

        for (;;) {
                const int r = PQflush(c->conn);
                int can;

                if (r == 0)
                        return 0;
                if (r < 0)
                        return lost(c, PQerrorMessage(c->conn));
                can = wait_for(c->conn, POLLIN | POLLOUT, due);
                if (can == 0)
                        return unreachable(c, "the server takes nothing");
                if ((can & POLLIN) && !PQconsumeInput(c->conn))
                        return lost(c, PQerrorMessage(c->conn));
        }
}

int pg_result(struct pg_connection *c, PGresult **ret)
{
        const int64_t due = now_ms() + c->deadline_ms;

        while (PQisBusy(c->conn)) {
                if (wait_for(c->conn, POLLIN, due) == 0)
                        return unreachable(c, "the server does not answer");
                if (!PQconsumeInput(c->conn))
                        return lost(c, PQerrorMessage(c->conn));
        }
        *ret = PQgetResult(c->conn);
        return 0;
}

/* ---- answers ---- */

/* By the beginning of the SQLSTATE; the longest that fits counts. */
static const struct {
        const char *state;
        int error;
} states[] = {
        { "23505", EEXIST },                        /* unique_violation */
        { "23503", EBUSY },                         /* foreign_key_violation */
        { "23", EINVAL },                           /* the other constraints */
        { "22", EINVAL },                           /* data */
        { "25006", EROFS },                         /* a transaction, or a server, that only reads */
        { "28", EACCES },                           /* wrong password, nobody of that name */
        { "3D", ENOENT },                           /* no such database */
        { "42501", EACCES },  { "53100", ENOSPC },  /* its disk is full */
        { "53200", ENOMEM },  { "XX001", EBADMSG }, /* its files are damaged */
        { "XX002", EBADMSG },
};

static int state_errno(const char *state)
{
        size_t longest = 0;
        int error = EIO;

        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
                const size_t n = strlen(states[i].state);

                if (n > longest && strncmp(state, states[i].state, n) == 0) {
                        longest = n;
                        error = states[i].error;
                }
        }
        return -error;
}

int pg_errno(struct pg_connection *c, const PGresult *result)
{
        const char *state;
        int r;

        switch (PQresultStatus(result)) {
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
        case PGRES_SINGLE_TUPLE:
        case PGRES_PIPELINE_SYNC:
                return 0;
        default:
                break;
        }
        state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        if (PQstatus(c->conn) != CONNECTION_OK)
                return lost(c, PQresultErrorMessage(result));
        r = state ? state_errno(state) : -EIO;
        if (r == -EIO)
                pg_trouble(c->db,
                           PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) ?: "it answers what we do not know");
        return r;
}

int pg_exec(struct pg_connection *c, const char *sql, char *ret, size_t size)
{
        int failed = 0;
        int r;

        if (ret)
                *ret = '\0';
        if (!PQsendQuery(c->conn, sql))
                return lost(c, PQerrorMessage(c->conn));
        r = pg_flush(c);
        while (r == 0) {
                PGresult *result;

                r = pg_result(c, &result);
                if (r < 0 || !result)
                        break;
                if (failed == 0)
                        failed = pg_errno(c, result);
                if (failed == 0 && ret && PQntuples(result) > 0)
                        (void)snprintf(ret, size, "%s", PQgetvalue(result, 0, 0));
                PQclear(result);
                if (!c->conn)
                        break;
        }
        return failed < 0 ? failed : r;
}

void pg_is_well(struct db_pg *db)
{
        if (atomic_load(&db->in_trouble))
                pg_trouble(db, "");
}

void pg_send_end(struct pg_connection *c)
{
        c->ending = true;
        if (!PQsendQuery(c->conn, "ROLLBACK") || PQflush(c->conn) < 0)
                pg_disconnect(c); /* which ends it, too */
}

bool pg_is_ending(const struct pg_connection *c)
{
        struct pollfd p = { .fd = c->ending ? PQsocket(c->conn) : -1, .events = POLLIN };

        return c->ending && poll(&p, 1, 0) == 0;
}

void pg_take_end(struct pg_connection *c)
{
        int r;

        if (!c->ending)
                return;
        r = pg_flush(c); /* what the socket did not take at once */
        while (r == 0) {
                PGresult *result;

                r = pg_result(c, &result);
                if (r == 0 && !result)
                        break;
                if (r == 0) {
                        r = pg_errno(c, result);
                        PQclear(result);
                }
        }
        c->ending = false;
        if (r < 0)
                pg_disconnect(c);
}

int pg_each(struct pg_connection *c, const char *sql, db_row_fn *fn, void *ctx)
{
        int failed = 0;
        int r;

        if (!PQsendQuery(c->conn, sql))
                return lost(c, PQerrorMessage(c->conn));
        (void)PQsetSingleRowMode(c->conn); /* cannot fail right after that */
        r = pg_flush(c);
        while (r == 0) {
                PGresult *result;
                struct pg_row row = { 0 };

                r = pg_result(c, &result);
                if (r < 0 || !result)
                        break;
                if (failed == 0)
                        failed = pg_errno(c, result);
                if (failed == 0 && PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
                        pg_row_set(&row, result);
                        failed = fn(ctx, &row.row); /* the rest must be taken all the same */
                        pg_row_done(&row);
                }
                PQclear(result);
                if (!c->conn)
                        break;
        }
        return failed != 0 ? failed : r;
}

/* ---- connecting ---- */

static void ignore_notice(void *ctx, const char *text)
{
        (void)ctx;
        (void)text;
}

static int shake_hands(struct pg_connection *c)
{
        const int64_t due = now_ms() + c->deadline_ms;

        for (;;) {
                const PostgresPollingStatusType is = PQconnectPoll(c->conn);

                if (is == PGRES_POLLING_OK)
                        return 0;
                if (is == PGRES_POLLING_FAILED)
                        return unreachable(c, PQerrorMessage(c->conn));
                if (wait_for(c->conn, is == PGRES_POLLING_READING ? POLLIN : POLLOUT, due) == 0)
                        return unreachable(c, "the server does not answer");
        }
}

/*
 * What is left of an earlier connection of this process is ended. That of a process before this one has ended with it, but the
 * server may need a moment to see that.
 */
int pg_own(struct pg_connection *c)
{
        char answer[8], sql[sizeof(END_OURS) + sizeof(c->db->name) + 2];
        int r;

        r = pg_exec(c, TRY_TO_OWN, answer, sizeof(answer));
        if (r < 0 || *answer == 't')
                return r;
        (void)snprintf(sql, sizeof(sql), END_OURS "'%s'", c->db->name);
        r = pg_exec(c, sql, NULL, 0);
        if (r == 0)
                r = pg_exec(c, OWN, NULL, 0);
        return r < 0 && c->conn ? -EBUSY : r;
}

static bool is_pause(struct db_pg *db)
{
        LOCK_SCOPE(&db->troubled);

        return db->not_before_ms > now_ms();
}

int pg_connect(struct pg_connection *c, bool owns)
{
        const char *const keywords[] = { "dbname", "application_name", "client_encoding", "keepalives_idle", NULL };
        const char *const values[] = { c->db->url, c->db->name, "UTF8", "10", NULL };
        int r;

        if (c->conn)
                return 0;
        if (is_pause(c->db))
                return -EIO;
        c->conn = PQconnectStartParams(keywords, values, 1);
        if (!c->conn)
                return -ENOMEM;
        if (PQstatus(c->conn) == CONNECTION_BAD)
                return unreachable(c, PQerrorMessage(c->conn));
        (void)PQsetNoticeProcessor(c->conn, ignore_notice, NULL);
        r = shake_hands(c);
        if (r < 0)
                return r;
        if (PQserverVersion(c->conn) < SERVER_VERSION) {
                (void)lost(c, "the server is older than PostgreSQL 13");
                return -EPROTONOSUPPORT;
        }
        (void)PQsetnonblocking(c->conn, 1); /* cannot fail with nothing queued */
        r = pg_exec(c, SESSION, NULL, 0);
        if (r == 0)
                (void)pg_exec(c, NOTICE_US_GONE, NULL, 0);
        if (r == 0 && c->conn && owns)
                r = pg_own(c);
        if (r == 0 && !c->conn)
                r = -EIO;
        if (r < 0) {
                pg_disconnect(c);
                return r;
        }
        pg_trouble(c->db, "");
        set_pause(c->db, 0);
        return 0;
}

/* ---- statements ---- */

/* As the server takes it for, but numbers are of 64 bits: it would take "?1 > 0" for one of 32. */
static int describe(struct pg_connection *c, struct pg_statement *s, const char *name, bool *ret_changed)
{
        enum { INT8 = 20, INT2 = 21, INT4 = 23 };
        PGresult *result = NULL;
        Oid *types;
        int n, r;

        if (!PQsendDescribePrepared(c->conn, name))
                return lost(c, PQerrorMessage(c->conn));
        r = pg_flush(c);
        if (r == 0)
                r = pg_result(c, &result);
        if (r == 0)
                r = pg_errno(c, result);
        if (r < 0) {
                PQclear(result);
                return r;
        }
        n = PQnparams(result);
        types = calloc((size_t)n + 1, sizeof(*types));
        for (int i = 0; types && i < n; i++) {
                const Oid is = PQparamtype(result, i);

                types[i] = is == INT2 || is == INT4 ? INT8 : is;
                *ret_changed |= types[i] != is;
        }
        PQclear(result);
        while (r == 0 && (r = pg_result(c, &result)) == 0 && result)
                PQclear(result);
        if (!types)
                return -ENOMEM;
        if (r < 0) {
                free(types);
                return r;
        }
        LOCK_SCOPE(&c->db->describing);
        if (s->types) {
                free(types);
                return 0;
        }
        s->n_types = n;
        s->types = types;
        return 0;
}

static int prepare_as(struct pg_connection *c, const struct pg_statement *s, const char *name, const Oid *types, int n)
{
        int r, failed = 0;

        if (!PQsendPrepare(c->conn, name, s->text, n, types))
                return lost(c, PQerrorMessage(c->conn));
        r = pg_flush(c);
        while (r == 0) {
                PGresult *result;

                r = pg_result(c, &result);
                if (r < 0 || !result)
                        break;
                if (failed == 0)
                        failed = pg_errno(c, result);
                PQclear(result);
                if (!c->conn)
                        break;
        }
        return failed < 0 ? failed : r;
}

int pg_prepare(struct pg_connection *c, struct pg_statement *s)
{
        const size_t i = (size_t)(s - c->db->statements);
        char name[24], forget[48];
        const Oid *types;
        bool changed = false;
        int n, r;

        if (c->prepared[i])
                return 0;
        (void)snprintf(name, sizeof(name), "s%zu", i);
        {
                LOCK_SCOPE(&c->db->describing);
                types = s->types;
                n = s->n_types;
        }
        r = prepare_as(c, s, name, types, types ? n : 0);
        if (r == 0 && !types) {
                r = describe(c, s, name, &changed);
                if (r == 0 && changed) {
                        (void)snprintf(forget, sizeof(forget), "DEALLOCATE %s", name);
                        r = pg_exec(c, forget, NULL, 0);
                        if (r == 0)
                                r = prepare_as(c, s, name, s->types, s->n_types);
                }
        }
        c->prepared[i] = r == 0;
        return r;
}
