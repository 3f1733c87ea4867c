/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_COPY_H
#define MODEL_DB_DB_COPY_H

/* Copies of the database. Private to model/. */

#include <stdbool.h>

#include "model/db/db.h"

/* Is the copy to be given up? Asked every few pages. */
typedef bool db_copy_stop_fn(void *ctx);

/*
 * Writes what is committed at one moment as NAME into the directory DIR_FD, for us alone, and syncs it; what has that
 * name goes. Readers and writers go on meanwhile. The copy was read through and is whole: -EBADMSG where the database
 * is damaged. -ECANCELED; after a failure there is nothing of that name.
 */
int db_copy(struct db *db, int dir_fd, const char *name, db_copy_stop_fn *stop, void *ctx);

struct db_copy_facts {
        char library[64]; /* its name; "": of a version that had none */
        bool is_older; /* of an earlier version, and brought up to date when it is opened */
};

/*
 * Reads all of NAME in DIR_FD, without a trace. -EUCLEAN: no database of ours; -EBADMSG: damaged; -EPROTONOSUPPORT: of
 * a version that is not known.
 */
int db_copy_read(int dir_fd, const char *name, struct db_copy_facts *ret);

#endif
