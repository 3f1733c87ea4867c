/* SPDX-License-Identifier: MIT */

/*
 * The engine that is sqlite: transactions and statements. There are several connections to one database in WAL mode
 * (db_sqlite_open.c), each used by one thread at a time; so sqlite is told to do without locks of its own. A transaction
 * has its connection for itself until it ends. One that is to read takes any that is free, and opens one more where none
 * is: a list of a hundred thousand images, which goes through all rows, must not be what a user's quota waits for.
 *
 * After a commit or a checkpoint that failed with an I/O error the kernel counts the pages that it could not write as
 * clean, and a later sync would succeed without them: from then on nothing is written until the library has been opened
 * anew (degraded).
 *
 * A full disk is no such error: what could not be written was refused, and is rolled back. So that deleting is possible
 * on one, the reserve (reserve.h) is given up before a transaction that would find no space.
 *
 * A commit holds the writer until it is in the WAL, and not until that is synced (db_sync.h): the slowest thing there is
 * must not be what all others wait for, one by one. So others may read what will not be there after a power cut. Nobody
 * was told that it is; what they commit of it comes later in the WAL; and who would take away bytes because of what
 * was read lets it become durable first (db_settle()).
 *
 * A lazy commit goes into the WAL as every other one, after those before it, but nobody waits for a sync; the next that
 * somebody waits for syncs both. So a user who is refused as fast as she can ask does not keep the disk busy.
 *
 * Who has the writer is as quick as requests are, whatever else it does (thread.h): of three users who did their worst, the
 * imports kept it for up to 150 ms, while others had the processor, for what took one.
 *
 * sqlite rolls a transaction back by itself after some errors (a full disk, no memory), and some refusals end one.
 * What the caller then still runs in it would each be a transaction of its own; so every statement first looks whether
 * one is open.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "model/db/db_sqlite_priv.h"
#include "model/db/reserve.h"

static void fill_reserve(struct db *db)
{
        reserve_fill(db_sqlite_of(db)->dir_fd);
}

static bool is_degraded(struct db *db)
{
        return atomic_load(&db_sqlite_of(db)->degraded);
}

/* ---- connections ---- */

static int step_once(sqlite3_stmt *stmt)
{
        int code = sqlite3_step(stmt);
        int r = code == SQLITE_DONE ? 0 : db_errno(sqlite3_db_handle(stmt));

        (void)sqlite3_reset(stmt); /* repeats the error of the step */
        return r;
}

/* A thread that waited for its own connection would wait for ever, if not today. */
static _Thread_local const struct db_sqlite *in_transaction_of[2]; /* by enum db_mode */

/* A free one from that number on, or NULL; with UNOPENED, one that is still to be opened. Needs the mutex. */
static struct connection *find_reader(struct db_sqlite *db, bool unopened, unsigned from)
{
        for (unsigned i = from; i < READERS_MAX; i++) {
                if (!db->reader[i].busy && !db->reader[i].conn == unopened)
                        return &db->reader[i];
        }
        return NULL;
}

/* SCAN: not the first, as long as there are others. */
static struct connection *take_reader(struct db_sqlite *db, bool scan)
{
        bool may_open = db->dir_fd >= 0;
        unsigned from = scan && may_open ? 1 : 0;
        struct connection *c;
        LOCK_SCOPE(&db->reading);

        while (!(c = find_reader(db, false, from))) {
                c = may_open ? find_reader(db, true, from) : NULL;
                if (!c && from > 0) {
                        from = 0; /* whoever waits takes what becomes free: one is woken for each */
                        continue;
                }
                if (!c) {
                        (void)pthread_cond_wait(&db->reader_free, &db->reading);
                        continue;
                }
                c->busy = true;
                unlock(&db->reading);
                may_open = db_open_reader(db, c) == 0; /* else there are others, which become free */
                if (!may_open)
                        db_close_connection(c);
                lock(&db->reading);
                c->busy = false;
        }
        c->busy = true;
        return c;
}

/* ---- transactions ---- */

