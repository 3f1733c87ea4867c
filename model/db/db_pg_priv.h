/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_PG_PRIV_H
#define MODEL_DB_DB_PG_PRIV_H

/* Connections to PostgreSQL, as the files of that engine share them. */

#include <pthread.h>
#include <stdatomic.h>

#include "model/db/db_engine.h"

struct pg_conn; /* PGconn and PGresult of libpq, which those who use them include */
struct pg_result;

#define PG_READERS_MAX 8
#define PG_DEADLINE_MS 10000 /* of one answer: who says nothing for as long is gone */

/* One of our statements, the same for all connections. */
struct pg_statement {
        const char *sql; /* the key: a pointer */
        char *text;      /* as PostgreSQL takes it */
        /* once it has been prepared: of its parameters, and NULL before; under the mutex of statements */
        unsigned *types;
        int n_types;
};

struct pg_walk;

/* Used by one thread at a time: who has made it busy, or holds the writer's mutex. */
struct pg_connection {
        struct db_pg *db;
        struct pg_conn *conn; /* NULL: none, or none any more */
        bool busy;            /* of one that reads: under the mutex of readers */
        bool *prepared;       /* of each statement: does this one know it? */
        struct pg_walk *walk; /* whose rows are still coming; NULL: nobody's */
        uint64_t last_id;
};

struct db_pg {
        struct db db;
        char *url;
        char name[48]; /* of this process: by it the server tells its connections from others' */
        bool read_only;
        unsigned deadline_ms;

        struct pg_statement *statements; /* sorted by key */
        size_t n_statements;
        pthread_mutex_t describing; /* of what they learn when they are prepared */

        pthread_mutex_t writing; /* held by who uses the writer */
        int nice;                /* what who holds it was before */
        struct pg_connection writer;
        uint64_t commits; /* by it */

        pthread_mutex_t reading; /* of which readers are busy */
        pthread_cond_t reader_free;
        struct pg_connection reader[PG_READERS_MAX];

        pthread_mutex_t troubled; /* of what follows */
        atomic_bool in_trouble;
        int64_t not_before_ms;    /* the server is not asked again until then */
        char trouble[256];        /* as pg_trouble() */
};

/*
 * Connects C, unless it is. -EIO: the server does not answer, or does not let us in; why is noted as trouble.
 * -EPROTONOSUPPORT: it is too old. OWNS: it takes the lock that keeps others out: -EBUSY.
 */
int pg_connect(struct pg_connection *c, bool owns);
void pg_disconnect(struct pg_connection *c);

/* Notes TEXT, its first line, as what went wrong last; "": all is well. */
void pg_trouble(struct db_pg *db, const char *text);

/* Waits for the next result, NULL after the last; what it is the caller frees. -EIO: it did not come, and C is
 * disconnected. */
int pg_result(struct pg_connection *c, struct pg_result **ret);
/* Sends what was queued. As above. */
int pg_flush(struct pg_connection *c);

/* 0, or what the server's answer means as an errno. After one that ends the connection it is disconnected. */
int pg_errno(struct pg_connection *c, const struct pg_result *result);

/* Runs SQL, of one or more statements without parameters. RET: the first column of the last row there is, or "". */
int pg_exec(struct pg_connection *c, const char *sql, char *ret, size_t size);

/* Prepares the statement on C where it is not yet. */
int pg_prepare(struct pg_connection *c, struct pg_statement *s);

/* Rows (db_pg_row.c). */
struct pg_row {
        struct db_row row;
        const struct pg_result *result;
        unsigned char *bytes; /* of the column asked for last; released by pg_row_done() */
};
void pg_row_set(struct pg_row *row, const struct pg_result *result);
void pg_row_done(struct pg_row *row);

/*
 * Sees that the library has the tables that we know; MAKE: makes them, and gives 1: -EEXIST. -ENOENT: there are none; -EUCLEAN: what is called as ours is not; -EPROTONOSUPPORT: of another version.
 */
int pg_check_schema(struct pg_connection *c, bool make);
/* Gives this process the row in which its commits leave their numbers. */
int pg_name_writer(struct pg_connection *c);

#endif
