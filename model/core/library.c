/* SPDX-License-Identifier: MIT */

/*
 * What is known of the library as a whole.
 */

#include "model/core/library.h"

#include "model/core/stores.h"

enum { BORN };

static const char *const library_sql[] = {
        [BORN] = "SELECT born FROM library",
};
const struct db_statements library_statements = DB_STATEMENTS(library_sql);

int64_t model_born_us(struct model *m)
{
        int64_t born_us = 0;
        DB_TXN(t);

        if (db_begin(m->db, DB_READ, &t) < 0 || db_int(&t, library_sql[BORN], &born_us) < 0)
                return 0;
        return born_us;
}

bool model_is_degraded(struct model *m)
{
        return db_is_degraded(m->db) || stores_are_degraded(m->stores);
}
