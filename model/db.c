/* SPDX-License-Identifier: MIT */

/*
 * Two connections to one database in WAL mode, each used by one thread at a time, under its mutex; so sqlite is
 * told to do without locks of its own. A transaction holds the mutex of its connection until it ends.
 *
 * After a commit or a checkpoint that failed with an I/O error the kernel counts the pages that it could not write as
 * clean, and a later sync would succeed without them: from then on nothing is written until the
 * library has been opened anew (degraded).
 *
 * A full disk is no such error: what could not be written was refused, and is rolled back. So that deleting is possible
 * on one, the reserve (room.h) is given up before a transaction that would find no space.
 *
 * sqlite rolls a transaction back by itself after some errors (a full disk, no memory). What the caller then still
 * runs in it would each be a transaction of its own; so every statement first looks whether one is open.
 */

#include "model/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "model/migrate.h"
#include "model/room.h"
#include "model/statements.h"

#define CHECKPOINT_PAGES 1000 /* of the WAL, after which the writer moves them into the database: 4 MiB */
#define BUSY_TIMEOUT_MS  10000
#define WAL_BYTES_KEPT   "67108864"

#define STATEMENTS_POINTER(stem) &stem##_statements,
static const struct db_statements *const tables[] = { STATEMENT_TABLES(STATEMENTS_POINTER) };
#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

static const char *const begin_sql[] = { [DB_READ] = "BEGIN", [DB_WRITE] = "BEGIN IMMEDIATE" };

struct prepared {
        const char *sql; /* the key: a pointer */
        sqlite3_stmt *stmt;
};

struct connection {
        pthread_mutex_t lock; /* of all below, and of the connection itself */
        sqlite3 *conn; /* NULL: there is no such connection */
        struct prepared *statements; /* sorted by key */
        size_t n_statements;
        sqlite3_stmt *begin, *commit, *rollback;
};

struct db {
        int dir_fd; /* for the reserve */
        struct connection connections[2]; /* by enum db_mode */
        atomic_bool degraded;
};

struct db_row {
        sqlite3_stmt *stmt;
};

/* Why a file could not be opened, as far as the caller can do something about it. */
static int open_errno(int e)
{
        switch (e) {
        case ENOENT:
        case EACCES:
        case EROFS:
        case ENOSPC:
        case EMFILE:
        case ENFILE:
                return -e;
        }
        return -EIO;
}

int db_errno(sqlite3 *conn)
{
        int code = sqlite3_extended_errcode(conn);

        switch (code) {
        case SQLITE_CONSTRAINT_UNIQUE:
        case SQLITE_CONSTRAINT_PRIMARYKEY:
        case SQLITE_CONSTRAINT_ROWID:
                return -EEXIST;
        case SQLITE_CONSTRAINT_FOREIGNKEY:
                return -EBUSY;
        case SQLITE_IOERR_NOMEM:
                return -ENOMEM;
        case SQLITE_IOERR_CORRUPTFS:
        case SQLITE_IOERR_DATA:
                return -EBADMSG;
        }
        switch (code & 0xff) {
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_CORRUPT:
                return -EBADMSG;
        case SQLITE_NOTADB:
                return -EUCLEAN;
        case SQLITE_CONSTRAINT:
        case SQLITE_MISMATCH:
        case SQLITE_TOOBIG:
                return -EINVAL;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY; /* somebody else's program has the file open */
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
                return open_errno(sqlite3_system_errno(conn));
        case SQLITE_IOERR:
                /* A sync that failed is never just a full disk: what it lost is unknown. */
                if (code != SQLITE_IOERR_FSYNC && code != SQLITE_IOERR_DIR_FSYNC &&
                    (sqlite3_system_errno(conn) == ENOSPC || sqlite3_system_errno(conn) == EDQUOT))
                        return -ENOSPC;
                return -EIO;
        }
        return -EIO;
}

/* ---- opening ---- */

