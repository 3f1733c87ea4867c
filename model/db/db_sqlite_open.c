/* SPDX-License-Identifier: MIT */

/*
 * Opening the database: connections to one file in WAL mode, the one that writes and those that read, with every
 * statement of the model prepared on each, and all other programs kept out (db_vfs.h). A library that is only looked at
 * is opened so that no trace is left.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "model/db/db_sqlite_copy.h"
#include "model/db/db_sqlite_priv.h"
#include "model/db/db_vfs.h"
#include "model/db/migrate.h"
#include "model/db/reserve.h"

#define WAL_BYTES_KEPT "67108864"

/*
 * Who reads takes the first connection that is free, so the first does nearly all of what is asked by one after another.
 * In KiB: rows and names of some 100 000 images. With sqlite's 2 MiB each stat(2) among so many read two pages anew, a
 * fifth of its processor time.
 */
#define FIRST_READER_CACHE "PRAGMA cache_size = -24576"

static const char *const begin_sql[] = { [DB_READ] = "BEGIN", [DB_WRITE] = "BEGIN IMMEDIATE" };

/* ---- statements ---- */

static int compare_prepared(const void *a, const void *b)
{
        uintptr_t x = (uintptr_t)((const struct prepared *)a)->sql;
        uintptr_t y = (uintptr_t)((const struct prepared *)b)->sql;

        return (x > y) - (x < y);
}

int db_prepare(sqlite3 *conn, const char *sql, sqlite3_stmt **ret)
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
                r = db_prepare(c->conn, table->sql[i], &p->stmt);
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

static int prepare_all(struct connection *c, const struct db_statements *const *tables, bool read_only)
{
        size_t n = 0;
        int r;

        for (size_t i = 0; tables[i]; i++)
                n += tables[i]->count;
        c->statements = calloc(n + 1, sizeof(*c->statements));
        if (!c->statements)
                return -ENOMEM;

        for (size_t i = 0; tables[i]; i++) {
                r = prepare_table(c, tables[i], read_only);
                if (r < 0)
                        return r;
        }
        r = db_prepare(c->conn, begin_sql[read_only ? DB_READ : DB_WRITE], &c->begin);
        if (r == 0)
                r = db_prepare(c->conn, "COMMIT", &c->commit);
        if (r == 0)
                r = db_prepare(c->conn, "ROLLBACK", &c->rollback);
        if (r < 0)
                return r;
        qsort(c->statements, c->n_statements, sizeof(*c->statements), compare_prepared);
        return 0;
}

sqlite3_stmt *db_find_statement(struct connection *c, const char *sql)
{
        struct prepared key = { .sql = sql };
        struct prepared *p = bsearch(&key, c->statements, c->n_statements, sizeof(key), compare_prepared);

        assert(p); /* of a table that db_open() was given; one that writes needs a DB_WRITE transaction */
        return p->stmt;
}

/* ---- connections ---- */

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
                return -EIO; /* sqlite gives no reason, and with a VFS that has the index there is none */
        /* not each commit is synced by sqlite: db_sync.h */
        return db_exec(conn, "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = " WAL_BYTES_KEPT);
}

/*
 * A migrate_keep_fn. The old one stays beside until a person removes it. One of an earlier time is replaced: whoever
 * went back to it has what this one holds.
 */
static int keep_old(void *ctx, sqlite3 *conn, int version)
{
        const int *dir_fd = ctx;
        char name[64], temp[72];
        int r;

        (void)snprintf(name, sizeof(name), DB_FILE ".schema-%d", version);
        (void)snprintf(temp, sizeof(temp), "%s.tmp", name);
        r = db_copy_from(conn, *dir_fd, temp, NULL, NULL);
        if (r == 0 && renameat(*dir_fd, temp, *dir_fd, name) < 0)
                r = -errno;
        return r < 0 ? r : fsync_dir(*dir_fd);
}

