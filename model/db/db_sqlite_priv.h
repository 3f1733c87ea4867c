/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_SQLITE_PRIV_H
#define MODEL_DB_DB_SQLITE_PRIV_H

/* The connections of a database of sqlite's, as the files that are of it share them. */

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "model/db/db_engine.h"
#include "model/db/db_sqlite_errno.h"
#include "model/db/db_sync.h"

struct prepared {
        const char *sql; /* the key: a pointer */
        sqlite3_stmt *stmt;
};

/* One that reads is used by who has made it busy, the writer by who holds its mutex. */
struct connection {
        sqlite3 *conn; /* NULL: there is no such connection */
        bool busy; /* of one that reads: under the mutex of readers */
        struct prepared *statements; /* sorted by key */
        size_t n_statements;
        sqlite3_stmt *begin, *commit, *rollback;
};

/*
 * Walks through all rows take four at most, and so do listings; whoever has one may be without the processor for long. Of
 * those that answer requests few are inside the database at once. With 8 of them, three users who did their worst had
 * three times as many wait for one.
 */
#define READERS_MAX 16

/* The thread that keeps the WAL short: db_sqlite_wal.c. */
struct wal_keeper {
        pthread_t thread;
        pthread_mutex_t mutex; /* of all below but the first two */
        bool started;
        unsigned copied; /* its own: how much of the WAL was in the database after the last checkpoint */
        bool due, anew, stop; /* what is wanted of it: to copy, to begin the WAL anew, to end */
        pthread_cond_t wanted;
        uint64_t ended; /* how often it has done what was wanted */
        pthread_cond_t done;
};

struct db_sqlite {
        struct db db;
        int dir_fd; /* for the reserve, and for readers that come later; -1: only to be read */
        const struct db_statements *const *tables;
        pthread_mutex_t writing; /* held by who uses the writer */
        int nice; /* what who holds it was before: db_sqlite.c */
        struct connection writer;
        struct db_sync *sync; /* of its commits; NULL: there is no writer */
        atomic_uint wal_pages, checkpoint_at; /* how long the WAL is, and is to be at the next */
        struct wal_keeper keeper;
        struct connection copier; /* the keeper's, who copies the WAL beside the writer */
        pthread_mutex_t reading; /* of which readers are busy */
        pthread_cond_t reader_free;
        unsigned n_scans; /* under the mutex of readers, as the next */
        bool no_scans; /* the WAL is long: none begins until it has begun anew, or could not */
        pthread_cond_t scans_again;
        struct connection reader[READERS_MAX]; /* the first is always there, others since they were wanted */
        atomic_bool degraded;
};

static inline struct db_sqlite *db_sqlite_of(struct db *db)
{
        return (struct db_sqlite *)db;
}

/* Compiles one statement for as long as the connection is open; the caller finalizes it. Errors as db_errno(). */
int db_prepare(sqlite3 *conn, const char *sql, sqlite3_stmt **ret);

/* The database in the directory: sqlite knows paths only, and resolves this one into the directory's own name. */
void db_path(int dir_fd, char *buf, size_t size);

int db_exec(sqlite3 *conn, const char *sql);

/*
 * Opens C->conn, which the caller closes, after a failure too. FIRST is executed before anything else, since the rest
 * reads the database. VFS: NULL for sqlite's own.
 */
int db_connect(struct connection *c, const char *path, int flags, const char *vfs, const char *first);

/* Likewise one that only reads, beside the one that writes. */
int db_connect_reader(struct connection *c, const char *path);

/* Who writes has the writer. They wait for each other, and must not wait for themselves. */
void db_take_writer(struct db_sqlite *db);
void db_give_writer(struct db_sqlite *db);

/* As db_settle(). */
int db_sqlite_settle(struct db *db);

/*
 * Starts, before the first commit, and ends the thread that keeps the WAL short; to end one that was not started is nothing. A
 * negative errno.
 */
int db_wal_start(struct db_sqlite *db);
void db_wal_stop(struct db_sqlite *db);

/* After each commit, without the writer. Waits where the WAL grows faster than it can be copied. */
void db_wal_keep_short(struct db_sqlite *db);

/* Around a transaction that reads many rows: as long as there is one the WAL cannot begin anew. Waits where it is long. */
void db_wal_begin_scan(struct db_sqlite *db);
void db_wal_end_scan(struct db_sqlite *db);

/* Opens one that reads, with all statements, and closes it, also one that could not be opened. */
int db_open_reader(struct db_sqlite *db, struct connection *c);
void db_close_connection(struct connection *c);

/* The statement for SQL of a statement table, by the pointer. SQL must be of a table that was handed down. */
sqlite3_stmt *db_find_statement(struct connection *c, const char *sql);

/* Steps through all rows of STMT until FN gives something else than 0, which is the result. */
int db_walk(sqlite3_stmt *stmt, db_row_fn *fn, void *ctx);

/* All of them, as db_open(). */
int db_sqlite_connect(int dir_fd, const struct db_opts *opts, struct db_sqlite **ret);

/* Of the engine, each in a file of its own. */
void db_sqlite_close(struct db *db);
int db_sqlite_check(struct db *db, void (*fn)(void *ctx, const char *text), void *ctx);
int db_sqlite_copy(struct db *db, int dir_fd, const char *name, db_copy_stop_fn *stop, void *ctx);

#endif