static void give_back(struct db_sqlite *db, enum db_mode mode, struct connection *c)
{
        in_transaction_of[mode] = NULL;
        if (mode == DB_WRITE) {
                db_give_writer(db);
                return;
        }
        LOCK_SCOPE(&db->reading);
        c->busy = false;
        (void)pthread_cond_signal(&db->reader_free);
}

static int begin_on(struct db_sqlite *db, enum db_mode mode, bool lazy, bool scan, struct db_txn *ret)
{
        struct connection *c;
        int r;

        if (mode == DB_WRITE && (!db->writer.conn || atomic_load(&db->degraded)))
                return -EROFS;
        if (in_transaction_of[mode] == db)
                abort();

        if (mode == DB_WRITE)
                db_take_writer(db);
        c = mode == DB_WRITE ? &db->writer : take_reader(db, scan);
        in_transaction_of[mode] = db;
        if (mode == DB_WRITE)
                reserve_ease(db->dir_fd);
        r = step_once(c->begin);
        if (r < 0) {
                give_back(db, mode, c);
                return r;
        }
        *ret = (struct db_txn){ .db = &db->db, .mode = mode, .lazy = lazy, .c = c };
        return 0;
}

static int begin(struct db *base, enum db_mode mode, bool lazy, bool scan, struct db_txn *ret)
{
        struct db_sqlite *db = db_sqlite_of(base);
        int r;

        /* Who waits for the end of all scans waits for this one's writer, too. */
        if (!scan || in_transaction_of[DB_WRITE] == db)
                return begin_on(db, mode, lazy, scan, ret);
        db_wal_begin_scan(db);
        r = begin_on(db, mode, lazy, scan, ret);
        if (r == 0)
                ret->scans = true;
        else
                db_wal_end_scan(db);
        return r;
}

static void end(struct db_txn *t)
{
        struct db_sqlite *db = db_sqlite_of(t->db);
        struct connection *c = t->c;

        if (!sqlite3_get_autocommit(c->conn))
                (void)step_once(c->rollback); /* what was not committed is not there, also when this fails */
        t->db = NULL;
        give_back(db, t->mode, c);
        if (t->scans)
                db_wal_end_scan(db);
}

/* Into the WAL. */
static int commit_early(struct db_txn *t, uint64_t *ret)
{
        struct db_sqlite *db = db_sqlite_of(t->db);
        struct connection *c = t->c;
        const bool lazy = t->lazy;
        int r;

        /* Rolled back meanwhile, by an error that the caller has seen. */
        if (sqlite3_get_autocommit(c->conn)) {
                end(t);
                return -EIO;
        }

        if (db->db.committed)
                db->db.committed(db->db.committed_ctx, false, lazy);
        r = step_once(c->commit);
        if (r == -EIO)
                atomic_store(&db->degraded, true);
        if (r == -ENOSPC)
                reserve_give_up(db->dir_fd); /* for the next */
        if (r == 0 && db->db.committed)
                db->db.committed(db->db.committed_ctx, true, lazy);
        if (r == 0)
                *ret = db_sync_note(db->sync);
        end(t);
        return r;
}

static int await(struct db *base, uint64_t number)
{
        struct db_sqlite *db = db_sqlite_of(base);
        int r;

        r = db_sync_wait(db->sync, number);
        if (r < 0)
                atomic_store(&db->degraded, true);
        else
                db_wal_keep_short(db); /* the commit stands whatever happens there */
        return r;
}

static int commit(struct db_txn *t)
{
        struct db *db = t->db;
        const bool lazy = t->lazy;
        uint64_t number;
        int r;

        r = commit_early(t, &number);
        if (r < 0)
                return r;
        if (!lazy)
                return await(db, number);
        db_wal_keep_short(db_sqlite_of(db));
        return 0;
}

static uint64_t last_id(struct db_txn *t)
{
        const struct connection *c = t->c;

        return (uint64_t)sqlite3_last_insert_rowid(c->conn);
}

/* ---- statements ---- */

