/* SPDX-License-Identifier: MIT */

#include "model/db/db_sqlite_errno.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/* Why a file could not be opened, as far as the caller can do something about it. */
static int open_errno(int e)
{
        switch (e) {
        case ENOENT:
        case EACCES:
        case EROFS:
        case ENOSPC:
        case EMFILE:
        case ENFILE:
                return -e;
        }
        return -EIO;
}

/*
 * Did a quota of the disk beneath stop the last write? For sqlite only ENOSPC is a full disk. Other errors it notes at the
 * file, the WAL or the database that it is copied back to; errno has been overwritten by then.
 */
static bool met_quota(sqlite3 *conn)
{
        static const int files[] = { SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER };

        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                sqlite3_file *file = NULL;
                int e = 0;

                (void)sqlite3_file_control(conn, NULL, files[i], &file);
                if (file && file->pMethods)
                        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &e);
                if (e == EDQUOT)
                        return true;
        }
        return false;
}

int db_errno(sqlite3 *conn)
{
        int code = sqlite3_extended_errcode(conn);

        switch (code) {
        case SQLITE_CONSTRAINT_UNIQUE:
        case SQLITE_CONSTRAINT_PRIMARYKEY:
        case SQLITE_CONSTRAINT_ROWID:
                return -EEXIST;
        case SQLITE_CONSTRAINT_FOREIGNKEY:
                return -EBUSY;
        case SQLITE_IOERR_NOMEM:
                return -ENOMEM;
        case SQLITE_IOERR_CORRUPTFS:
        case SQLITE_IOERR_DATA:
                return -EBADMSG;
        }
        switch (code & 0xff) {
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_CORRUPT:
                return -EBADMSG;
        case SQLITE_NOTADB:
                return -EUCLEAN;
        case SQLITE_CONSTRAINT:
        case SQLITE_MISMATCH:
        case SQLITE_TOOBIG:
                return -EINVAL;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY; /* somebody else's program has the file open */
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
                return open_errno(sqlite3_system_errno(conn));
        case SQLITE_IOERR:
                /* A sync that failed is never just a full disk: what it lost is unknown. */
                if (code != SQLITE_IOERR_FSYNC && code != SQLITE_IOERR_DIR_FSYNC &&
                    (sqlite3_system_errno(conn) == ENOSPC || sqlite3_system_errno(conn) == EDQUOT))
                        return -ENOSPC;
                if (code == SQLITE_IOERR_WRITE && met_quota(conn))
                        return -ENOSPC;
                return -EIO;
        }
        return -EIO;
}
