/* SPDX-License-Identifier: MIT */

/* How a connection to the database is set up, whatever it is for. */

#include <errno.h>
#include <stdio.h>

#include "model/db/db_sqlite_priv.h"
#include "model/db/db_vfs.h"

#define BUSY_TIMEOUT_MS 10000

void db_path(int dir_fd, char *buf, size_t size)
{
        (void)snprintf(buf, size, "/proc/self/fd/%d/" DB_FILE, dir_fd);
}

int db_exec(sqlite3 *conn, const char *sql)
{
        return sqlite3_exec(conn, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_errno(conn);
}

int db_connect(struct connection *c, const char *path, int flags, const char *vfs, const char *first)
{
        int r;

        if (sqlite3_open_v2(path, &c->conn, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs) != SQLITE_OK)
                return c->conn ? db_errno(c->conn) : -ENOMEM;
        /*
         * A reader that meets the WAL's index half written looks again under the writer's lock, for an instant; and
         * another program that has the database open may be done in a moment.
         */
        (void)sqlite3_busy_timeout(c->conn, BUSY_TIMEOUT_MS);
        r = db_exec(c->conn, first);
        if (r == 0)
                r = db_exec(c->conn, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                                     "PRAGMA mmap_size = 0; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                                     "PRAGMA secure_delete = FAST"); /* passwords of fetches */
        if (r < 0)
                return r;
        (void)sqlite3_db_config(c->conn, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL); /* more safety where it is known */
        return 0;
}

int db_connect_reader(struct connection *c, const char *path)
{
        int r;

        /* Beside a writer it needs to write the index of the WAL. */
        r = db_connect(c, path, SQLITE_OPEN_READWRITE, DB_VFS, "PRAGMA query_only = ON");
        if (r == 0)
                (void)sqlite3_db_config(c->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return r;
}
