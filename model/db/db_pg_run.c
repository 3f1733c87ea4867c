/* SPDX-License-Identifier: MIT */

/*
 * Running a statement in a transaction. One that is refused leaves the transaction as it was: each that writes has a
 * savepoint, sent with it.
 *
 * Rows are taken as they come, so that a long list takes no memory. A statement that is run meanwhile, in the same
 * transaction, first has the rest of them kept: there is one line to the server.
 */

#include <assert.h>
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "blobstore/base/cleanup.h"
#include "model/db/db_pg_priv.h"

/* ---- rows that are still coming ---- */

/* Of each result there is one row. Those that came while another statement was to run are kept. */
struct pg_walk {
        struct pg_walk *outer;
        PGresult **kept;
        size_t n_kept, room, next;
        bool all_here; /* nothing comes any more but what is kept */
        int r;         /* what it ended with */
};

static void walk_done(struct pg_walk *w)
{
        for (size_t i = w->next; i < w->n_kept; i++)
                PQclear(w->kept[i]);
        free(w->kept);
}

/* After what the one statement of a pipeline gave. */
static int leave_pipeline(struct pg_connection *c)
{
        PGresult *result;
        bool ended;
        int r;

        c->pipeline = false;
        r = pg_result(c, &result);
        if (r < 0)
                return r;
        ended = result && PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        PQclear(result);
        if (ended && PQexitPipelineMode(c->conn))
                return 0;
        pg_disconnect(c);
        return -EIO;
}

/* Gives a row, or NULL after the last. */
static int from_server(struct pg_connection *c, PGresult **ret)
{
        PGresult *result;
        int r, failed = 0;

        for (;;) {
                r = pg_result(c, &result);
                if (r < 0)
                        return r;
                if (!result) {
                        *ret = NULL;
                        r = c->pipeline ? leave_pipeline(c) : 0;
                        return failed < 0 ? failed : r;
                }
                if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
                        *ret = result;
                        return 0;
                }
                if (failed == 0)
                        failed = pg_errno(c, result);
                PQclear(result);
                if (!c->conn)
                        return failed;
        }
}

static int keep_rest(struct pg_connection *c, struct pg_walk *w)
{
        while (!w->all_here) {
                PGresult **more, *result;

                w->r = from_server(c, &result);
                w->all_here = w->r < 0 || !result;
                if (w->all_here)
                        break;
                if (w->n_kept == w->room) {
                        more = reallocarray(w->kept, w->room * 2 + 16, sizeof(*w->kept));
                        if (!more) {
                                PQclear(result);
                                return -ENOMEM;
                        }
                        w->kept = more;
                        w->room = w->room * 2 + 16;
                }
                w->kept[w->n_kept++] = result;
        }
        return w->r;
}

static int next_row(struct pg_connection *c, struct pg_walk *w, PGresult **ret)
{
        *ret = NULL;
        if (w->next < w->n_kept) {
                *ret = w->kept[w->next++];
                return 0;
        }
        if (w->all_here)
                return w->r;
        w->r = from_server(c, ret);
        w->all_here = w->r < 0 || !*ret;
        return w->r;
}

/* ---- statements ---- */

#define ARGUMENTS_MAX 64 /* an image has 35 columns */

struct arguments {
        const char *values[ARGUMENTS_MAX];
        int lengths[ARGUMENTS_MAX], formats[ARGUMENTS_MAX];
        char numbers[ARGUMENTS_MAX][24];
};

/* Texts but for bytes, which go as they are. */
static void set_arguments(struct arguments *a, const struct db_value *args, size_t n)
{
        assert(n <= ARGUMENTS_MAX);
        for (size_t i = 0; i < n; i++) {
                a->formats[i] = args[i].type == DB_TYPE_BLOB;
                a->lengths[i] = (int)args[i].n;
                a->values[i] = args[i].bytes;
                if (args[i].type == DB_TYPE_INT) {
                        (void)snprintf(a->numbers[i], sizeof(a->numbers[i]), "%lld", (long long)args[i].integer);
                        a->values[i] = a->numbers[i];
                } else if (args[i].type == DB_TYPE_NULL) {
                        a->values[i] = NULL;
                }
        }
}

/* Prepares it, and has the line to the server free. */
static int begin_statement(struct db_txn *t, struct pg_statement *s)
{
        struct pg_connection *c = t->c;
        int r = 0;

        if (!c->conn)
                return -EIO; /* it was lost meanwhile, and the transaction with it */
        if (c->walk && !c->walk->all_here)
                r = keep_rest(c, c->walk);
        return r < 0 ? r : pg_prepare(c, s);
}

static int send(struct pg_connection *c, const struct pg_statement *s, const struct db_value *args, size_t n)
{
        struct arguments a;
        char name[24];

        assert((size_t)s->n_types == n);
        set_arguments(&a, args, n);
        (void)snprintf(name, sizeof(name), "s%zu", (size_t)(s - c->db->statements));
        if (!PQsendQueryPrepared(c->conn, name, (int)n, a.values, a.lengths, a.formats, 0)) {
                pg_trouble(c->db, PQerrorMessage(c->conn));
                pg_disconnect(c);
                return -EIO;
        }
        return 0;
}

