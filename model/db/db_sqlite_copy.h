/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_SQLITE_COPY_H
#define MODEL_DB_DB_SQLITE_COPY_H

/* Copying from any connection. */

#include "model/db/db_copy.h"

struct sqlite3;

/* As db_copy(), of what FROM reads. Nobody else uses FROM, and it is in no transaction. */
int db_copy_from(struct sqlite3 *from, int dir_fd, const char *name, db_copy_stop_fn *stop, void *ctx);

#endif