static int compare_prepared(const void *a, const void *b)
{
        uintptr_t x = (uintptr_t)((const struct prepared *)a)->sql;
        uintptr_t y = (uintptr_t)((const struct prepared *)b)->sql;

        return (x > y) - (x < y);
}

static int prepare(sqlite3 *conn, const char *sql, sqlite3_stmt **ret)
{
        int code = sqlite3_prepare_v3(conn, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);

        return code == SQLITE_OK ? 0 : db_errno(conn);
}

static int prepare_table(struct connection *c, const struct db_statements *table, bool read_only)
{
        for (size_t i = 0; i < table->count; i++) {
                struct prepared *p = &c->statements[c->n_statements];
                int r;

                if (!table->sql[i]) /* a gap in the enumeration */
                        continue;
                r = prepare(c->conn, table->sql[i], &p->stmt);
                if (r < 0)
                        return r;
                if (read_only && !sqlite3_stmt_readonly(p->stmt)) {
                        (void)sqlite3_finalize(p->stmt);
                        p->stmt = NULL;
                        continue;
                }
                p->sql = table->sql[i];
                c->n_statements++;
        }
        return 0;
}

static int prepare_all(struct connection *c, const struct db_statements *extra, bool read_only)
{
        size_t n = extra ? extra->count : 0;
        int r;

        for (size_t i = 0; i < N_TABLES; i++)
                n += tables[i]->count;
        c->statements = calloc(n + 1, sizeof(*c->statements));
        if (!c->statements)
                return -ENOMEM;

        for (size_t i = 0; i < N_TABLES; i++) {
                r = prepare_table(c, tables[i], read_only);
                if (r < 0)
                        return r;
        }
        r = extra ? prepare_table(c, extra, read_only) : 0;
        if (r == 0)
                r = prepare(c->conn, begin_sql[read_only ? DB_READ : DB_WRITE], &c->begin);
        if (r == 0)
                r = prepare(c->conn, "COMMIT", &c->commit);
        if (r == 0)
                r = prepare(c->conn, "ROLLBACK", &c->rollback);
        if (r < 0)
                return r;
        qsort(c->statements, c->n_statements, sizeof(*c->statements), compare_prepared);
        return 0;
}

/* In place of sqlite's own, which ignores what a checkpoint answers. The commit stands whatever happens here. */
static int checkpoint_hook(void *ctx, sqlite3 *conn, const char *name, int pages)
{
        struct db *db = ctx;

        if (pages < CHECKPOINT_PAGES)
                return SQLITE_OK;
        if (sqlite3_wal_checkpoint_v2(conn, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) != SQLITE_OK &&
            db_errno(conn) == -EIO)
                atomic_store(&db->degraded, true);
        return SQLITE_OK;
}

