/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/index_db_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/log.h"
#include "blobstore/hash/hash.h"

/* "imfi", at the place where file(1) looks. */
#define INDEX_DB_APPLICATION_ID 0x696d6669

/* Pages of 4 KiB in the WAL after which it is copied back. */
#define INDEX_DB_WAL_PAGES 2048
#define INDEX_DB_WAL_REST 128 /* when nobody writes any more */

struct index_db {
        sqlite3 *handle;
        atomic_bool *degraded;
        int wal_pages; /* as of the last commit */
        int wal_limit; /* pages after which it is copied back */
        bool lazy;     /* commits are not synced */
        size_t count;
        sqlite3_stmt *stmts[];
};

/*
 * Did a quota stop the last write? For SQLite only ENOSPC is a full disk; other errors it notes at the file: the WAL,
 * or the database that it is copied back to.
 */
static bool index_db_met_quota(struct index_db *db)
{
        static const int files[] = { SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER };

        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                sqlite3_file *file = NULL;
                int error = 0;

                (void)sqlite3_file_control(db->handle, NULL, files[i], &file);
                if (file && file->pMethods)
                        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
                if (error == EDQUOT)
                        return true;
        }
        return false;
}

/* Negative errno for what SQLite says; failures of the disk degrade the store. */
static int index_db_error(struct index_db *db, int code)
{
        int extended = sqlite3_extended_errcode(db->handle);

        log_debug("index: %s (%d)", sqlite3_errmsg(db->handle), extended);
        switch (code & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_CANTOPEN:
                return -EIO;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_ERROR: /* statements are constant: the schema must be another */
        case SQLITE_SCHEMA:
        case SQLITE_CONSTRAINT: /* counts that fall below zero, rows that are there twice */
        case SQLITE_MISMATCH:
                return -EUCLEAN;
        case SQLITE_IOERR:
                if (extended == SQLITE_IOERR_NOMEM)
                        return -ENOMEM;
                if (extended == SQLITE_IOERR_WRITE && index_db_met_quota(db))
                        return -ENOSPC;
                atomic_store(db->degraded, true);
                return -EIO;
        default:
                atomic_store(db->degraded, true);
                return -EIO;
        }
}

static int index_db_exec(struct index_db *db, const char *sql)
{
        int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

        return code == SQLITE_OK ? 0 : index_db_error(db, code);
}

static int index_db_pragma(struct index_db *db, const char *sql, int64_t *ret)
{
        sqlite3_stmt *stmt;
        int code;

        code = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);
        if (code != SQLITE_OK)
                return index_db_error(db, code);
        code = sqlite3_step(stmt);
        if (code == SQLITE_ROW)
                *ret = sqlite3_column_int64(stmt, 0);
        (void)sqlite3_finalize(stmt); /* tells the step's error again */
        return code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? -EUCLEAN : index_db_error(db, code);
}

static int index_db_wal_hook(void *ctx, sqlite3 *handle, const char *name, int pages)
{
        struct index_db *db = ctx;

        (void)handle;
        (void)name;
        db->wal_pages = pages;
        return SQLITE_OK;
}

/*
 * Without a WAL, "immutable" keeps SQLite from making any file. A WAL that a crash left has to be read, which SQLite
 * does for a connection that could write only, and that has the database for itself (-EBUSY otherwise); this one is
 * kept from writing the WAL back when it is closed. Where the file system can only be read that cannot be had: an index
 * which cannot be used, -EUCLEAN, does for who only reads.
 */
