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
        unsigned deadline_ms; /* of an answer */
        bool busy;            /* of one that reads: under the mutex of readers */
        bool *prepared;       /* of each statement: does this one know it? */
        bool commit_prepared; /* likewise that of commits */
        bool ending;          /* it was told to end a transaction, and has not answered yet */
        bool beginning;       /* it is told to begin one with the first statement of it */
        bool idle;            /* likewise: it was connected before, and may be gone by now */
        bool pipeline;        /* what comes ends with the end of one */
        struct pg_walk *walk; /* whose rows are still coming; NULL: nobody's */
        uint64_t last_id;
};

/* Who serves the library (db_pg_host.c). */
struct pg_host {
        char *name, *directory, *here, *version; /* as in struct db_host; constant, as the next */
        unsigned lease_ms;
        uint64_t epoch_before, epoch; /* 0: this process serves nothing */
        _Atomic int64_t until_ms;     /* by the clock that counts sleep, too */
        bool left;                    /* it is not given up: the process after this one goes on */

        struct pg_connection keeper; /* the thread's */
        pthread_t thread;
        bool kept; /* it runs */
        pthread_mutex_t lock; /* of what follows */
        pthread_cond_t stop;
        bool stopped, lost;
        char taker[72]; /* once it is lost */
};

/* Who hears what other hosts commit (db_pg_news.c). */
struct pg_news {
        struct pg_connection connection; /* the thread's */
        pthread_t thread;
        bool started;
        int stop_fd; /* can be read: it is to end */
        db_news_fn *fn;
        void *ctx;
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

        struct pg_host host;
        struct pg_news news;

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
/* Takes that lock: -EBUSY. */
int pg_own(struct pg_connection *c);
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

/* The transaction that reads, which begins with its first statement. */
#define PG_BEGIN_READING "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
/* All is well with the server, as it has just shown. */
void pg_is_well(struct db_pg *db);

/* Ends a transaction that only read, and waits for no answer. */
void pg_send_end(struct pg_connection *c);
/* Is that still to come? */
bool pg_is_ending(const struct pg_connection *c);
/* Takes it, if there is one, before anything else is said. A connection that is gone by then is disconnected. */
void pg_take_end(struct pg_connection *c);

/* Runs SQL, of one or more statements without parameters. RET: the first column of the last row there is, or "". */
int pg_exec(struct pg_connection *c, const char *sql, char *ret, size_t size);

/* Runs SQL, one statement without parameters, and calls FN for each row, as db_each(). */
int pg_each(struct pg_connection *c, const char *sql, db_row_fn *fn, void *ctx);

/* Prepares the statement on C where it is not yet. */
int pg_prepare(struct pg_connection *c, struct pg_statement *s);

/*
 * Statements (db_pg_statement.c). pg_statements_take() translates those of TABLES, on the connection that writes; released by
 * pg_statements_free(). pg_statement_find(): SQL is of one of those.
 */
int pg_statements_take(struct db_pg *db, const struct db_statements *const *tables);
void pg_statements_free(struct db_pg *db);
struct pg_statement *pg_statement_find(struct db_pg *db, const char *sql);

/* As db_run() and db_each(), in a transaction of this engine (db_pg_run.c). */
int pg_run(struct db_txn *t, const char *sql, const struct db_value *args, size_t n);
int pg_run_each(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n);

/*
 * Commits what C is in the middle of (db_pg_commit.c). 0 where that is known; -EIO: not, or it is known that it did not happen.
 * Others: it did not.
 */
int pg_commit(struct pg_connection *c);

/* Rows (db_pg_row.c). */
struct pg_row {
        struct db_row row;
        const struct pg_result *result;
        unsigned char *bytes; /* of the column asked for last; released by pg_row_done() */
};
void pg_row_set(struct pg_row *row, const struct pg_result *result);
void pg_row_done(struct pg_row *row);

/* What comes into the tables before anything watches over them, in the transaction that makes them. */
typedef int pg_rows_fn(struct pg_connection *c, void *ctx);
/*
 * Sees that the library has the tables that we know; MAKE: makes them, with ROWS unless that is NULL, and gives 1:
 * -EEXIST. -ENOENT: there are none; -EUCLEAN: what is called as ours is not; -EPROTONOSUPPORT: of a version that is not known;
 * -ESTALE: of an older one, where the database is only read; -EINPROGRESS: the server went away before it said whether they are made,
 * and did not come back. After any other error they are not.
 */
int pg_check_schema(struct pg_connection *c, bool make, pg_rows_fn *rows, void *ctx);
/* Removes what that made, unless another host has come to serve it. -EINPROGRESS: as above. */
int pg_unmake(struct pg_connection *c);
/* Brings them to our version. By the host that serves the library; another may have done so before, also with a later one: as above. */
int pg_update_schema(struct pg_connection *c);

/*
 * Which host serves the library. First pg_host_init(), last pg_host_close(), which gives it up. pg_host_take(), on the connection
 * that writes: from here on it is this one, which has the row in which its commits leave their numbers. -EBUSY: another does, and the
 * trouble says which. pg_host_keep() has it stay so.
 */
void pg_host_init(struct db_pg *db);
int pg_host_take(struct pg_connection *c, const struct db_host *host);
int pg_host_keep(struct db_pg *db);
void pg_host_close(struct db_pg *db);

/* By this name commits are told. As db_hear() and db_hear_no_more(). */
#define PG_NEWS "imagefs_news"
int pg_news_start(struct db *db, db_news_fn *fn, void *ctx);
void pg_news_stop(struct db *db);

/* Has another taken over? */
bool pg_host_is_lost(struct db_pg *db);
/* Is it, or may it be, no longer this one, so that nothing may be written? BUF has why. */
bool pg_host_trouble(struct db_pg *db, char *buf, size_t size);
/* As db_each_host(). */
int pg_host_each(struct pg_connection *c, db_row_fn *fn, void *ctx);

#endif
