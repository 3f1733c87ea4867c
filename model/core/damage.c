/* SPDX-License-Identifier: MIT */

#include "model/core/damage.h"

#include <limits.h>

#include "blobstore/base/strbuf.h"
#include "model/core/stores.h"
#include "model/core/whose.h"

enum { COUNTS, LIST, BLOBS, SCRUBBED };

static const char *const damage_sql[] = {
        [COUNTS] = "SELECT store, count(blob), count(*) - count(blob) FROM damage GROUP BY store ORDER BY store",
        [LIST] = "SELECT store, blob, what FROM damage ORDER BY blob IS NULL, id",
        [BLOBS] = "SELECT count(blob) FROM damage",
        [SCRUBBED] = "SELECT iif(count(*) = count(ended), ifnull(min(ended), 0), 0)"
                     " FROM store LEFT JOIN scrub ON scrub.store = store.id",
};
const struct db_statements damage_statements = DB_STATEMENTS(damage_sql);

#define LINES_MAX 100

struct lines {
        struct model *m;
        struct db_txn *t;
        model_health_fn *fn;
        void *ctx;
        const char *what;
        unsigned n;
};

static int add_store(void *ctx, const struct db_row *row)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        const struct lines *l = ctx;
        const long long blobs = db_row_int(row, 1);
        char path[PATH_MAX];
        int r;

        r = stores_get_path(l->m, (uint64_t)db_row_int(row, 0), path, sizeof(path));
        if (r < 0)
                return r;
        if (blobs > 0)
                strbuf_addf(&out, "%s: bytes of %lld blob%s are damaged on the disk, and reading them is refused: see to the "
                                  "disk, and bring back from a backup the images that last-verified says nothing of",
                            path, blobs, blobs == 1 ? "" : "s");
        else
                strbuf_addf(&out, "%s: what the blob store keeps for itself is damaged on the disk: see to the disk, and "
                                  "have \"imagefs check %s --repair\" make it again", path, l->m->dir);
        if (strbuf_error(&out) < 0)
                return strbuf_error(&out);
        l->fn(l->ctx, strbuf_text(&out));
        return 0;
}

int damage_health(struct model *m, model_health_fn *fn, void *ctx)
{
        struct lines l = { .m = m, .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, damage_sql[COUNTS], add_store, &l);
}

static int add_line(struct lines *l, const char *whose)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };

        if (l->n++ == LINES_MAX)
                return 1;
        strbuf_addf(&out, "%s: %s", whose, l->what);
        if (strbuf_error(&out) < 0)
                return strbuf_error(&out);
        l->fn(l->ctx, strbuf_text(&out));
        return 0;
}

static int add_owner(void *ctx, const struct db_row *row)
{
        return add_line(ctx, db_row_str(row, 0));
}

static int add_damage(void *ctx, const struct db_row *row)
{
        struct lines *l = ctx;
        char path[PATH_MAX];
        int r;

        l->what = db_row_str(row, 2);
        if (!db_row_is_null(row, 1))
                return whose_blob(l->t, (uint64_t)db_row_int(row, 1), add_owner, l);
        r = stores_get_path(l->m, (uint64_t)db_row_int(row, 0), path, sizeof(path));
        return r < 0 ? r : add_line(l, path);
}

int damage_each(struct model *m, model_health_fn *fn, void *ctx)
{
        struct lines l = { .m = m, .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;
        l.t = &t;
        r = db_each(&t, damage_sql[LIST], add_damage, &l);
        return r < 0 ? r : 0;
}

int damage_get_stats(struct model *m, struct damage_stats *ret)
{
        int64_t blobs;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, damage_sql[SCRUBBED], &ret->scrubbed_us);
        if (r == 0)
                r = db_int(&t, damage_sql[BLOBS], &blobs);
        if (r < 0)
                return r;
        ret->blobs = (uint64_t)blobs;
        return 0;
}