static int index_db_connect_read_only(struct index_db *db, int dir_fd, const char *name)
{
        char wal[64], uri[96];
        struct stat st;
        bool has_wal;
        int code;

        (void)snprintf(wal, sizeof(wal), "%s-wal", name);
        has_wal = fstatat(dir_fd, wal, &st, 0) == 0 && st.st_size > 0;
        if (has_wal && faccessat(dir_fd, ".", W_OK, 0) < 0 && errno == EROFS)
                return -EUCLEAN;
        (void)snprintf(uri, sizeof(uri), "file:/proc/self/fd/%d/%s?%s", dir_fd, name,
                       has_wal ? "mode=rw" : "mode=ro&immutable=1");
        code = sqlite3_open_v2(
                uri, &db->handle,
                SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | (has_wal ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY), NULL);
        if (code != SQLITE_OK)
                return db->handle ? index_db_error(db, code) : -ENOMEM;
        if (has_wal) {
                int on = 1;

                (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
                (void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
                return index_db_exec(db, "PRAGMA locking_mode = EXCLUSIVE");
        }
        return 0;
}

static int index_db_connect(struct index_db *db, int dir_fd, const char *name, enum index_db_mode mode)
{
        char uri[96];
        int code;

        if (mode == INDEX_DB_READ_ONLY)
                return index_db_connect_read_only(db, dir_fd, name);

        /* By way of the descriptor, so that neither the directory's name nor its being moved matters. */
        (void)snprintf(uri, sizeof(uri), "file:/proc/self/fd/%d/%s", dir_fd, name);
        code = sqlite3_open_v2(mode == INDEX_DB_TEMPORARY ? "" : uri, &db->handle,
                               SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE |
                                       (mode == INDEX_DB_OPEN ? 0 : SQLITE_OPEN_CREATE),
                               NULL);
        if (code != SQLITE_OK)
                return db->handle ? index_db_error(db, code) : -ENOMEM;
        /* What is built here is built in one go, and synced whole or thrown away. */
        if (mode != INDEX_DB_OPEN)
                return index_db_exec(db, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
                                         "PRAGMA cache_size = -32768");

        (void)sqlite3_wal_autocheckpoint(db->handle, 0); /* before the hook, which it would replace */
        (void)sqlite3_wal_hook(db->handle, index_db_wal_hook, db);
        return index_db_exec(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                                 "PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;"
                                 "PRAGMA journal_size_limit = 4194304");
}

/* Anybody who opens it meanwhile, or after a crash, finds the one or the other. */
static int index_db_step(struct index_db *db, const char *step, int64_t version)
{
        char sql[1024];
        int r;

        if (snprintf(sql, sizeof(sql), "BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT", step, (int)version) >=
            (int)sizeof(sql))
                return -EINVAL;
        r = index_db_exec(db, sql);
        if (r < 0)
                index_db_rollback(db);
        return r;
}

/* STEP: where it is of the version before, and may be changed; or NULL. */
static int index_db_check_version(struct index_db *db, int64_t version, const char *step)
{
        int64_t id, found;
        int r;

        r = index_db_pragma(db, "PRAGMA application_id", &id);
        if (r < 0)
                return r;
        r = index_db_pragma(db, "PRAGMA user_version", &found);
        if (r < 0)
                return r;
        if (id != INDEX_DB_APPLICATION_ID || found == 0)
                return -EUCLEAN;
        if (found == version - 1 && step)
                return index_db_step(db, step, version);
        return found == version ? 0 : -EPROTONOSUPPORT;
}

static int index_db_create_schema(struct index_db *db, const char *schema, int64_t version)
{
        char sql[96];
        int r;

        r = index_db_exec(db, schema);
        if (r < 0)
                return r;
        (void)snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
                       INDEX_DB_APPLICATION_ID, (int)version);
        return index_db_exec(db, sql);
}

/* The arguments one after the other, each with its type before it, as they are hashed; more than all rows have. */
#define PROOF_SIZE_MAX 256

static void index_db_row_proof(sqlite3_context *ctx, int n, sqlite3_value **args)
{
        uint8_t bytes[PROOF_SIZE_MAX];
        size_t used = 0, len;

        for (int i = 0; i < n; i++) {
                int type = sqlite3_value_type(args[i]);

                len = type == SQLITE_INTEGER ? 8 : type == SQLITE_BLOB ? (size_t)sqlite3_value_bytes(args[i]) : 0;
                if (used + 1 + len > sizeof(bytes)) {
                        sqlite3_result_error_toobig(ctx);
                        return;
                }
                bytes[used++] = (uint8_t)type;
                if (type == SQLITE_INTEGER)
                        put_le64(bytes + used, (uint64_t)sqlite3_value_int64(args[i]));
                else if (len > 0)
                        memcpy(bytes + used, sqlite3_value_blob(args[i]), len);
                used += len;
        }
        sqlite3_result_int64(ctx, (sqlite3_int64)hash64(bytes, used, INDEX_DB_APPLICATION_ID));
}

static int index_db_add_functions(struct index_db *db)
{
        int code = sqlite3_create_function_v2(db->handle, "row_proof", -1,
                                              SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, NULL,
                                              index_db_row_proof, NULL, NULL, NULL);

        return code == SQLITE_OK ? 0 : index_db_error(db, code);
}

int index_db_open(int dir_fd, const char *name, enum index_db_mode mode, const char *schema, const char *step,
                  int64_t version, const char *const *sql, size_t count, atomic_bool *degraded, struct index_db **ret)
{
        struct index_db *db;
        int code, r;

        if ((mode == INDEX_DB_OPEN || mode == INDEX_DB_READ_ONLY) && faccessat(dir_fd, name, F_OK, 0) < 0)
                return -errno;
        db = calloc(1, sizeof(*db) + count * sizeof(db->stmts[0]));
        if (!db)
                return -ENOMEM;
        db->degraded = degraded;
        db->count = count;
        db->wal_limit = INDEX_DB_WAL_PAGES;

        r = index_db_connect(db, dir_fd, name, mode);
        if (r == 0)
                r = index_db_add_functions(db);
        if (r == 0 && (mode == INDEX_DB_CREATE || mode == INDEX_DB_TEMPORARY))
                r = index_db_create_schema(db, schema, version);
        if (r == 0)
                r = index_db_check_version(db, version, mode == INDEX_DB_OPEN ? step : NULL);
        for (size_t i = 0; r == 0 && i < count; i++) {
                code = sqlite3_prepare_v3(db->handle, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmts[i], NULL);
                if (code != SQLITE_OK)
                        r = index_db_error(db, code);
        }
        if (r < 0) {
                index_db_close(db);
                return r;
        }
        *ret = db;
        return 0;
}

void index_db_close(struct index_db *db)
{
        if (!db)
                return;
        for (size_t i = 0; i < db->count; i++)
                (void)sqlite3_finalize(db->stmts[i]); /* tells the last step's error again */
        (void)sqlite3_close(db->handle);              /* what a last checkpoint could not do is still in the WAL */
        free(db);
}

static int index_db_bind(struct index_db *db, unsigned stmt, const struct db_arg *args, size_t n)
{
        sqlite3_stmt *s = db->stmts[stmt];
        int code = SQLITE_OK;

        assert(stmt < db->count && sqlite3_bind_parameter_count(s) == (int)n);
        for (size_t i = 0; i < n && code == SQLITE_OK; i++) {
                if (args[i].null)
                        code = sqlite3_bind_null(s, (int)i + 1);
                else if (args[i].blob)
                        code = sqlite3_bind_blob(s, (int)i + 1, args[i].blob, (int)args[i].n, SQLITE_STATIC);
                else
                        code = sqlite3_bind_int64(s, (int)i + 1, args[i].number);
        }
        return code == SQLITE_OK ? 0 : index_db_error(db, code);
}

int index_db_start(struct index_db *db, unsigned stmt, const struct db_arg *args, size_t n)
{
        return index_db_bind(db, stmt, args, n);
}

int index_db_next(struct index_db *db, unsigned stmt)
{
        int code = sqlite3_step(db->stmts[stmt]);

        if (code == SQLITE_ROW)
                return 1;
        return code == SQLITE_DONE ? 0 : index_db_error(db, code);
}

int64_t index_db_column(struct index_db *db, unsigned stmt, int column)
{
        return sqlite3_column_int64(db->stmts[stmt], column);
}

int index_db_column_blob(struct index_db *db, unsigned stmt, int column, void *ret, size_t n)
{
        const void *blob = sqlite3_column_blob(db->stmts[stmt], column);

        if (!blob || (size_t)sqlite3_column_bytes(db->stmts[stmt], column) != n)
                return -EUCLEAN;
        memcpy(ret, blob, n);
        return 0;
}

bool index_db_column_is_null(struct index_db *db, unsigned stmt, int column)
{
        return sqlite3_column_type(db->stmts[stmt], column) == SQLITE_NULL;
}

void index_db_end(struct index_db *db, unsigned stmt)
{
        (void)sqlite3_reset(db->stmts[stmt]); /* tells the last step's error again */
        (void)sqlite3_clear_bindings(db->stmts[stmt]);
}

int index_db_run(struct index_db *db, unsigned stmt, const struct db_arg *args, size_t n)
{
        int r;

        r = index_db_start(db, stmt, args, n);
        while (r == 0 && (r = index_db_next(db, stmt)) > 0)
                r = 0;
        index_db_end(db, stmt);
        return r;
}

int index_db_get(struct index_db *db, unsigned stmt, int64_t *ret, size_t columns, const struct db_arg *args, size_t n)
{
        int r;

        r = index_db_start(db, stmt, args, n);
        if (r == 0)
                r = index_db_next(db, stmt);
        for (size_t i = 0; r > 0 && i < columns; i++)
                ret[i] = index_db_column(db, stmt, (int)i);
        index_db_end(db, stmt);
        return r;
}

int index_db_begin(struct index_db *db, bool durable)
{
        int r;

        if (!sqlite3_get_autocommit(db->handle))
                return 0;
        if (db->lazy == durable) {
                r = index_db_exec(db, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
                if (r < 0)
                        return r;
                db->lazy = !durable;
        }
        return index_db_exec(db, "BEGIN IMMEDIATE");
}

void index_db_rollback(struct index_db *db)
{
        /* SQLite may have rolled back by itself, which makes this an error and is what is wanted. */
        if (!sqlite3_get_autocommit(db->handle))
                (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* What goes wrong with it is for the next change to meet: what was committed is in the WAL, and safe. */
static void index_db_checkpoint(struct index_db *db, int mode)
{
        int code = sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, NULL, NULL);

        if (code == SQLITE_OK)
                db->wal_pages = 0; /* the next commit begins it anew */
        else
                (void)index_db_error(db, code);
}

int index_db_commit(struct index_db *db)
{
        int r;

        if (sqlite3_get_autocommit(db->handle))
                return 0;
        r = index_db_exec(db, "COMMIT");
        if (r < 0) {
                index_db_rollback(db);
                return r;
        }

        if (db->wal_pages >= db->wal_limit)
                index_db_checkpoint(db, SQLITE_CHECKPOINT_PASSIVE);
        return 0;
}

void index_db_rest(struct index_db *db)
{
        if (db->wal_pages >= INDEX_DB_WAL_REST && sqlite3_get_autocommit(db->handle))
                index_db_checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
}

void index_db_set_thrifty(struct index_db *db, bool thrifty)
{
        db->wal_limit = thrifty ? 1 : INDEX_DB_WAL_PAGES;
        if (thrifty) /* what cannot be done now is tried after the next commit */
                index_db_checkpoint(db, SQLITE_CHECKPOINT_PASSIVE);
}

int index_db_verify(struct index_db *db)
{
        sqlite3_stmt *stmt;
        const char *text = NULL;
        int code, r;

        code = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &stmt, NULL);
        if (code != SQLITE_OK)
                return index_db_error(db, code);
        code = sqlite3_step(stmt);
        if (code == SQLITE_ROW)
                text = (const char *)sqlite3_column_text(stmt, 0);
        if (text)
                r = strcmp(text, "ok") == 0 ? 0 : -EUCLEAN;
        else
                r = code == SQLITE_ROW ? -ENOMEM : index_db_error(db, code);
        (void)sqlite3_finalize(stmt);
        return r;
}
