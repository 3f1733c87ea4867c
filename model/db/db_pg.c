/* SPDX-License-Identifier: MIT */

/*
 * The engine that is PostgreSQL: transactions and statements. One connection does all writing, others read, each used
 * by one thread at a time, as with sqlite; and as there, who writes has all others wait: behind a lock in the database,
 * so that it holds for other hosts, too. It is asked for before the first statement, so that what is seen is what the
 * one before left. Who reads sees one state of the library until the end (REPEATABLE READ).
 *
 * A statement that is refused leaves the transaction as it was: each that writes has a savepoint, sent with it.
 *
 * Rows are taken as they come, so that a long list takes no memory. A statement that is run meanwhile, in the same
 * transaction, first has the rest of them kept: there is one line to the server.
 *
 * A commit whose answer did not come may have happened. So each leaves its number in a row that this process alone
 * writes, and a new connection looks which is there. (The server's own number of the transaction does not tell: what
 * was not in its log when it crashed is given to another one, which pg_xact_status() then tells of.) A commit is never
 * done again blindly. Where the server does not come back soon enough it is -EIO, and nobody knows.
 *
 * Another host may have taken over meanwhile (db_pg_host.c). It has removed that row then, and a commit that does not find it is
 * refused by the server: of one number there is no part for none.
 *
 * What is committed is on the server's disk when it says so, as its synchronous_commit has it; a lazy commit is not.
 */

#include <assert.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "model/db/db_pg_dialect.h"
#include "model/db/db_pg_priv.h"

#define BEGIN_READING "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
#define BEGIN_WRITING "BEGIN; SELECT pg_advisory_xact_lock(1768777331, 2)"
#define BEGIN_LAZY BEGIN_WRITING "; SET LOCAL synchronous_commit = off"
/* Where there is no such row that is an error, and with it the transaction is none. */
#define PREPARE_COMMIT                                                                                                 \
        "PREPARE number (bigint) AS WITH mine AS (UPDATE writer SET last = $1 WHERE name = '%s' RETURNING 1) "         \
        "SELECT 1 / count(*) FROM mine"
#define COMMIT "EXECUTE number (%llu); COMMIT"
/* It waits for what is left of the earlier connection, and for a standby as every commit does. */
#define LAST_COMMIT "UPDATE writer SET last = last WHERE name = '%s' RETURNING last"

/* So many deadlines the server has to come back, and say how a transaction ended. */
#define RESOLVE_DEADLINES 2
#define AGAIN_MS 100

static struct db_pg *pg_of(struct db *db)
{
        return (struct db_pg *)db;
}

/* ---- connections ---- */

static _Thread_local const struct db_pg *in_transaction_of[2]; /* by enum db_mode */

static struct pg_connection *take_reader(struct db_pg *db)
{
        LOCK_SCOPE(&db->reading);

        for (;;) {
                /* the first that are free, so that few are connected */
                for (unsigned i = 0; i < PG_READERS_MAX; i++) {
                        if (db->reader[i].busy)
                                continue;
                        db->reader[i].busy = true;
                        return &db->reader[i];
                }
                (void)pthread_cond_wait(&db->reader_free, &db->reading);
        }
}

static struct pg_connection *take(struct db_pg *db, enum db_mode mode)
{
        struct pg_connection *c = &db->writer;

        if (mode == DB_READ) {
                c = take_reader(db);
        } else {
                lock(&db->writing);
                db->nice = thread_hurry();
        }
        in_transaction_of[mode] = db;
        return c;
}

static void give_back(struct db_pg *db, enum db_mode mode, struct pg_connection *c)
{
        in_transaction_of[mode] = NULL;
        if (mode == DB_WRITE) {
                const int nice = db->nice;

                unlock(&db->writing);
                thread_calm(nice);
                return;
        }
        LOCK_SCOPE(&db->reading);
        c->busy = false;
        (void)pthread_cond_signal(&db->reader_free);
}

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
                        return failed;
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

static int compare_statements(const void *a, const void *b)
{
        const uintptr_t x = (uintptr_t)((const struct pg_statement *)a)->sql;
        const uintptr_t y = (uintptr_t)((const struct pg_statement *)b)->sql;

        return (x > y) - (x < y);
}

static struct pg_statement *find_statement(struct db_pg *db, const char *sql)
{
        struct pg_statement key = { .sql = sql };
        struct pg_statement *s = bsearch(&key, db->statements, db->n_statements, sizeof(key), compare_statements);

        assert(s); /* of a table that db_open() was given */
        return s;
}

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

