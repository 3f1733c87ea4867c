/* SPDX-License-Identifier: MIT */

/*
 * The engine that is PostgreSQL: opening it, and transactions; what runs in them is in db_pg_run.c, how they are committed
 * in db_pg_commit.c. One connection does all writing, others read, each used by one thread at a time, as with sqlite; and
 * as there, who writes has all others wait: behind a lock in the database, so that it holds for other hosts, too. It is
 * asked for before the first statement, so that what is seen is what the one before left. Who reads sees one state of the
 * library until the end (REPEATABLE READ). That begins with the first statement, and for the answer to its end nobody waits: it
 * comes before the connection is used again. So one that asks once takes one way to the server and back.
 *
 * What is committed is on the server's disk when it says so, as its synchronous_commit has it, and so is a lazy commit: the
 * server may crash and be back while this process, which goes by what it committed, lives on.
 */

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "model/db/db_pg_priv.h"

/* What is renamed when its library uses it no more is waited for so long. */
#define RETIRE_TRIES 100
#define AGAIN_MS     200

#define BEGIN_WRITING "BEGIN; SELECT pg_advisory_xact_lock(1768777331, 2)"

static struct db_pg *pg_of(struct db *db)
{
        return (struct db_pg *)db;
}

/* ---- connections ---- */

static _Thread_local const struct db_pg *in_transaction_of[2]; /* by enum db_mode */
static _Thread_local const struct db_pg *away; /* that was out of reach when this thread asked it last */

/*
 * The first that is, so that few are connected; but one that has not answered yet how its last transaction ended only where
 * there is no other. NULL: none is free. Call with the mutex held.
 */
static struct pg_connection *free_reader(struct db_pg *db)
{
        struct pg_connection *ends = NULL;

        for (unsigned i = 0; i < PG_READERS_MAX; i++) {
                struct pg_connection *c = &db->reader[i];

                if (c->busy)
                        continue;
                if (!pg_is_ending(c))
                        return c;
                ends = ends ?: c;
        }
        return ends;
}

static struct pg_connection *take_reader(struct db_pg *db)
{
        struct pg_connection *c;
        LOCK_SCOPE(&db->reading);

        while (!(c = free_reader(db)))
                (void)pthread_cond_wait(&db->reader_free, &db->reading);
        c->busy = true;
        return c;
}

static struct pg_connection *take(struct db_pg *db, enum db_mode mode)
{
        struct pg_connection *c = &db->writer;

