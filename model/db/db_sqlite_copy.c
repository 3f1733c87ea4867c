/* SPDX-License-Identifier: MIT */

/*
 * Copying a database that is in use, by sqlite's backup interface: page by page, on a connection of its own that stays
 * in one read transaction, so that all pages are of one moment however much is written meanwhile. As long as it lasts,
 * the WAL cannot begin anew; nobody waits.
 *
 * What is damaged would be copied as it is, and in the end be all that there is. So every copy is read through.
 */

#include "model/db/db_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "model/db/db_sqlite_copy.h"
#include "model/db/db_sqlite_priv.h"
#include "model/db/migrate.h"

/* Of 4 KiB: a moment between two questions whether to stop, also on a slow disk. */
#define PAGES_AT_ONCE 256

/* Of sqlite's virtual machine, likewise. */
#define STEPS_AT_ONCE 100000

DEFINE_CLEANUP(sqlite3 *, conn_closep, sqlite3_close_v2)

static void connection_done(struct connection *c)
{
        (void)sqlite3_close_v2(c->conn);
}

/* sqlite knows paths only. */
static int open_in(int dir_fd, const char *name, int flags, const char *query, sqlite3 **ret)
{
        char uri[160];
        int n = snprintf(uri, sizeof(uri), "file:/proc/self/fd/%d/%s%s", dir_fd, name, query);

        if (n < 0 || (size_t)n >= sizeof(uri))
                return -ENAMETOOLONG;
        if (sqlite3_open_v2(uri, ret, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) !=
            SQLITE_OK)
                return *ret ? db_errno(*ret) : -ENOMEM;
        return 0;
}

/* ---- is it whole? ---- */

static int take_line(void *ctx, int n, char **values, char **names)
{
        (void)names;
        (void)snprintf(ctx, sizeof(((struct db_copy_facts *)NULL)->library), "%s", n == 1 && values[0] ? values[0] : "");
        return 0;
}

/* CHECK: a pragma that answers "ok". */
static int read_through(sqlite3 *conn, const char *check)
{
        char answer[sizeof(((struct db_copy_facts *)NULL)->library)] = "";

        if (sqlite3_exec(conn, check, take_line, answer, NULL) != SQLITE_OK)
                return sqlite3_errcode(conn) == SQLITE_INTERRUPT ? -ECANCELED : db_errno(conn);
        return strcmp(answer, "ok") == 0 ? 0 : -EBADMSG;
}

int db_copy_read(int dir_fd, const char *name, struct db_copy_facts *ret)
{
        CLEANUP(conn_closep) sqlite3 *conn = NULL;
        struct db_copy_facts facts = { 0 };
        int r;

        /* "immutable" keeps sqlite from making a WAL beside it. */
        r = open_in(dir_fd, name, SQLITE_OPEN_READONLY, "?immutable=1", &conn);
        if (r == 0)
                r = db_exec(conn, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0");
        if (r == 0)
                r = migrate(conn, true, NULL, NULL);
        facts.is_older = r == -ESTALE;
        if (r == 0 || facts.is_older)
                r = read_through(conn, "PRAGMA integrity_check(1)");
        if (r < 0)
                return r;
        if (sqlite3_exec(conn, "SELECT ident FROM library", take_line, facts.library, NULL) != SQLITE_OK &&
            !facts.is_older)
                return db_errno(conn);
        *ret = facts;
        return 0;
}

/* ---- copying ---- */

struct stopping {
        db_copy_stop_fn *stop; /* NULL: never */
        void *ctx;
};

static int must_stop(void *ctx)
{
        const struct stopping *s = ctx;

        return s->stop && s->stop(s->ctx);
}

static int copy_pages(sqlite3 *from, sqlite3 *to, struct stopping *s)
{
        sqlite3_backup *backup;
        int code;

        backup = sqlite3_backup_init(to, "main", from, "main");
        if (!backup)
                return db_errno(to);
        do
                code = must_stop(s) ? SQLITE_INTERRUPT : sqlite3_backup_step(backup, PAGES_AT_ONCE);
        while (code == SQLITE_OK);
        if (sqlite3_backup_finish(backup) != SQLITE_OK)
                return db_errno(to);
        return code == SQLITE_DONE ? 0 : -ECANCELED;
}

/* FROM is left as it was: it may be used for something else. */
static int copy_moment(sqlite3 *from, sqlite3 *to, struct stopping *s)
{
        int r;

        r = db_exec(from, "BEGIN; SELECT count(*) FROM sqlite_schema");
        if (r == 0)
                r = copy_pages(from, to, s);
        if (!sqlite3_get_autocommit(from))
                (void)db_exec(from, "ROLLBACK"); /* nothing was written */
        return r;
}

/* No journal: one that is cut off is thrown away. It is synced at the end, once. */
static int fill_file(sqlite3 *from, int dir_fd, const char *name, struct stopping *s)
{
        CLEANUP(conn_closep) sqlite3 *to = NULL;
        int r;

        r = open_in(dir_fd, name, SQLITE_OPEN_READWRITE, "", &to);
        if (r == 0)
                r = db_exec(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;"
                             "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0");
        if (r == 0)
                r = copy_moment(from, to, s);
        if (r < 0)
                return r;
        sqlite3_progress_handler(to, STEPS_AT_ONCE, must_stop, s);
        return read_through(to, "PRAGMA quick_check(1)");
}

int db_copy_from(sqlite3 *from, int dir_fd, const char *name, db_copy_stop_fn *stop, void *ctx)
{
        struct stopping s = { .stop = stop, .ctx = ctx };
        CLEANUP_CLOSE int fd = -1;
        int r;

        if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = fill_file(from, dir_fd, name, &s);
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        if (r < 0)
                (void)unlinkat(dir_fd, name, 0); /* the first error is the one to tell; it is no copy by its name alone */
        return r;
}

int db_sqlite_copy(struct db *base, int dir_fd, const char *name, db_copy_stop_fn *stop, void *ctx)
{
        const struct db_sqlite *db = db_sqlite_of(base);
        CLEANUP(connection_done) struct connection from = { 0 };
        char path[64];
        int r;

        if (atomic_load(&db->degraded) || db->dir_fd < 0)
                return -EROFS; /* what is read may never have been written; or it is only looked at */
        db_path(db->dir_fd, path, sizeof(path));
        r = db_connect_reader(&from, path);
        return r < 0 ? r : db_copy_from(from.conn, dir_fd, name, stop, ctx);
}
