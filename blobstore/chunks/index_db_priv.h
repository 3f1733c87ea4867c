/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_INDEX_DB_PRIV_H
#define BLOBSTORE_CHUNKS_INDEX_DB_PRIV_H

/*
 * The index's way to SQLite: one connection, all statements prepared at open, arguments counted, error codes turned
 * into errno. Not shared between threads; the index's lock is around it.
 *
 * The connection is exclusive, which the store's lock warrants. SQLite then keeps the WAL's index on its heap: nothing
 * is mapped into memory, so that a bad sector is an error and not a signal, and network file systems will do.
 *
 * Checkpoints are made here and not by SQLite after a commit, because it drops their errors: a sync that fails in one
 * of them must degrade the store like any other.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_db;

enum index_db_mode {
        INDEX_DB_OPEN, /* must exist */
        INDEX_DB_CREATE, /* to be filled, closed, synced and put in place: not safe against a crash itself */
        INDEX_DB_READ_ONLY,
        INDEX_DB_TEMPORARY, /* in a file without a name somewhere; NAME is ignored */
};

struct db_arg {
        const void *blob; /* NULL: a number, or nothing */
        size_t n;
        int64_t number;
        bool null;
};

#define DB_INT(v)       ((struct db_arg){ .number = (int64_t)(v) })
#define DB_NULL         ((struct db_arg){ .null = true })
#define DB_BLOB(p, len) ((struct db_arg){ .blob = (p), .n = (len) })

/* An argument list: DB_ARGS(DB_INT(a), DB_BLOB(p, n)), or DB_NONE. */
#define DB_ARGS(...)                          \
        ((const struct db_arg[]){ __VA_ARGS__ }), \
                (sizeof((const struct db_arg[]){ __VA_ARGS__ }) / sizeof(struct db_arg))
#define DB_NONE NULL, 0

/*
 * Opens NAME in DIR_FD; SCHEMA is run where the database is new, STEP (or NULL) where it is of the version before. SQL:
 * the COUNT statements that are then called by their place in it. -ENOENT; -EUCLEAN: damaged or not ours;
 * -EPROTONOSUPPORT: of a version other than VERSION.
 */
int index_db_open(int dir_fd, const char *name, enum index_db_mode mode, const char *schema, const char *step,
                  int64_t version, const char *const *sql, size_t count, atomic_bool *degraded, struct index_db **ret);

/* Gives up an open transaction. Accepts NULL. */
void index_db_close(struct index_db *db);

/*
 * Statements may call row_proof(…), an XXH3-64 of its arguments, by which a row shows that it is as it was written.
 */

/* Runs a statement that gives no rows, or whose rows do not matter. */
int index_db_run(struct index_db *db, unsigned stmt, const struct db_arg *args, size_t n);

/* Runs a statement for its first row, whose first COLUMNS values, all numbers, go to *ret. 1: a row; 0: none. */
int index_db_get(struct index_db *db, unsigned stmt, int64_t *ret, size_t columns, const struct db_arg *args, size_t n);

/* Rows one by one: start, next while it gives 1, and end in any case. */
int index_db_start(struct index_db *db, unsigned stmt, const struct db_arg *args, size_t n);
int index_db_next(struct index_db *db, unsigned stmt);
int64_t index_db_column(struct index_db *db, unsigned stmt, int column);
/* -EUCLEAN: not N bytes. */
int index_db_column_blob(struct index_db *db, unsigned stmt, int column, void *ret, size_t n);
bool index_db_column_is_null(struct index_db *db, unsigned stmt, int column);
void index_db_end(struct index_db *db, unsigned stmt);

/*
 * No change within a transaction. One that is not DURABLE is not synced when it is committed: a crash may take it, and
 * whatever came after it. The next durable one makes it durable, too.
 */
int index_db_begin(struct index_db *db, bool durable);
int index_db_commit(struct index_db *db); /* rolls back where it fails */
void index_db_rollback(struct index_db *db);

/* No more is to come for a while: a WAL that has grown large is copied back and made empty, and takes no space. */
void index_db_rest(struct index_db *db);

/* Copies the WAL back after every commit, so that it stays as small as the largest transaction. */
void index_db_set_thrifty(struct index_db *db, bool thrifty);

/* SQLite's own check of the file. -EUCLEAN. */
int index_db_verify(struct index_db *db);

#endif
