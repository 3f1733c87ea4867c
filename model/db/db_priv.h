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

/* The statement for SQL of a statement table, by the pointer. SQL must be of a table that was handed down. */
sqlite3_stmt *db_find_statement(struct connection *c, const char *sql);

/* Steps through all rows of STMT until FN gives something else than 0, which is the result. */
int db_walk(sqlite3_stmt *stmt, db_row_fn *fn, void *ctx);

#endif
