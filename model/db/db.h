/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_H
#define MODEL_DB_DB_H

/*
 * The database behind the model, and the only user of sqlite. Private to model/. Which engine keeps it is behind here
 * (db_engine.h); what stands here is what each of them keeps to.
 *
 * One connection does all writing, others read, so that readers do not wait for
 * a commit's fsync, nor for one that goes through all rows. A transaction has its
 * connection for itself from db_begin() to db_end(): it belongs to one thread and must be
 * short. No blob I/O, no callback and no kernel notification while one is open. A thread
 * has at most one transaction open.
 *
 * Statement text stands in a table at the top of each aggregate's file; whoever opens the database hands the
 * tables down (model/statements.h lists them), and every statement is prepared then, so that a mistake in any of them
 * shows at once.
 *
 * Errors: -ENOMEM, -ENOSPC, -EIO, -EROFS (an earlier commit could not be made durable:
 * nothing is acknowledged any more), -EBADMSG (damaged), -EEXIST (a UNIQUE constraint),
 * -EBUSY (a foreign key still points here), -EINVAL (another constraint).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct db_row;

#define DB_FILE "imagefs.db"

struct db_statements;

/*
 * Whoever opens a database on a server to write serves the library until it is closed, or could not tell the server for so long
 * that it goes on (db_pg_host.c). Borrowed for the call.
 */
struct db_host {
        const char *name, *directory, *version; /* for people; the first two tell one from another */
        const char *here; /* the same as another's: that one has ended; "": of that nothing is known */
        unsigned lease_ms; /* how long; 0: as long as is usual */
        /* Where another serves it, it is waited for: told first (WHO: a sentence), and when that has ended. NULL: -EBUSY. */
        void (*wait)(void *ctx, bool waits, const char *who);
        void *wait_ctx;
};

struct db_txn;

/* Gives a database that is new its rows, all of them; a negative errno: it is not made. */
typedef int db_fill_fn(void *ctx, struct db_txn *t);

struct db_opts {
        bool read_only; /* for checking: nothing is created or migrated */
        const struct db_statements *const *tables; /* that will be used; ends with NULL; borrowed until db_close() */
        const char *url; /* "postgresql://…": it is on that server; NULL: in the directory */
        bool make; /* on a server: the tables, which are not there yet: else -EEXIST */
        const struct db_host *host; /* on a server: who opens it; NULL: nobody who can be named */
        /* NULL, or it is made with the rows of that, in one transaction; no trigger sees them, and no foreign key their order */
        db_fill_fn *fill;
        void *fill_ctx;
        unsigned deadline_ms; /* of an answer of the server's; 0: as long as is usual */
        char *trouble; /* NULL, or where a sentence of why it could not be opened goes, or "": of a server */
        size_t trouble_size;
};

/*
 * Opens DIR/imagefs.db, making or migrating it. -EUCLEAN: not ours; -EPROTONOSUPPORT: of a version
 * that is not known; -ESTALE: of an older one, and only to be read; -EBUSY: another program has it open. While this one
 * has, others are refused (db_vfs.h). On a server, too: -ENOENT: there is no library there; -EIO: it does not answer, or
 * does not let us in; -EOPNOTSUPP: this program was built without libpq.
 */
int db_open(int dir_fd, const struct db_opts *opts, struct db **ret);
void db_close(struct db *db); /* accepts NULL */

/* Sets space aside for a full disk (reserve.h), if there is some now. */
void db_fill_reserve(struct db *db);

/* Is it on a server, whose own means look after its files, and make copies of it? */
bool db_is_far(const struct db *db);

/* Is that out of reach, as far as is known? Then BUF has why, without secrets. */
bool db_trouble(struct db *db, char *buf, size_t size);

/* Did what this thread asked of it last fail since that was out of reach, and can go well when it is back? */
bool db_was_away(struct db *db);

/* Has another host taken it over, so that nothing that is known here may be told any more? */
bool db_is_lost(struct db *db);
/* It is not given up when it is closed: whoever opens it next goes on from the same place. */
void db_leave(struct db *db);
/* Each time that it is opened to write has a number, one higher than the last. 0: nobody else can have it. */
void db_epochs(struct db *db, uint64_t *ret_before, uint64_t *ret);
/* The address of one on a server, without what only the two need to know, for people. */
void db_url_show(const char *url, char *buf, size_t size);

/* Could a commit not be made durable, so that nothing is written any more? */
bool db_is_degraded(struct db *db);

enum db_mode {
        DB_READ, /* sees one state of the library until its end */
        DB_WRITE, /* BEGIN IMMEDIATE */
};

struct db_txn {
        struct db *db; /* NULL: not begun, or ended */
        enum db_mode mode;
        bool lazy, scans;
        void *c; /* the connection that it alone uses: the engine's */
};

int db_begin(struct db *db, enum db_mode mode, struct db_txn *ret);
/*
 * As db_begin(DB_WRITE), for what nobody was promised: its commit is not synced, unless it is on a server, which may crash
 * alone. A power cut may undo it, but nothing else that was committed before or after. Or for who first gives up a lock, and then calls db_settle().
 */
int db_begin_lazy(struct db *db, struct db_txn *ret);
/*
 * As db_begin(DB_READ), for who reads much, and once: it does not push out what is kept for others. What is written meanwhile
 * makes the log longer, so that once it is long these wait for each other, until it has begun anew.
 */
int db_begin_scan(struct db *db, struct db_txn *ret);
/*
 * From now on FN is called by each thread that commits: before (DONE: false), and when what it did outlives the process,
 * which is before it outlives the machine. LAZY: as the transaction. Before the first transaction.
 */
