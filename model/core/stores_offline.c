/* SPDX-License-Identifier: MIT */

/*
 * Stores that are offline, or do not answer: which those are, which regions that concerns, and what who asks for their bytes is
 * told.
 */

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/strbuf.h"
#include "model/core/stores.h"
#include "model/core/stores_priv.h"

enum { COUNT_REGIONS, NAME_REGIONS, OF_IMAGE, OF_SNAPSHOT, OF_INSTANCE, OF_VOLUME };

static const char *const stores_offline_sql[] = {
        [COUNT_REGIONS] = "SELECT count(*) FROM region WHERE store = ?1",
#define STORE_OF(table) "SELECT region.store FROM " table " AS o JOIN region ON region.id = o.region WHERE o.id = ?1"
        [OF_IMAGE] = STORE_OF("image"),
        [OF_SNAPSHOT] = STORE_OF("snapshot"),
        [OF_INSTANCE] = STORE_OF("instance"),
        [OF_VOLUME] = STORE_OF("volume"),
        [NAME_REGIONS] = "SELECT handle FROM region WHERE store = ?1 ORDER BY handle LIMIT ?2",
};
const struct db_statements stores_offline_statements = DB_STATEMENTS(stores_offline_sql);

/* ---- one that is offline ---- */

static int add_region(void *ctx, const struct db_row *row)
{
        struct strbuf *out = ctx;

        strbuf_addf(out, "%s%s", out->len ? ", " : "", db_row_str(row, 0));
        return strbuf_error(out);
}

/* As many regions are named, so that there is room for what is wrong. */
#define NAMED_MAX 3

/* Says whose store is offline, and why. DB_READ will do. */
static int say_offline(struct db_txn *t, uint64_t id, const char *trouble, struct strbuf *out)
{
        CLEANUP_STRBUF struct strbuf regions = { 0 };
        int64_t n;
        int r;

        r = db_int(t, stores_offline_sql[COUNT_REGIONS], &n, DB_INT(id));
        if (r == 0)
                r = db_each(t, stores_offline_sql[NAME_REGIONS], add_region, &regions, DB_INT(id), DB_INT(NAMED_MAX));
        if (r < 0)
                return r;
        if (n > NAMED_MAX)
                strbuf_addf(&regions, " and %lld more", (long long)n - NAMED_MAX);
        if (n == 0)
                strbuf_addf(out, "a blob store is offline: %s", trouble);
        else
                strbuf_addf(out, "the blob store of region%s %s is offline: %s", n == 1 ? "" : "s",
                            strbuf_text(&regions), trouble);
        return strbuf_error(out);
}

int stores_refuse_offline(struct model *m, struct db_txn *t, uint64_t store, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf sentence = { 0 };
        CLEANUP_FREE char *trouble = NULL;
        const struct store *st;
        int r;

        st = store_list_find(&m->stores->list, store);
        if (!st)
                return -ENOENT;
        r = store_list_trouble(&m->stores->list, st, &trouble);
        if (r <= 0)
                return r;
        r = say_offline(t, store, trouble, &sentence);
        if (r < 0)
                return r;
        if (diag && !diag->error)
                diag->of_store = true;
        return diag_set(diag, -EIO, "%s", strbuf_text(&sentence));
}

bool stores_is_offline(struct model *m, uint64_t store)
{
        const struct store *st = store_list_find(&m->stores->list, store);

        return st && !store_list_bs(&m->stores->list, st);
}

/* Of a store that nothing but garbage is in nobody has to know; nor of the own one of a host beside which there are others. */
static bool is_missed(const struct model *m, struct db_txn *t, const struct store *st)
{
        int64_t regions;

        return (!st->path[0] && !m->catalogue) || (db_int(t, stores_offline_sql[COUNT_REGIONS], &regions, DB_INT(st->id)) == 0 && regions > 0);
}