/* Takes what a pipeline gives until its end. ON_RESULT: of the N-th statement. Gives the first error. */
static int take_pipeline(struct pg_connection *c, int *ret_changes)
{
        int failed = 0, at = 0;

        for (;;) {
                PGresult *result;
                int r = pg_result(c, &result);

                if (r < 0)
                        return r;
                if (!result) { /* of one statement all */
                        at++;
                        continue;
                }
                if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
                        PQclear(result);
                        return failed;
                }
                if (failed == 0)
                        failed = pg_errno(c, result);
                if (failed == 0 && at == 1) {
                        *ret_changes = atoi(PQcmdTuples(result)); /* which the server wrote */
                        if (PQntuples(result) > 0 && PQnfields(result) > 0)
                                c->last_id = strtoull(PQgetvalue(result, PQntuples(result) - 1, 0), NULL, 10);
                }
                PQclear(result);
                if (!c->conn)
                        return failed;
        }
}

static int queue(struct pg_connection *c, const char *sql)
{
        return PQsendQueryParams(c->conn, sql, 0, NULL, NULL, NULL, NULL, 0) ? 0 : -EIO;
}

int pg_run(struct db_txn *t, const char *sql, const struct db_value *args, size_t n)
{
        struct pg_connection *c = t->c;
        struct pg_statement *s = pg_statement_find(c->db, sql);
        int changes = 0;
        int r, failed;

        assert(t->mode == DB_WRITE);
        r = begin_statement(t, s);
        if (r < 0)
                return r;
        if (!PQenterPipelineMode(c->conn))
                return -EIO;
        r = queue(c, "SAVEPOINT s");
        if (r == 0)
                r = send(c, s, args, n);
        if (r == 0)
                r = queue(c, "RELEASE s");
        if (r == 0 && !PQpipelineSync(c->conn))
                r = -EIO;
        if (r == 0)
                r = pg_flush(c);
        if (r < 0) {
                pg_disconnect(c); /* what was sent is not known */
                return r;
        }
        failed = take_pipeline(c, &changes);
        if (!c->conn || !PQexitPipelineMode(c->conn)) {
                pg_disconnect(c);
                return failed < 0 ? failed : -EIO;
        }
        if (failed < 0) {
                r = pg_exec(c, "ROLLBACK TO s; RELEASE s", NULL, 0);
                return r < 0 && failed == 0 ? r : failed;
        }
        return changes;
}

/* Takes what the server says of the first statement of a pipeline; the next one's is to come. */
static int take_first(struct pg_connection *c)
{
        int failed = 0;

        for (;;) {
                PGresult *result;
                int r = pg_result(c, &result);

                if (r < 0 || !result)
                        return r < 0 ? r : failed;
                if (failed == 0)
                        failed = pg_errno(c, result);
                PQclear(result);
                if (!c->conn)
                        return failed;
        }
}

/* Sends it behind the beginning of its transaction. */
static int begin_with(struct db_txn *t, struct pg_statement *s, const struct db_value *args, size_t n)
{
        struct pg_connection *c = t->c;
        int r;

        r = begin_statement(t, s);
        if (r < 0)
                return r;
        r = PQenterPipelineMode(c->conn) ? queue(c, PG_BEGIN_READING) : -EIO;
        if (r == 0)
                r = send(c, s, args, n);
        if (r == 0 && !PQpipelineSync(c->conn))
                r = -EIO;
        if (r == 0)
                r = pg_flush(c);
        if (r == 0)
                r = take_first(c);
        if (r < 0) {
                pg_disconnect(c); /* whatever it is in */
                return r;
        }
        c->pipeline = true;
        return 0;
}

/* A connection that has been idle may be gone: the first thing that is said on it is said again on a new one. */
static int send_first(struct db_txn *t, struct pg_statement *s, const struct db_value *args, size_t n)
{
        struct pg_connection *c = t->c;
        int r;

        r = begin_with(t, s, args, n);
        if (r < 0 && c->idle && !c->conn && pg_connect(c, false) == 0)
                r = begin_with(t, s, args, n);
        if (r < 0)
                return r;
        c->beginning = false;
        pg_is_well(c->db);
        return 0;
}

static int send_next(struct db_txn *t, struct pg_statement *s, const struct db_value *args, size_t n)
{
        int r;

        r = begin_statement(t, s);
        return r < 0 ? r : send(t->c, s, args, n);
}

int pg_run_each(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n)
{
        struct pg_connection *c = t->c;
        struct pg_statement *s = pg_statement_find(c->db, sql);
        CLEANUP(walk_done) struct pg_walk walk = { 0 };
        PGresult *result;
        int r;

        r = t->mode == DB_READ && c->beginning ? send_first(t, s, args, n) : send_next(t, s, args, n);
        if (r < 0)
                return r;
        if (!PQsetSingleRowMode(c->conn)) { /* which it cannot before the first of its rows */
                pg_disconnect(c);
                return -EIO;
        }
        r = pg_flush(c);
        if (r < 0)
                return r;
        walk.outer = c->walk;
        c->walk = &walk;
        while (r == 0) {
                struct pg_row row = { 0 };

                r = next_row(c, &walk, &result);
                if (r < 0 || !result)
                        break;
                pg_row_set(&row, result);
                r = fn(ctx, &row.row);
                pg_row_done(&row);
                PQclear(result);
        }
        /* What FN does not want any more must be taken all the same. */
        while (c->conn && !walk.all_here && next_row(c, &walk, &result) == 0)
                PQclear(result);
        c->walk = walk.outer;
        return r;
}