static int bind_one(sqlite3_stmt *stmt, int i, const struct db_value *v)
{
        switch (v->type) {
        case DB_TYPE_INT:
                return sqlite3_bind_int64(stmt, i, v->integer);
        case DB_TYPE_TEXT:
                return sqlite3_bind_text(stmt, i, v->bytes, -1, SQLITE_STATIC);
        case DB_TYPE_BLOB:
                return sqlite3_bind_blob64(stmt, i, v->bytes, v->n, SQLITE_STATIC);
        case DB_TYPE_NULL:
                break;
        }
        return sqlite3_bind_null(stmt, i);
}

/* Finds the statement and binds; on success end_statement() must follow. */
static int begin_statement(struct db_txn *t, const char *sql, const struct db_value *args, size_t n, sqlite3_stmt **ret)
{
        struct connection *c = t->c;
        sqlite3_stmt *stmt = db_find_statement(c, sql);

        assert(!sqlite3_stmt_busy(stmt)); /* a walk's callback may not run the walk's own statement */
        assert((size_t)sqlite3_bind_parameter_count(stmt) == n);
        if (sqlite3_get_autocommit(c->conn))
                return -EIO;
        for (size_t i = 0; i < n; i++) {
                if (bind_one(stmt, (int)i + 1, &args[i]) != SQLITE_OK) {
                        int r = db_errno(c->conn);

                        (void)sqlite3_clear_bindings(stmt);
                        return r;
                }
        }
        *ret = stmt;
        return 0;
}

static void end_statement(sqlite3_stmt *stmt)
{
        (void)sqlite3_reset(stmt); /* repeats the error of the last step */
        (void)sqlite3_clear_bindings(stmt);
}

static int run(struct db_txn *t, const char *sql, const struct db_value *args, size_t n)
{
        sqlite3_stmt *stmt;
        int r;

        r = begin_statement(t, sql, args, n, &stmt);
        if (r < 0)
                return r;
        if (sqlite3_step(stmt) == SQLITE_DONE)
                r = sqlite3_changes(sqlite3_db_handle(stmt));
        else
                r = db_errno(sqlite3_db_handle(stmt));
        end_statement(stmt);
        return r;
}

static int each(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n)
{
        sqlite3_stmt *stmt;
        int r;

        r = begin_statement(t, sql, args, n, &stmt);
        if (r < 0)
                return r;
        r = db_walk(stmt, fn, ctx);
        end_statement(stmt);
        return r;
}

/* ---- the engine ---- */

static const struct db_engine engine = {
        .close = db_sqlite_close,
        .fill_reserve = fill_reserve,
        .is_degraded = is_degraded,
        .begin = begin,
        .commit = commit,
        .commit_early = commit_early,
        .await = await,
        .settle = db_sqlite_settle,
        .end = end,
        .run = run,
        .each = each,
        .last_id = last_id,
        .check = db_sqlite_check,
        .copy = db_sqlite_copy,
};

static void watch_rows(struct db_sqlite *db, int on)
{
        (void)sqlite3_db_config(db->writer.conn, SQLITE_DBCONFIG_ENABLE_TRIGGER, on, NULL); /* cannot fail, as the next */
        (void)sqlite3_db_config(db->writer.conn, SQLITE_DBCONFIG_ENABLE_FKEY, on, NULL);
}

static int take_rows(struct db_sqlite *db, const struct db_opts *opts)
{
        struct db_txn t = { 0 };
        int r;

        watch_rows(db, 0);
        r = begin(&db->db, DB_WRITE, false, false, &t);
        if (r == 0)
                r = opts->fill(opts->fill_ctx, &t);
        if (r >= 0)
                r = commit(&t);
        if (t.db)
                end(&t);
        watch_rows(db, 1);
        return r;
}

int db_sqlite_open(int dir_fd, const struct db_opts *opts, struct db **ret)
{
        struct db_sqlite *db;
        int r;

        r = db_sqlite_connect(dir_fd, opts, &db);
        if (r < 0)
                return r;
        db->db.engine = &engine;
        r = opts->fill ? take_rows(db, opts) : 0;
        if (r < 0) {
                db_sqlite_close(&db->db);
                return r;
        }
        *ret = &db->db;
        return 0;
}