static int exec(sqlite3 *conn, const char *sql)
{
        return sqlite3_exec(conn, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_errno(conn);
}

/* FIRST is executed before anything else, since the rest reads the database. */
static int open_connection(struct connection *c, const char *path, int flags, const char *first)
{
        int r;

        if (sqlite3_open_v2(path, &c->conn, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
                return c->conn ? db_errno(c->conn) : -ENOMEM;
        r = exec(c->conn, first);
        if (r == 0)
                r = exec(c->conn, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                                  "PRAGMA mmap_size = 0; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                                  "PRAGMA secure_delete = FAST"); /* passwords of fetches */
        if (r < 0)
                return r;
        (void)sqlite3_db_config(c->conn, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL); /* more safety where it is known */
        /* A reader that meets the WAL's index half written looks again under the writer's lock, for an instant. */
        (void)sqlite3_busy_timeout(c->conn, BUSY_TIMEOUT_MS);
        return 0;
}

static int wal_answer(void *ctx, int n, char **values, char **names)
{
        (void)names;
        *(bool *)ctx = n == 1 && values[0] && strcmp(values[0], "wal") == 0;
        return 0;
}

static int enter_wal(sqlite3 *conn)
{
        bool wal = false;

        if (sqlite3_exec(conn, "PRAGMA journal_mode = WAL", wal_answer, &wal, NULL) != SQLITE_OK)
                return db_errno(conn);
        if (!wal)
                return -EOPNOTSUPP; /* a file system without shared memory maps */
        return exec(conn, "PRAGMA journal_size_limit = " WAL_BYTES_KEPT);
}

static int open_writer(struct db *db, int dir_fd, const char *path, const struct db_statements *extra)
{
        struct connection *c = &db->connections[DB_WRITE];
        bool made;
        int r;

        r = open_connection(c, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "");
        if (r < 0)
                return r;
        r = migrate(c->conn, false);
        if (r < 0)
                return r;
        made = r > 0;
        r = enter_wal(c->conn);
        if (r == 0 && made)
                r = fsync_dir(dir_fd);
        if (r < 0)
                return r;
        (void)sqlite3_wal_hook(c->conn, checkpoint_hook, db);
        return prepare_all(c, extra, false);
}

static int open_reader(struct db *db, const char *path, const struct db_statements *extra)
{
        struct connection *c = &db->connections[DB_READ];
        int r;

        /* Beside a writer it needs to write the shared memory of the WAL. */
        r = open_connection(c, path, SQLITE_OPEN_READWRITE, "PRAGMA query_only = ON");
        if (r < 0)
                return r;
        (void)sqlite3_db_config(c->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return prepare_all(c, extra, true);
}

/*
 * Leaves no trace, which needs the library for itself. Without a WAL "immutable" keeps sqlite from making any file. One
 * that a crash left has to be read: sqlite does that without shared memory for a connection with exclusive locks,
 * which is then kept from copying the WAL back and removing it.
 */
static int open_read_only(struct db *db, int dir_fd, const char *path, const struct db_statements *extra)
{
        struct connection *c = &db->connections[DB_READ];
        bool has_wal = faccessat(dir_fd, DB_FILE "-wal", F_OK, 0) == 0;
        char uri[96];
        int on = 1;
        int r;

        (void)snprintf(uri, sizeof(uri), "file:%s%s", path, has_wal ? "" : "?immutable=1");
        r = open_connection(c, uri, SQLITE_OPEN_URI | (has_wal ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY),
                            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON");
        if (r < 0)
                return r;
        (void)sqlite3_db_config(c->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        (void)sqlite3_file_control(c->conn, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
        r = migrate(c->conn, true);
        return r < 0 ? r : prepare_all(c, extra, true);
}

static void init_lock(pthread_mutex_t *m)
{
        pthread_mutexattr_t attr;

        /* A second transaction of the same thread aborts instead of waiting for itself. */
        if (pthread_mutexattr_init(&attr) != 0 || pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK) != 0 ||
            pthread_mutex_init(m, &attr) != 0)
                abort();
        (void)pthread_mutexattr_destroy(&attr);
}

DEFINE_CLEANUP(struct db *, cleanup_db, db_close)

int db_open(int dir_fd, const struct db_opts *opts, struct db **ret)
{
        CLEANUP(cleanup_db) struct db *db = NULL;
        char path[64];
        int r;

        db = calloc(1, sizeof(*db));
        if (!db)
                return -ENOMEM;
        db->dir_fd = -1;
        init_lock(&db->connections[DB_READ].lock);
        init_lock(&db->connections[DB_WRITE].lock);
        /* sqlite knows paths only; it resolves this one into the directory's own name. */
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/" DB_FILE, dir_fd);

        if (!opts->read_only) {
                db->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
                if (db->dir_fd < 0)
                        return -errno;
                room_ease(dir_fd);
        }
        if (opts->read_only)
                r = open_read_only(db, dir_fd, path, opts->extra);
        else
                r = open_writer(db, dir_fd, path, opts->extra);
        if (r == 0 && !opts->read_only)
                r = open_reader(db, path, opts->extra);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(db);
        return 0;
}

static void close_connection(struct connection *c)
{
        for (size_t i = 0; i < c->n_statements; i++)
                (void)sqlite3_finalize(c->statements[i].stmt);
        free(c->statements);
        (void)sqlite3_finalize(c->begin);
        (void)sqlite3_finalize(c->commit);
        (void)sqlite3_finalize(c->rollback);
        (void)sqlite3_close_v2(c->conn);
        (void)pthread_mutex_destroy(&c->lock);
}

void db_close(struct db *db)
{
        if (!db)
                return;
        /* The writer last: whoever closes last does a checkpoint. */
        close_connection(&db->connections[DB_READ]);
        close_connection(&db->connections[DB_WRITE]);
        cleanup_close(&db->dir_fd);
        free(db);
}

void db_fill_reserve(struct db *db)
{
        room_fill_reserve(db->dir_fd);
}

bool db_is_degraded(struct db *db)
{
        return atomic_load(&db->degraded);
}

/* ---- transactions ---- */

static int step_once(sqlite3_stmt *stmt)
{
        int code = sqlite3_step(stmt);
        int r = code == SQLITE_DONE ? 0 : db_errno(sqlite3_db_handle(stmt));

        (void)sqlite3_reset(stmt); /* repeats the error of the step */
        return r;
}

int db_begin(struct db *db, enum db_mode mode, struct db_txn *ret)
{
        struct connection *c = &db->connections[mode];
        int r;

        if (!c->conn || (mode == DB_WRITE && db_is_degraded(db)))
                return -EROFS;

        lock(&c->lock);
        if (mode == DB_WRITE)
                room_ease(db->dir_fd);
        r = step_once(c->begin);
        if (r < 0) {
                unlock(&c->lock);
                return r;
        }
        *ret = (struct db_txn){ .db = db, .mode = mode };
        return 0;
}

int db_commit(struct db_txn *t)
{
        struct connection *c = &t->db->connections[t->mode];
        int r;

        assert(t->mode == DB_WRITE);
        /* Rolled back meanwhile, by an error that the caller has seen. */
        if (sqlite3_get_autocommit(c->conn)) {
                db_end(t);
                return -EIO;
        }

        r = step_once(c->commit);
        if (r == -EIO)
                atomic_store(&t->db->degraded, true);
        if (r == -ENOSPC)
                room_give_up_reserve(t->db->dir_fd); /* for the next */
        db_end(t);
        return r;
}

void db_end(struct db_txn *t)
{
        struct connection *c;

        if (!t->db)
                return;
        c = &t->db->connections[t->mode];
        if (!sqlite3_get_autocommit(c->conn))
                (void)step_once(c->rollback); /* what was not committed is not there, also when this fails */
        t->db = NULL;
        unlock(&c->lock);
}

uint64_t db_last_id(struct db_txn *t)
{
        return (uint64_t)sqlite3_last_insert_rowid(t->db->connections[t->mode].conn);
}

/* ---- statements ---- */

static sqlite3_stmt *find_statement(struct connection *c, const char *sql)
{
        struct prepared key = { .sql = sql };
        struct prepared *p = bsearch(&key, c->statements, c->n_statements, sizeof(key), compare_prepared);

        assert(p); /* listed in statements.h; one that writes needs a DB_WRITE transaction */
        return p->stmt;
}

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
        struct connection *c = &t->db->connections[t->mode];
        sqlite3_stmt *stmt = find_statement(c, sql);

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

int db_run_(struct db_txn *t, const char *sql, const struct db_value *args, size_t n)
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

static int walk(sqlite3_stmt *stmt, db_row_fn *fn, void *ctx)
{
        const struct db_row row = { .stmt = stmt };

        for (;;) {
                int code = sqlite3_step(stmt);
                int r;

                if (code == SQLITE_DONE)
                        return 0;
                if (code != SQLITE_ROW)
                        return db_errno(sqlite3_db_handle(stmt));
                r = fn(ctx, &row);
                if (r != 0)
                        return r;
        }
}

int db_each_(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n)
{
        sqlite3_stmt *stmt;
        int r;

        r = begin_statement(t, sql, args, n, &stmt);
        if (r < 0)
                return r;
        r = walk(stmt, fn, ctx);
        end_statement(stmt);
        return r;
}

struct first {
        db_row_fn *fn;
        void *ctx;
        int r;
};

static int take_first(void *ctx, const struct db_row *row)
{
        struct first *f = ctx;

        f->r = f->fn ? f->fn(f->ctx, row) : 0;
        return 1;
}

int db_one_(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n)
{
        struct first f = { .fn = fn, .ctx = ctx };
        int r;

        r = db_each_(t, sql, take_first, &f, args, n);
        if (r < 0)
                return r;
        return r == 0 ? -ENOENT : f.r;
}

static int take_int(void *ctx, const struct db_row *row)
{
        *(int64_t *)ctx = db_row_int(row, 0);
        return 0;
}

int db_int_(struct db_txn *t, const char *sql, int64_t *ret, const struct db_value *args, size_t n)
{
        return db_one_(t, sql, take_int, ret, args, n);
}

/* ---- rows ---- */

bool db_row_is_null(const struct db_row *row, int col)
{
        return sqlite3_column_type(row->stmt, col) == SQLITE_NULL;
}

int64_t db_row_int(const struct db_row *row, int col)
{
        return sqlite3_column_int64(row->stmt, col);
}

const char *db_row_str(const struct db_row *row, int col)
{
        const unsigned char *text = sqlite3_column_text(row->stmt, col);

        return text ? (const char *)text : "";
}

void db_row_text(const struct db_row *row, int col, char *buf, size_t size)
{
        (void)snprintf(buf, size, "%s", db_row_str(row, col));
}

void db_row_blob(const struct db_row *row, int col, void *buf, size_t n)
{
        const void *bytes = sqlite3_column_blob(row->stmt, col);

        if (bytes && (size_t)sqlite3_column_bytes(row->stmt, col) == n)
                memcpy(buf, bytes, n);
        else
                memset(buf, 0, n);
}

/* ---- checking ---- */

struct findings {
        void (*fn)(void *ctx, const char *text);
        void *ctx;
        int count;
};

static int integrity_row(void *ctx, const struct db_row *row)
{
        struct findings *f = ctx;
        const char *text = db_row_str(row, 0);

        if (strcmp(text, "ok") == 0)
                return 0;
        f->count++;
        f->fn(f->ctx, text);
        return 0;
}

static int foreign_key_row(void *ctx, const struct db_row *row)
{
        struct findings *f = ctx;
        char text[256];

        (void)snprintf(text, sizeof(text), "table %s, row %lld: what it refers to in %s is gone", db_row_str(row, 0),
                       (long long)db_row_int(row, 1), db_row_str(row, 2));
        f->count++;
        f->fn(f->ctx, text);
        return 0;
}

static int check_with(sqlite3 *conn, const char *pragma, db_row_fn *fn, struct findings *f)
{
        sqlite3_stmt *stmt;
        int r;

        r = prepare(conn, pragma, &stmt);
        if (r < 0)
                return r;
        r = walk(stmt, fn, f);
        (void)sqlite3_finalize(stmt); /* repeats the error of the last step */
        return r;
}

int db_check(struct db *db, void (*fn)(void *ctx, const char *text), void *ctx)
{
        struct findings f = { .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(db, DB_READ, &t);
        if (r < 0)
                return r;
        r = check_with(db->connections[DB_READ].conn, "PRAGMA integrity_check", integrity_row, &f);
        if (r == 0)
                r = check_with(db->connections[DB_READ].conn, "PRAGMA foreign_key_check", foreign_key_row, &f);
        return r < 0 ? r : f.count;
}
