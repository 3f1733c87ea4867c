/* SPDX-License-Identifier: MIT */

#include "model/core/unnamed.h"

#include <errno.h>

#include "model/core/clock.h"
#include "model/core/limits_row.h"

#define DAY_US (INT64_C(86400) * 1000000)

enum { SINCE, NOTE, FORGET };

static const char *const unnamed_sql[] = {
        [SINCE] = "SELECT since FROM unnamed WHERE store = ?1 AND key = ?2",
        [NOTE] = "INSERT INTO unnamed (store, key, since) VALUES (?1, ?2, ?3)",
        [FORGET] = "DELETE FROM unnamed WHERE store = ?1 AND key = ?2",
};
const struct db_statements unnamed_statements = DB_STATEMENTS(unnamed_sql);

int unnamed_get_wait_us(struct db_txn *t, uint64_t *ret)
{
        uint64_t days;
        int r;

        r = limit_read(t, LIMIT_UNNAMED_DAYS, &days);
        if (r == 0)
                *ret = days * (uint64_t)DAY_US;
        return r;
}

int unnamed_stays(struct db_txn *t, uint64_t store, const uint8_t key[UNNAMED_KEY_SIZE])
{
        int64_t since_us = 0, now_us = clock_now_us();
        uint64_t days;
        int r;

        r = limit_read(t, LIMIT_UNNAMED_DAYS, &days);
        if (r < 0)
                return r;
        r = db_int(t, unnamed_sql[SINCE], &since_us, DB_INT(store), DB_BLOB(key, UNNAMED_KEY_SIZE));
        if (r == -ENOENT && days > 0) {
                r = db_run(t, unnamed_sql[NOTE], DB_INT(store), DB_BLOB(key, UNNAMED_KEY_SIZE), DB_INT(now_us));
                return r < 0 ? r : 1;
        }
        if (r < 0 && r != -ENOENT)
                return r;
        if (days > 0 && now_us < since_us + (int64_t)days * DAY_US)
                return 1;
        return unnamed_forget(t, store, key);
}

int unnamed_forget(struct db_txn *t, uint64_t store, const uint8_t key[UNNAMED_KEY_SIZE])
{
        int r = db_run(t, unnamed_sql[FORGET], DB_INT(store), DB_BLOB(key, UNNAMED_KEY_SIZE));

        return r < 0 ? r : 0;
}
