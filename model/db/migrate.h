/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_MIGRATE_H
#define MODEL_DB_MIGRATE_H

/* The database's identity and version, and the steps from one version to the next. Private to db_sqlite_open.c and tests. */

#include <stdbool.h>

struct sqlite3;

#define MIGRATE_APPLICATION_ID 0x696d6673 /* "imfs", in the header of the database file */
#define MIGRATE_VERSION        9 /* of the schema in sql/schema.sql */

/* Keeps what there is, of VERSION, before it is changed; a negative errno leaves it so. */
typedef int migrate_keep_fn(void *ctx, struct sqlite3 *conn, int version);

/*
 * Makes the tables of a new database, or brings an old one up to MIGRATE_VERSION, one transaction per step; READ_ONLY:
 * only looks. Gives 1 where it made a new one. -EUCLEAN: the file is somebody else's; -EPROTONOSUPPORT: it is of
 * a version that is not known; -ESTALE: of an older one, and READ_ONLY; else as db_errno(). KEEP is called before the
 * first step of an old one.
 */
int migrate(struct sqlite3 *conn, bool read_only, migrate_keep_fn *keep, void *ctx);

#endif