        if (mode == DB_READ) {
                c = take_reader(db);
        } else {
                lock(&db->writing);
                db->nice = thread_hurry(THREAD_NICE_WRITER);
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

/* ---- transactions ---- */

static uint64_t last_id(struct db_txn *t)
{
        const struct pg_connection *c = t->c;

        return c->last_id;
}

/* A connection that has been idle may be gone: the first thing that is said on it is said again on a new one. */
static int begin_writing(struct pg_connection *c)
{
        const bool was_there = c->conn != NULL;
        int r;

        pg_take_end(c);
        r = pg_connect(c, true);
        if (r == 0)
                r = pg_exec(c, BEGIN_WRITING, NULL, 0);
        if (r < 0 && was_there && !c->conn && pg_connect(c, true) == 0)
                r = pg_exec(c, BEGIN_WRITING, NULL, 0);
        if (r == -EBUSY)
                r = -EIO; /* another has it, which is known for sure in a moment */
        if (r < 0)
                pg_disconnect(c); /* whatever it is in */
        else
                pg_is_well(c->db);
        return r;
}

/* With its first statement (db_pg_run.c). */
static int begin_reading(struct pg_connection *c)
{
        pg_take_end(c);
        c->idle = c->conn != NULL;
        c->beginning = true;
        return pg_connect(c, false);
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
        away = db;
        if (mode == DB_WRITE && pg_host_trouble(db, why, sizeof(why)))
                return -EIO;
        if (in_transaction_of[mode] == db)
                abort();
        c = take(db, mode);
        r = mode == DB_READ ? begin_reading(c) : begin_writing(c);
        if (r < 0) {
                give_back(db, mode, c);
                return r;
        }
        away = NULL;
        *ret = (struct db_txn){ .db = base, .mode = mode, .lazy = lazy, .c = c };
        return 0;
}

static void end(struct db_txn *t)
{
        struct db_pg *db = pg_of(t->db);
        struct pg_connection *c = t->c;

        if (c->conn && t->mode == DB_READ && !c->beginning)
                pg_send_end(c);
        else if (c->conn && PQtransactionStatus(c->conn) != PQTRANS_IDLE && pg_exec(c, "ROLLBACK", NULL, 0) < 0)
                pg_disconnect(c); /* with it goes what was not committed */
        if (!c->conn)
                away = db;
        t->db = NULL;
        give_back(db, t->mode, c);
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
        r = pg_commit(c);
        if (r == 0 && db->committed)
                db->committed(db->committed_ctx, true, lazy);
        end(t);
        away = r == -EIO ? pg_of(db) : NULL;
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
        r = pg_commit(t.c);
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

static bool was_away(struct db *base)
{
        return away == pg_of(base);
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

        pg_news_stop(base);
        pg_host_close(db);
        for (unsigned i = 0; i < PG_READERS_MAX; i++) {
                pg_disconnect(&db->reader[i]);
                free(db->reader[i].prepared);
        }
        pg_disconnect(&db->writer);
        free(db->writer.prepared);
        pg_statements_free(db);
        (void)pthread_cond_destroy(&db->reader_free);
        (void)pthread_mutex_destroy(&db->troubled);
        (void)pthread_mutex_destroy(&db->describing);
        (void)pthread_mutex_destroy(&db->reading);
        (void)pthread_mutex_destroy(&db->writing);
        free(db->url);
        free(db);
}

/* Unless it was, in a transaction of which nobody was told. */
static int rename_schema(struct pg_connection *c, const char *name)
{
        char sql[128], done[8];
        int r;

        (void)snprintf(sql, sizeof(sql), "SELECT to_regnamespace('\"%s\"') IS NOT NULL", name);
        r = pg_exec(c, sql, done, sizeof(done));
        if (r < 0 || *done == 't')
                return r;
        (void)snprintf(sql, sizeof(sql), "ALTER SCHEMA imagefs RENAME TO \"%s\"; COMMIT", name);
        return pg_exec(c, sql, NULL, 0);
}

/* Whoever writes is waited for; what gives up its lease then finds no table, and nobody is there who could want it. */
static int try_to_retire(struct db *base, const char *name)
{
        struct db_txn t = { 0 };
        int r;

        r = begin(base, DB_WRITE, false, false, &t);
        if (r < 0)
                return r;
        r = rename_schema(t.c, name);
        end(&t);
        return r;
}

/* It is asked whether the server is back: nobody tells. */
static int retire(struct db *base, const char *name)
{
        int r = try_to_retire(base, name);

        for (unsigned i = 0; i < RETIRE_TRIES && r < 0 && was_away(base); i++) {
                (void)poll(NULL, 0, AGAIN_MS);
                r = try_to_retire(base, name);
        }
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
        .run = pg_run,
        .each = pg_run_each,
        .last_id = last_id,
        .check = check,
        .was_away = was_away,
        .is_lost = is_lost,
        .leave = leave,
        .epochs = epochs,
        .hear = pg_news_start,
        .hear_no_more = pg_news_stop,
        .each_host = each_host,
        .retire = retire,
};

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

        r = pg_statements_take(c->db, opts->tables);
        if (r == 0)
                r = init_connection(c->db, c);
        return r < 0 ? r : opts->fill(opts->fill_ctx, &t);
}

static int fill(struct db_pg *db, const struct db_opts *opts)
{
        uint64_t random[2];
        bool made = false;
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
        made = r > 0;
        if (r >= 0 && !db->read_only)
                r = pg_host_take(&db->writer, opts->host);
        if (r >= 0 && !db->read_only)
                r = pg_update_schema(&db->writer);
        if (r >= 0 && !db->statements) /* they were not needed for rows */
                r = pg_statements_take(db, opts->tables);
        if (r >= 0 && !db->writer.prepared)
                r = init_connection(db, &db->writer);
        for (unsigned i = 0; i < PG_READERS_MAX && r >= 0; i++)
                r = init_connection(db, &db->reader[i]);
        if (r >= 0 && !db->read_only)
                r = pg_host_keep(db);
        if (r < 0 && made && pg_unmake(&db->writer) < 0)
                r = -EINPROGRESS;
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
