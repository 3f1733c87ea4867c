/* SPDX-License-Identifier: MIT */
/* The rows of fetches. Their addresses are sealed (secret.h); an earlier version's, which were not, are at start. */

#include "model/intake/fetch_row.h"

#include <errno.h>

#include "model/core/secret.h"
#include "model/core/state.h"
#include "model/intake/fetch.h"
#include "model/intake/fetch_task.h"

enum {
        FETCH_INSERT,
        FETCH_GET,
        FETCH_BEGIN,
        FETCH_SAFE,
        FETCH_RESET,
        FETCH_DELETE,
        FETCH_OPEN,
        FETCH_SEAL,
};

static const char *const fetch_row_sql[] = {
        [FETCH_INSERT] = "INSERT INTO fetch (image, url, sum, private) VALUES (?1, ?2, ?3, ?4)",
        [FETCH_GET] = "SELECT url, sum, private, etag, modified, size, place, safe FROM fetch WHERE image = ?1",
        [FETCH_BEGIN] = "UPDATE fetch SET etag = ?2, modified = ?3, size = ?4, place = ?5, safe = ?6 WHERE image = ?1",
        [FETCH_SAFE] = "UPDATE fetch SET safe = ?2 WHERE image = ?1",
        [FETCH_RESET] = "UPDATE fetch SET etag = '', modified = '', size = -1, place = '', safe = 0 WHERE image = ?1",
        [FETCH_OPEN] = "SELECT image, url FROM fetch WHERE url NOT LIKE 'sealed:%' LIMIT 1",
        [FETCH_SEAL] = "UPDATE fetch SET url = ?2 WHERE image = ?1",
        [FETCH_DELETE] = "DELETE FROM fetch WHERE image = ?1",
};

const struct db_statements fetch_row_statements = DB_STATEMENTS(fetch_row_sql);

static int take_row(void *ctx, const struct db_row *row)
{
        struct fetch_row *f = ctx;

        db_row_text(row, 0, f->sealed, sizeof(f->sealed));
        db_row_text(row, 1, f->sum, sizeof(f->sum));
        f->reach_private = db_row_int(row, 2);
        db_row_text(row, 3, f->version.etag, sizeof(f->version.etag));
        db_row_text(row, 4, f->version.modified, sizeof(f->version.modified));
        f->version.size = db_row_int(row, 5) < 0 ? PULL_SIZE_UNKNOWN : (uint64_t)db_row_int(row, 5);
        db_row_text(row, 6, f->place, sizeof(f->place));
        f->safe_bytes = (uint64_t)db_row_int(row, 7);
        return 0;
}

int fetch_row_find(struct db_txn *t, uint64_t image, struct fetch_row *ret)
{
        return db_one(t, fetch_row_sql[FETCH_GET], take_row, ret, DB_INT(image));
}

int fetch_row_load(struct model *m, struct db_txn *t, uint64_t image, struct fetch_row *ret)
{
        int r = fetch_row_find(t, image, ret);

        return r < 0 ? r : secret_unseal(m, ret->sealed, ret->url, sizeof(ret->url));
}

int fetch_row_insert(struct db_txn *t, uint64_t image, const struct fetch_row *row)
{
        int r = db_run(t, fetch_row_sql[FETCH_INSERT], DB_INT(image), DB_TEXT(row->sealed), DB_TEXT(row->sum),
                       DB_INT(row->reach_private));

        return r < 0 ? r : 0;
}

int fetch_row_begin(struct db_txn *t, uint64_t image, const struct pull_version *v, const char *place, uint64_t safe_bytes)
{
        int r = db_run(t, fetch_row_sql[FETCH_BEGIN], DB_INT(image), DB_TEXT(v->etag), DB_TEXT(v->modified),
                       DB_INT(v->size == PULL_SIZE_UNKNOWN ? -1 : (int64_t)v->size), DB_TEXT(place), DB_INT(safe_bytes));

        return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int fetch_row_safe(struct db_txn *t, uint64_t image, uint64_t safe_bytes)
{
        int r = db_run(t, fetch_row_sql[FETCH_SAFE], DB_INT(image), DB_INT(safe_bytes));

        return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int fetch_row_reset(struct db_txn *t, uint64_t image)
{
        int r = db_run(t, fetch_row_sql[FETCH_RESET], DB_INT(image));

        return r < 0 ? r : 0;
}

int fetch_forget(struct db_txn *t, uint64_t image)
{
        int r = db_run(t, fetch_row_sql[FETCH_DELETE], DB_INT(image));

        return r < 0 ? r : 0;
}

/* ---- at start ---- */

struct open_row {
        uint64_t image;
        char url[URL_MAX + 1];
};

static int take_open_row(void *ctx, const struct db_row *row)
{
        struct open_row *open = ctx;

        open->image = (uint64_t)db_row_int(row, 0);
        db_row_text(row, 1, open->url, sizeof(open->url));
        return 0;
}

static int seal_one(struct model *m)
{
        char sealed[SECRET_SEALED_SIZE(URL_MAX)];
        struct open_row open;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_WRITE, &t);
        if (r < 0)
                return r;

        r = db_one(&t, fetch_row_sql[FETCH_OPEN], take_open_row, &open);
        if (r < 0)
                return r;

        r = secret_seal(m, open.url, sealed, sizeof(sealed));
        if (r < 0)
                return r;

        r = db_run(&t, fetch_row_sql[FETCH_SEAL], DB_INT(open.image), DB_TEXT(sealed));
        return r < 0 ? r : db_commit(&t);
}

int fetch_recover(struct model *m)
{
        int r;

        do
                r = seal_one(m);
        while (r == 0);

        return r == -ENOENT ? 0 : r;
}