/* It knows that there is a WAL when it has read. */
static int open_copier(struct connection *c, const char *path)
{
        int r;

        r = db_connect(c, path, SQLITE_OPEN_READWRITE, DB_VFS, "SELECT 1 FROM sqlite_schema");
        if (r == 0)
                (void)sqlite3_db_config(c->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return r;
}

static int open_writer(struct db_sqlite *db, int dir_fd, const char *path, const struct db_statements *const *tables)
{
        struct connection *c = &db->writer;
        bool made;
        int r;

        r = db_connect(c, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, DB_VFS, "");
        if (r < 0)
                return r;
        r = migrate(c->conn, false, keep_old, &dir_fd);
        if (r < 0)
                return r;
        made = r > 0;
        r = enter_wal(c->conn);
        if (r == 0 && made)
                r = fsync_dir(dir_fd);
        if (r < 0)
                return r;
        r = prepare_all(c, tables, false);
        if (r == 0)
                r = open_copier(&db->copier, path);
        return r < 0 ? r : db_sync_new(c, dir_fd, &db->sync);
}

int db_open_reader(struct db_sqlite *db, struct connection *c)
{
        char path[64];
        int r;

        db_path(db->dir_fd, path, sizeof(path));
        r = db_connect_reader(c, path);
        return r < 0 ? r : prepare_all(c, db->tables, true);
}

/* Closing copies the WAL back and removes it, of a database that cannot be read without the first. */
static void keep_wal(struct connection *c)
{
        int on = 1;

        if (!c->conn)
                return;
        (void)sqlite3_db_config(c->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        (void)sqlite3_file_control(c->conn, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
}

/*
 * Leaves no trace, which needs the library for itself. Without a WAL "immutable" keeps sqlite from making any file. One
 * that a crash left has to be read, with its index in memory; the connection is kept from copying the WAL back and
 * removing it.
 */
static int open_read_only(struct db_sqlite *db, int dir_fd, const char *path, const struct db_statements *const *tables)
{
        struct connection *c = &db->reader[0];
        bool has_wal = faccessat(dir_fd, DB_FILE "-wal", F_OK, 0) == 0;
        char uri[96];
        int r;

        (void)snprintf(uri, sizeof(uri), "file:%s%s", path, has_wal ? "" : "?immutable=1");
        r = db_vfs_register();
        if (r == 0)
                r = db_connect(c, uri, SQLITE_OPEN_URI | (has_wal ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY),
                               has_wal ? DB_VFS : NULL, "PRAGMA query_only = ON");
        if (r < 0)
                return r;
        keep_wal(c);
        r = migrate(c->conn, true, NULL, NULL);
        return r < 0 ? r : prepare_all(c, tables, true);
}

/*
 * For us alone from its first byte, whatever the umask is: sqlite would make it for all to read, and gives the WAL the
 * mode that the database has. What is there is left to it, also what it cannot open.
 */
static int make_file(int dir_fd)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, DB_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        return fd < 0 && errno != EEXIST ? -errno : 0;
}

/*
 * sqlite takes an empty file for a new database, and a WAL beside it for one that has to go. A new one has no WAL before
 * it has a schema.
 */
static bool is_cut_off(int dir_fd)
{
        struct stat db, wal;

        return fstatat(dir_fd, DB_FILE, &db, AT_SYMLINK_NOFOLLOW) == 0 && db.st_size == 0 &&
               fstatat(dir_fd, DB_FILE "-wal", &wal, AT_SYMLINK_NOFOLLOW) == 0 && wal.st_size > 0;
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

static void close_opened(struct db_sqlite *db)
{
        if (db)
                db_sqlite_close(&db->db);
}

DEFINE_CLEANUP(struct db_sqlite *, cleanup_db, close_opened)

/* It counts each allocation under one lock of all connections, and nobody asks. Where it is in use already it goes on so. */
static void set_memory(void)
{
        (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int db_sqlite_connect(int dir_fd, const struct db_opts *opts, struct db_sqlite **ret)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        CLEANUP(cleanup_db) struct db_sqlite *db = NULL;
        char path[64];
        int r;

        (void)pthread_once(&once, set_memory);
        if (is_cut_off(dir_fd))
                return -EUCLEAN;
        db = calloc(1, sizeof(*db));
        if (!db)
                return -ENOMEM;
        db->dir_fd = -1;
        db->tables = opts->tables;
        init_lock(&db->writing);
        init_lock(&db->keeper.mutex);
        init_lock(&db->reading);
        (void)pthread_cond_init(&db->reader_free, NULL); /* cannot fail without attributes, as the next */
        (void)pthread_cond_init(&db->scans_again, NULL);
        (void)pthread_cond_init(&db->keeper.wanted, NULL);
        (void)pthread_cond_init(&db->keeper.done, NULL);
        db_path(dir_fd, path, sizeof(path));

        if (!opts->read_only) {
                db->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
                if (db->dir_fd < 0)
                        return -errno;
                reserve_ease(dir_fd);
                r = db_vfs_register();
                if (r == 0)
                        r = make_file(dir_fd);
                if (r < 0)
                        return r;
        }
        if (opts->read_only)
                r = open_read_only(db, dir_fd, path, opts->tables);
        else
                r = open_writer(db, dir_fd, path, opts->tables);
        if (r == 0 && !opts->read_only)
                r = db_open_reader(db, &db->reader[0]);
        if (r == 0)
                r = db_exec(db->reader[0].conn, FIRST_READER_CACHE);
        if (r == 0 && !opts->read_only)
                r = db_wal_start(db);
        if (r < 0) {
                keep_wal(&db->reader[0]);
                keep_wal(&db->writer);
                return r;
        }
        if (!opts->read_only)
                (void)unlinkat(dir_fd, DB_FILE "-shm", 0); /* of an earlier version: nobody can have it open now */
        *ret = TAKE_PTR(db);
        return 0;
}

void db_close_connection(struct connection *c)
{
        for (size_t i = 0; i < c->n_statements; i++)
                (void)sqlite3_finalize(c->statements[i].stmt);
        free(c->statements);
        (void)sqlite3_finalize(c->begin);
        (void)sqlite3_finalize(c->commit);
        (void)sqlite3_finalize(c->rollback);
        (void)sqlite3_close_v2(c->conn);
        *c = (struct connection){ .busy = c->busy };
}

void db_sqlite_close(struct db *base)
{
        struct db_sqlite *db = db_sqlite_of(base);

        db_wal_stop(db);
        /* The writer last: whoever closes last does a checkpoint. */
        for (unsigned i = 0; i < READERS_MAX; i++)
                db_close_connection(&db->reader[i]);
        db_sync_free(db->sync);
        db_close_connection(&db->copier);
        db_close_connection(&db->writer);
        (void)pthread_cond_destroy(&db->scans_again);
        (void)pthread_cond_destroy(&db->reader_free);
        (void)pthread_mutex_destroy(&db->reading);
        (void)pthread_cond_destroy(&db->keeper.done);
        (void)pthread_cond_destroy(&db->keeper.wanted);
        (void)pthread_mutex_destroy(&db->keeper.mutex);
        (void)pthread_mutex_destroy(&db->writing);
        cleanup_close(&db->dir_fd);
        free(db);
}