int stores_each_offline(struct model *m, stores_offline_fn *fn, void *ctx)
{
        struct store *st = NULL;

        while ((st = store_list_next(&m->stores->list, st, false))) {
                struct diag diag = { 0 };
                char path[PATH_MAX];
                int r;

                {
                        DB_TXN(t);

                        r = db_begin(m->db, DB_READ, &t);
                        if (r == 0 && is_missed(m, &t, st))
                                r = stores_refuse_offline(m, &t, st->id, &diag);
                }
                if (r == 0)
                        continue; /* or it has just come back */
                if (r == -EIO && diag.error)
                        r = store_path_complete(m, st->path, path, sizeof(path));
                if (r == 0)
                        r = fn(ctx, diag.text, store_list_hangs(&m->stores->list, st) ? NULL : path);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- one that does not answer ---- */

uint64_t stores_of_file(struct model *m, const char *path)
{
        struct store *st = NULL;

        while ((st = store_list_next_of_all(&m->stores->list, st))) {
                size_t n = strlen(st->path);

                if (n > 0 && strncmp(path, st->path, n) == 0 && (path[n] == '/' || path[n] == '\0'))
                        return st->id;
        }
        return 0;
}

uint64_t stores_id(struct model *m, const struct blobstore *bs)
{
        return store_list_id(&m->stores->list, bs);
}

static const struct {
        bool known;
        unsigned statement;
} stores_of[] = {
        [OBJECT_IMAGE] = { true, OF_IMAGE },
        [OBJECT_SNAPSHOT] = { true, OF_SNAPSHOT },
        [OBJECT_INSTANCE] = { true, OF_INSTANCE },
        [OBJECT_VOLUME] = { true, OF_VOLUME },
};

uint64_t stores_of_object(struct model *m, enum object_kind kind, uint64_t id)
{
        int64_t store = 0;
        DB_TXN(t);

        if (kind >= sizeof(stores_of) / sizeof(stores_of[0]) || !stores_of[kind].known)
                return 0;
        if (db_begin(m->db, DB_READ, &t) < 0 || db_int(&t, stores_offline_sql[stores_of[kind].statement], &store, DB_INT(id)) < 0)
                return 0;
        return (uint64_t)store;
}

bool stores_are_elsewhere(struct model *m, uint64_t store, unsigned *ret)
{
        struct store *st = NULL;
        unsigned elsewhere = 0;
        bool found = false;

        while ((st = store_list_next_of_all(&m->stores->list, st))) {
                elsewhere += st->path[0] != '\0';
                found |= st->id == store && st->path[0];
        }
        *ret = elsewhere;
        return found;
}

int stores_each_elsewhere(struct model *m, stores_elsewhere_fn *fn, void *ctx)
{
        struct store *st = NULL;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        while (r == 0 && (st = store_list_next_of_all(&m->stores->list, st))) {
                CLEANUP_STRBUF struct strbuf trouble = { 0 };
                CLEANUP_STRBUF struct strbuf sentence = { 0 };

                if (!st->path[0] || store_path_is_far(st->path))
                        continue;
                strbuf_addf(&trouble, "%s: its disk does not answer", st->path);
                r = strbuf_error(&trouble);
                if (r == 0)
                        r = say_offline(&t, st->id, strbuf_text(&trouble), &sentence);
                if (r == 0)
                        r = fn(ctx, st->path, strbuf_text(&sentence));
        }
        return r;
}

/* With its regions, for who reads the log. */
static void tell_of_hanging(struct model *m, const struct store *st)
{
        struct diag diag = { 0 };
        DB_TXN(t);

        if (m->notice && db_begin(m->db, DB_READ, &t) == 0 && stores_refuse_offline(m, &t, st->id, &diag) == -EIO)
                m->notice(m->listener_ctx, diag.text);
}

int stores_judge(struct model *m, stores_hang_fn *fn, void *ctx, bool *ret_changed)
{
        struct store_list *l = &m->stores->list;
        unsigned hanging = 0;
        bool changed = false;
        struct store *st = NULL;

        while ((st = store_list_next_of_all(l, st))) {
                bool hangs = st->path[0] && (fn(ctx, st->id) || store_list_is_away(l, st));
                bool before = store_list_set_hangs(l, st, hangs);

                hanging += hangs;
                changed |= hangs != before;
                if (hangs && !before)
                        tell_of_hanging(m, st);
        }
        *ret_changed = changed;
        return (int)hanging;
}
