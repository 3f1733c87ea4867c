/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_ENGINE_H
#define MODEL_DB_DB_ENGINE_H

/*
 * What keeps a database, as db.c sees it: each engine has one such table, and a struct of its own that begins with struct
 * db, as its rows begin with struct db_row. What each function does, and with which errno, stands at the one of that name
 * in db.h. Private to model/db/.
 */

#include "model/db/db_copy.h"
#include "model/db/db.h"

struct db_engine {
        void (*close)(struct db *db);
        void (*fill_reserve)(struct db *db);
        bool (*is_degraded)(struct db *db);
        bool (*trouble)(struct db *db, char *buf, size_t size); /* NULL: it is here */

        int (*begin)(struct db *db, enum db_mode mode, bool lazy, bool scan, struct db_txn *ret);
        int (*commit)(struct db_txn *t);
        int (*commit_early)(struct db_txn *t, uint64_t *ret); /* NULL, as the next: a commit is durable when it ends */
        int (*await)(struct db *db, uint64_t number);
        int (*settle)(struct db *db);
        void (*end)(struct db_txn *t); /* of one that has begun, and not ended */

        int (*run)(struct db_txn *t, const char *sql, const struct db_value *args, size_t n);
        int (*each)(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n);
        uint64_t (*last_id)(struct db_txn *t);

        int (*check)(struct db *db, void (*fn)(void *ctx, const char *text), void *ctx);
        bool (*was_away)(struct db *db); /* NULL: it is here */
        /* NULL, all of these: no other host can have it */
        bool (*is_lost)(struct db *db);
        void (*leave)(struct db *db);
        void (*epochs)(struct db *db, uint64_t *ret_before, uint64_t *ret);
        int (*hear)(struct db *db, db_news_fn *fn, void *ctx);
        void (*hear_no_more)(struct db *db);
        int (*each_host)(struct db_txn *t, db_row_fn *fn, void *ctx);
        int (*retire)(struct db *db, const char *name); /* NULL: a file has a name that others can change */
        /* NULL: copies are made by other means than ours */
        int (*copy)(struct db *db, int dir_fd, const char *name, db_copy_stop_fn *stop, void *ctx);
};

struct db {
        const struct db_engine *engine;
        db_committed_fn *committed; /* NULL: nobody is to be told */
        void *committed_ctx;
};

/* Likewise of a row: the functions db_row_…() in db.h. */
struct db_row_access {
        bool (*is_null)(const struct db_row *row, int col);
        int64_t (*integer)(const struct db_row *row, int col);
        const char *(*str)(const struct db_row *row, int col);
        const void *(*bytes)(const struct db_row *row, int col, size_t *ret_n); /* NULL for NULL; borrowed as texts are */
};

struct db_row {
        const struct db_row_access *access;
};

/* The database in the file imagefs.db: as db_open(). */
int db_sqlite_open(int dir_fd, const struct db_opts *opts, struct db **ret);
/* The one on a server, at OPTS->url. -EOPNOTSUPP: this program was built without libpq. */
int db_pg_open(const struct db_opts *opts, struct db **ret);

#endif
