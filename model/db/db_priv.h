/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_PRIV_H
#define MODEL_DB_DB_PRIV_H

/* The two connections, as the files model/db/ share them. */

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "model/db/db.h"
#include "model/db/db_errno.h"

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
        bool lazy; /* commits are not synced */
};

struct db {
        int dir_fd; /* for the reserve */
        struct connection connections[2]; /* by enum db_mode */
        atomic_bool degraded;
};

struct db_row {
        sqlite3_stmt *stmt;
};

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

/* The statement for SQL of a statement table, by the pointer. SQL must be of a table that was handed down. */
sqlite3_stmt *db_find_statement(struct connection *c, const char *sql);

/* Steps through all rows of STMT until FN gives something else than 0, which is the result. */
int db_walk(sqlite3_stmt *stmt, db_row_fn *fn, void *ctx);

#endif