static int run(struct db_txn *t, const char *sql, const struct db_value *args, size_t n)
{
        struct pg_connection *c = t->c;
        struct pg_statement *s = find_statement(c->db, sql);
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

static int each(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n)
{
        struct pg_connection *c = t->c;
        struct pg_statement *s = find_statement(c->db, sql);
        CLEANUP(walk_done) struct pg_walk walk = { 0 };
        PGresult *result;
        int r;

        r = begin_statement(t, s);
        if (r == 0)
                r = send(c, s, args, n);
        if (r < 0)
                return r;
        (void)PQsetSingleRowMode(c->conn); /* cannot fail right after that */
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

static uint64_t last_id(struct db_txn *t)
{
        const struct pg_connection *c = t->c;

        return c->last_id;
}

/* ---- transactions ---- */

/* A connection that has been idle may be gone: the first thing that is said on it is said again on a new one. */
static int begin_on(struct pg_connection *c, const char *sql, bool writes)
{
        const bool was_there = c->conn != NULL;
        int r;

        r = pg_connect(c, writes);
        if (r == 0)
                r = pg_exec(c, sql, NULL, 0);
        if (r < 0 && was_there && !c->conn && pg_connect(c, writes) == 0)
                r = pg_exec(c, sql, NULL, 0);
        if (r == -EBUSY)
                r = -EIO; /* another has it, which is known for sure in a moment */
        if (r < 0)
                pg_disconnect(c); /* whatever it is in */
        else if (atomic_load(&c->db->in_trouble))
                pg_trouble(c->db, "");
        return r;
}

static int begin(struct db *base, enum db_mode mode, bool lazy, bool scan, struct db_txn *ret)
{
        struct db_pg *db = pg_of(base);
        struct pg_connection *c;
        char why[256];
        int r;

        (void)scan; /* nothing waits for one that reads */
        if (mode == DB_WRITE && db->read_only)
                return -EROFS;
        if (mode == DB_WRITE && pg_host_trouble(db, why, sizeof(why)))
                return -EIO;
        if (in_transaction_of[mode] == db)
                abort();
        c = take(db, mode);
        r = begin_on(c, mode == DB_READ ? BEGIN_READING : lazy ? BEGIN_LAZY : BEGIN_WRITING, mode == DB_WRITE);
        if (r < 0) {
                give_back(db, mode, c);
                return r;
        }
        *ret = (struct db_txn){ .db = base, .mode = mode, .lazy = lazy, .c = c };
        return 0;
}

static void end(struct db_txn *t)
{
        struct db_pg *db = pg_of(t->db);
        struct pg_connection *c = t->c;

        if (c->conn && PQtransactionStatus(c->conn) != PQTRANS_IDLE && pg_exec(c, "ROLLBACK", NULL, 0) < 0)
                pg_disconnect(c); /* with it goes what was not committed */
        t->db = NULL;
        give_back(db, t->mode, c);
}

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
        char sql[sizeof(PREPARE_COMMIT) + sizeof(c->db->name)];
        int r;

        if (c->commit_prepared)
                return 0;
        (void)snprintf(sql, sizeof(sql), PREPARE_COMMIT, c->db->name);
        r = pg_exec(c, sql, NULL, 0);
        c->commit_prepared = r == 0;
        return r;
}

static int send_commit(struct pg_connection *c)
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

static int commit(struct db_txn *t)
{
        struct db *db = t->db;
        struct pg_connection *c = t->c;
        const bool lazy = t->lazy;
        int r;

        if (!c->conn || PQtransactionStatus(c->conn) != PQTRANS_INTRANS) {
                end(t); /* it ended by an error that the caller has seen */
                return -EIO;
        }
        if (db->committed)
                db->committed(db->committed_ctx, false, lazy);
        r = send_commit(c);
        if (r == 0 && db->committed)
                db->committed(db->committed_ctx, true, lazy);
        end(t);
        return r;
}

/* What is committed after what can be read is on the disk after it, too. */
static int settle(struct db *base)
{
        struct db_txn t = { 0 };
        int r;

        if (pg_of(base)->read_only)
                return 0;
        r = begin(base, DB_WRITE, false, false, &t);
        if (r < 0)
                return r;
        r = send_commit(t.c);
        end(&t);
        return r;
}

/* ---- the database ---- */

static void fill_reserve(struct db *db)
{
        (void)db; /* its disk is the server's */
}

/* What could not be committed was not, and what comes later is not touched by it. */
static bool is_degraded(struct db *db)
{
        (void)db;
        return false;
}

static bool trouble(struct db *base, char *buf, size_t size)
{
        struct db_pg *db = pg_of(base);

        if (pg_host_trouble(db, buf, size))
                return true;
        LOCK_SCOPE(&db->troubled);
        if (db->trouble[0])
                (void)snprintf(buf, size, "%s", db->trouble);
        return db->trouble[0] != '\0';
}

/* The server looks after its files, and lets no row refer to what is gone. */
static int check(struct db *db, void (*fn)(void *ctx, const char *text), void *ctx)
{
        (void)db;
        (void)fn;
        (void)ctx;
        return 0;
}

static bool is_lost(struct db *base)
{
        return pg_host_is_lost(pg_of(base));
}

static void leave(struct db *base)
{
        pg_of(base)->host.left = true;
}

static void epochs(struct db *base, uint64_t *ret_before, uint64_t *ret)
{
        const struct db_pg *db = pg_of(base);

        *ret_before = db->host.epoch_before;
        *ret = db->host.epoch;
}

static int each_host(struct db_txn *t, db_row_fn *fn, void *ctx)
{
        struct pg_connection *c = t->c;

        return c->conn ? pg_host_each(c, fn, ctx) : -EIO;
}

static void close_db(struct db *base)
{
        struct db_pg *db = pg_of(base);

        pg_host_close(db);
        for (unsigned i = 0; i < PG_READERS_MAX; i++) {
                pg_disconnect(&db->reader[i]);
                free(db->reader[i].prepared);
        }
        pg_disconnect(&db->writer);
        free(db->writer.prepared);
        for (size_t i = 0; i < db->n_statements; i++) {
                free(db->statements[i].text);
                free(db->statements[i].types);
        }
        free(db->statements);
        (void)pthread_cond_destroy(&db->reader_free);
        (void)pthread_mutex_destroy(&db->troubled);
        (void)pthread_mutex_destroy(&db->describing);
        (void)pthread_mutex_destroy(&db->reading);
        (void)pthread_mutex_destroy(&db->writing);
        free(db->url);
        free(db);
}

/* Whoever writes is waited for; what gives up its lease then finds no table, and nobody is there who could want it. */
static int retire(struct db *base, const char *name)
{
        char sql[128];
        struct db_txn t = { 0 };
        int r;

        r = begin(base, DB_WRITE, false, false, &t);
        if (r < 0)
                return r;
        (void)snprintf(sql, sizeof(sql), "ALTER SCHEMA imagefs RENAME TO \"%s\"; COMMIT", name);
        r = pg_exec(t.c, sql, NULL, 0);
        end(&t);
        return r;
}

static const struct db_engine engine = {
        .close = close_db,
        .fill_reserve = fill_reserve,
        .is_degraded = is_degraded,
        .trouble = trouble,
        .begin = begin,
        .commit = commit,
        .settle = settle,
        .end = end,
        .run = run,
        .each = each,
        .last_id = last_id,
        .check = check,
        .is_lost = is_lost,
        .leave = leave,
        .epochs = epochs,
        .each_host = each_host,
        .retire = retire,
};

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

static int take_statements(struct db_pg *db, const struct db_statements *const *tables)
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

static int init_connection(struct db_pg *db, struct pg_connection *c)
{
        c->db = db;
        c->deadline_ms = db->deadline_ms;
        c->prepared = calloc(db->n_statements + 1, sizeof(*c->prepared));
        return c->prepared ? 0 : -ENOMEM;
}

/* A pg_rows_fn: those that the opener has. */
static int take_rows(struct pg_connection *c, void *ctx)
{
        const struct db_opts *opts = ctx;
        struct db_txn t = { .db = &c->db->db, .mode = DB_WRITE, .c = c };
        int r;

        r = take_statements(c->db, opts->tables);
        if (r == 0)
                r = init_connection(c->db, c);
        return r < 0 ? r : opts->fill(opts->fill_ctx, &t);
}

static int fill(struct db_pg *db, const struct db_opts *opts)
{
        uint64_t random[2];
        int r;

        db->url = strdup(opts->url);
        if (!db->url || getrandom(random, sizeof(random), 0) != sizeof(random))
                return -ENOMEM;
        (void)snprintf(db->name, sizeof(db->name), "imagefs %016llx%016llx", (unsigned long long)random[0],
                       (unsigned long long)random[1]);
        db->writer.db = db;
        db->writer.deadline_ms = db->deadline_ms;
        r = pg_connect(&db->writer, false);
        if (r == 0)
                r = pg_check_schema(&db->writer, opts->make && !db->read_only, opts->fill ? take_rows : NULL,
                                    (void *)(uintptr_t)opts);
        if (r >= 0 && !db->read_only)
                r = pg_host_take(&db->writer, opts->host);
        if (r >= 0 && !db->statements) /* they were not needed for rows */
                r = take_statements(db, opts->tables);
        if (r >= 0 && !db->writer.prepared)
                r = init_connection(db, &db->writer);
        for (unsigned i = 0; i < PG_READERS_MAX && r >= 0; i++)
                r = init_connection(db, &db->reader[i]);
        if (r >= 0 && !db->read_only)
                r = pg_host_keep(db);
        return r;
}

int db_pg_open(const struct db_opts *opts, struct db **ret)
{
        struct db_pg *db = calloc(1, sizeof(*db));
        int r;

        if (!db)
                return -ENOMEM;
        db->db.engine = &engine;
        db->read_only = opts->read_only;
        db->deadline_ms = opts->deadline_ms ?: PG_DEADLINE_MS;
        (void)pthread_mutex_init(&db->writing, NULL); /* cannot fail without attributes, as the next */
        (void)pthread_mutex_init(&db->reading, NULL);
        (void)pthread_mutex_init(&db->describing, NULL);
        (void)pthread_mutex_init(&db->troubled, NULL);
        (void)pthread_cond_init(&db->reader_free, NULL);
        pg_host_init(db);
        r = fill(db, opts);
        if (r < 0) {
                if (opts->trouble)
                        (void)snprintf(opts->trouble, opts->trouble_size, "%s", db->trouble);
                close_db(&db->db);
                return r;
        }
        *ret = &db->db;
        return 0;
}