typedef void db_committed_fn(void *ctx, bool done, bool lazy);
void db_set_committed(struct db *db, db_committed_fn *fn, void *ctx);
/* Makes a DB_WRITE transaction durable and ends it, on failure too (rolled back). */
int db_commit(struct db_txn *t);
/*
 * The same in two steps, for who holds a lock that others want: the first ends the transaction, which may not be durable yet; to
 * be answered it must be, and the second, after the lock was given up, waits for that. RET is good for one call of it.
 */
struct db_owed {
        struct db *db;
        uint64_t number; /* the engine's; 0: nothing is owed */
};
int db_commit_early(struct db_txn *t, struct db_owed *ret);
int db_await(const struct db_owed *owed);
/*
 * Returns when all that can be read now is durable. For who takes away bytes because no row wants them any more: the
 * transaction that said so may not have been answered yet, and a power cut would bring its row back. -EIO: it will never
 * be durable.
 */
int db_settle(struct db *db);
/* Ends the transaction; one that was not committed is rolled back. Accepts an ended one. For CLEANUP(db_end). */
void db_end(struct db_txn *t);

#define DB_TXN(name) struct db_txn name __attribute__((cleanup(db_end))) = { 0 }

/* A parameter of a statement; texts and bytes are borrowed for the call. */
struct db_value {
        enum { DB_TYPE_NULL, DB_TYPE_INT, DB_TYPE_TEXT, DB_TYPE_BLOB } type;
        int64_t integer;
        const void *bytes;
        size_t n;
};

#define DB_INT(v)     ((struct db_value){ .type = DB_TYPE_INT, .integer = (int64_t)(v) })
#define DB_TEXT(v)    ((struct db_value){ .type = DB_TYPE_TEXT, .bytes = (v) })
#define DB_BLOB(p, l) ((struct db_value){ .type = DB_TYPE_BLOB, .bytes = (p), .n = (l) })
#define DB_NULL       ((struct db_value){ .type = DB_TYPE_NULL })
/* An id, or NULL for 0. */
#define DB_ID(v) ((v) ? DB_INT(v) : DB_NULL)

#define DB_ARGS_(...)                                      \
        (const struct db_value[]){ __VA_ARGS__ __VA_OPT__(,) DB_NULL }, \
                sizeof((const struct db_value[]){ __VA_ARGS__ __VA_OPT__(,) DB_NULL }) / sizeof(struct db_value) - 1

/* Called for each row. A negative value ends the walk and is returned; so does a positive one. */
typedef int db_row_fn(void *ctx, const struct db_row *row);

/* SQL is one of those tables', compared as a pointer. The number of arguments is the statement's (assert). */
int db_run_(struct db_txn *t, const char *sql, const struct db_value *args, size_t n);
int db_run_one_(struct db_txn *t, const char *sql, const struct db_value *args, size_t n);
int db_one_(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n);
int db_each_(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n);
int db_int_(struct db_txn *t, const char *sql, int64_t *ret, const struct db_value *args, size_t n);

/* Runs a statement that gives no rows; gives the number of rows changed. */
#define db_run(t, sql, ...) db_run_(t, sql, DB_ARGS_(__VA_ARGS__))
/* Likewise, where a row is to be changed: 0, or -ENOENT without it. */
#define db_run_one(t, sql, ...) db_run_one_(t, sql, DB_ARGS_(__VA_ARGS__))
/* Exactly one row is wanted: 0 after FN saw it, -ENOENT without one. FN may be NULL. */
#define db_one(t, sql, fn, ctx, ...) db_one_(t, sql, fn, ctx, DB_ARGS_(__VA_ARGS__))
/* 0, or what FN ended the walk with. */
#define db_each(t, sql, fn, ctx, ...) db_each_(t, sql, fn, ctx, DB_ARGS_(__VA_ARGS__))
/* The first column of the first row; -ENOENT without one. */
#define db_int(t, sql, ret, ...) db_int_(t, sql, ret, DB_ARGS_(__VA_ARGS__))

uint64_t db_last_id(struct db_txn *t);

/*
 * From now on FN is called, by a thread of its own and with no transaction open, when other hosts have committed something: what,
 * is not said, and many commits may be told as one. Also when that could not be known: at first, and when a server that was
 * out of reach is back. Until db_hear_no_more() returns. Once. In a directory: never.
 */
typedef void db_news_fn(void *ctx);
int db_hear(struct db *db, db_news_fn *fn, void *ctx);
void db_hear_no_more(struct db *db); /* also where it never began */

/* On a server: it gets another NAME, by which nobody finds it but a person. -EOPNOTSUPP: it is in a directory. */
int db_retire(struct db *db, const char *name);
/*
 * Calls FN for each host that serves the library or did: its name, until when it does so in microseconds or 0, its version, its directory.
 * For none where it is in a directory.
 */
int db_each_host(struct db_txn *t, db_row_fn *fn, void *ctx);

bool db_row_is_null(const struct db_row *row, int col);
int64_t db_row_int(const struct db_row *row, int col); /* 0 for NULL */
/* Copies a text into BUF, cut at SIZE - 1; '' for NULL. */
void db_row_text(const struct db_row *row, int col, char *buf, size_t size);
/* Copies exactly N bytes, or zeros where the column has another length. */
void db_row_blob(const struct db_row *row, int col, void *buf, size_t n);
/* Borrowed until FN returns; "" for NULL. */
const char *db_row_str(const struct db_row *row, int col);

/* One per aggregate, named <stem>_statements, handed to db_open(). */
struct db_statements {
        const char *const *sql;
        size_t count;
};
#define DB_STATEMENTS(array) { (array), sizeof(array) / sizeof((array)[0]) }

/* PRAGMA integrity_check and foreign_key_check; FN gets one line per finding. Gives their number. */
int db_check(struct db *db, void (*fn)(void *ctx, const char *text), void *ctx);

#endif
