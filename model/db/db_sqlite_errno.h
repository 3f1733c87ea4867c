/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_SQLITE_ERRNO_H
#define MODEL_DB_DB_SQLITE_ERRNO_H

/* What the database library says, as an errno. Private to model/. */

struct sqlite3;

/* The negative errno for the last failure of the connection. */
int db_errno(struct sqlite3 *conn);

#endif
