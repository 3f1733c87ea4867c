/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_TRANSFER_H
#define MODEL_DB_DB_TRANSFER_H

/* All rows of one database into one that is made for them, of the other engine or not. Private to model/. */

#include "model/db/db.h"

struct db_place {
        int dir_fd; /* of one in a directory */
        struct db_opts opts; /* all but the tables, and what is to be filled */
};

struct db_transferred {
        uint64_t rows, tables;
        int retired; /* of one on a server: 0, or why it has its name still */
        const char *failed; /* which of the two could not be used: "from", "to"; NULL: neither */
        char what[64]; /* the table whose rows came to another as others, or ""; -EILSEQ */
};

/* Has the library use the new one, which is closed. */
typedef int db_use_fn(void *ctx);

/*
 * TO is made, in one transaction, and only if what is in it then is what is in FROM, row by row: else -EILSEQ. Numbers that were
 * given out are not given out again there. SCRATCH_FD: a directory for what the tables are learnt from; what is called
 * as the database in it goes. Nobody else can serve FROM before USE has returned 0, and what is on a server has another NAME then: other
 * hosts know where it was. Errors as of db_open(), and what befalls a statement.
 */
int db_transfer(const struct db_place *from, const struct db_place *to, int scratch_fd, db_use_fn *use, void *ctx,
                const char *name, struct db_transferred *ret);

#endif
