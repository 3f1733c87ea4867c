/* SPDX-License-Identifier: MIT */

/*
 * Regions: named places with quotas of their own, each with a blob store, which several may share. Only the
 * administrator makes, renames and removes them, and only empty ones change their store.
 */

#include "model/core/region.h"

#include <errno.h>
#include <string.h>

#include "blobstore/base/strbuf.h"
#include "model/core/changes.h"
#include "model/core/clock.h"
#include "model/core/jobs.h"
#include "model/core/object_row.h"
#include "model/core/region_row.h"
#include "model/core/stores.h"

#define REGION_MODE 0755

enum { GET, FIND, STORE, EACH, INSERT, RENAME, SET_STORE, REMOVE, IS_USED };

#define COLUMNS OBJECT_COLUMNS("region") ", region.store, store.path"

static const char *const region_sql[] = {
        [GET] = "SELECT " COLUMNS " FROM region JOIN store ON store.id = region.store WHERE region.id = ?1",
        [FIND] = "SELECT " COLUMNS " FROM region JOIN store ON store.id = region.store WHERE region.handle = ?1",
        [STORE] = "SELECT store FROM region WHERE id = ?1",
        [EACH] = "SELECT " OBJECT_COLUMNS("region") " FROM region ORDER BY handle",
        [INSERT] = "INSERT INTO region (handle, store, uid, gid, mode, created, updated) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        [RENAME] = "UPDATE region SET handle = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [SET_STORE] = "UPDATE region SET store = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [REMOVE] = "DELETE FROM region WHERE id = ?1",
        [IS_USED] = "SELECT (SELECT count(*) FROM image WHERE region = ?1 AND class <> 'recycle'), "
                    "(SELECT count(*) FROM image WHERE region = ?1 AND class = 'recycle'), "
                    "(SELECT count(*) FROM snapshot WHERE region = ?1), "
                    "(SELECT count(*) FROM volume WHERE region = ?1 AND handle IS NOT NULL), "
                    "(SELECT count(*) FROM instance WHERE region = ?1)",
};
const struct db_statements region_statements = DB_STATEMENTS(region_sql);

static int fill_region(void *ctx, const struct db_row *row)
{
        struct region *region = ctx;

        object_fill(&region->o, row);
        region->store = (uint64_t)db_row_int(row, OBJECT_N_COLUMNS);
        db_row_text(row, OBJECT_N_COLUMNS + 1, region->store_path, sizeof(region->store_path));
        return 0;
}

int region_load(struct db_txn *t, uint64_t id, struct region *ret)
{
        return db_one(t, region_sql[GET], fill_region, ret, DB_INT(id));
}

int region_load_by_handle(struct db_txn *t, const char *handle, struct region *ret)
{
        return db_one(t, region_sql[FIND], fill_region, ret, DB_TEXT(handle));
}

/* The path in the database is relative to nothing for the library's own store. */
static int complete_path(struct model *m, struct region *region)
{
        char path[PATH_MAX];

        memcpy(path, region->store_path, sizeof(path));
        return store_path_complete(m, path, region->store_path, sizeof(region->store_path));
}

int region_get(struct model *m, uint64_t id, struct region *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = region_load(&t, id, ret);
        return r < 0 ? r : complete_path(m, ret);
}

int region_refuse_offline(struct model *m, struct db_txn *t, uint64_t id, struct diag *diag)
{
        int64_t store;
        int r;

        r = db_int(t, region_sql[STORE], &store, DB_INT(id));
        return r < 0 ? r : stores_refuse_offline(m, t, (uint64_t)store, diag);
}

int region_find(struct model *m, const char *handle, struct region *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = region_load_by_handle(&t, handle, ret);
        return r < 0 ? r : complete_path(m, ret);
}

int region_each(struct model *m, object_fn *fn, void *ctx)
{
        struct object_walk walk = { .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, region_sql[EACH], object_row, &walk);
}

/* ---- changing them ---- */

static int refuse_stranger(const struct caller *c, const char *what, struct diag *diag)
{
        return c->admin ? 0 : diag_set(diag, -EPERM, "regions: only the administrator %s", what);
}

static int refuse_taken(int r, const char *handle, struct diag *diag)
{
        return r == -EEXIST ? diag_set(diag, r, "%s: there is such a region already", handle) : r;
}

int region_create(struct model *m, const struct caller *c, const char *handle, struct diag *diag, uint64_t *ret)
{
        int64_t changed;
        uint64_t store, id;
        DB_TXN(t);
        int r;

        r = refuse_stranger(c, "makes them", diag);
        if (r == 0)
                r = object_check_name(handle, "region", diag);
        if (r == 0)
                r = stores_own(m, &store, &changed);
        if (r == 0)
                r = db_begin(m->db, DB_WRITE, &t);
        if (r < 0)
                return r;

        r = db_run(&t, region_sql[INSERT], DB_TEXT(handle), DB_INT(store), DB_INT(c->uid), DB_INT(c->gid),
                   DB_INT(REGION_MODE), DB_INT(clock_now_us()));
        if (r < 0)
                return refuse_taken(r, handle, diag);
        id = db_last_id(&t);
        r = db_commit(&t);
        if (r < 0)
                return r;
        changes_send(m, OBJECT_REGION, id);
        *ret = id;
        return 0;
}

/* In the order of IS_USED. */
static const char *const in_region[][2] = {
        { "image", "images" },
        { "recycled image", "recycled images" },
        { "snapshot", "snapshots" },
        { "disk", "disks" },
        { "instance", "instances" },
};
#define IN_REGION (sizeof(in_region) / sizeof(in_region[0]))

static int fill_usage(void *ctx, const struct db_row *row)
{
        int64_t *used = ctx;

        for (size_t i = 0; i < IN_REGION; i++)
                used[i] = db_row_int(row, (int)i);
        return 0;
}

/* "2 images, 1 snapshot and 1 disk" */
static void add_used(struct strbuf *out, const int64_t *used)
{
        size_t left = 0;

        for (size_t i = 0; i < IN_REGION; i++)
                left += used[i] > 0;
        for (size_t i = 0; i < IN_REGION; i++) {
                if (used[i] == 0)
                        continue;
                strbuf_addf(out, "%lld %s%s", (long long)used[i], in_region[i][used[i] > 1],
                            left > 2 ? ", " : left == 2 ? " and " : "");
                left--;
        }
}

/* Loads the region, and refuses where something is in it. */
static int load_empty(struct db_txn *t, uint64_t id, const char *what, struct region *ret, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf text = { 0 };
        int64_t used[IN_REGION], all = 0;
        int r;

        r = region_load(t, id, ret);
        if (r == 0)
                r = db_one(t, region_sql[IS_USED], fill_usage, used, DB_INT(id));
        if (r < 0)
                return r;
        for (size_t i = 0; i < IN_REGION; i++)
                all += used[i];
        if (all == 0)
                return 0;
        add_used(&text, used);
        return diag_set(diag, -EBUSY, "%s %s while it holds %s: remove %s first", ret->o.handle, what, strbuf_text(&text),
                        all > 1 ? "them" : "it");
}

int region_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        struct region region;
        DB_TXN(t);
        int r;

        r = refuse_stranger(c, "removes them", diag);
        if (r == 0)
                r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = load_empty(&t, id, "cannot be removed", &region, diag);
        if (r == 0)
                r = db_run(&t, region_sql[REMOVE], DB_INT(id));
        if (r == -EBUSY)
                return diag_set(diag, r, "%s cannot be removed while follows/ has something in it: remove that first",
                                region.o.handle);
        if (r >= 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_REGION, id);
        return r;
}

int region_rename(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag)
{
        int r;

        r = refuse_stranger(c, "renames them", diag);
        if (r == 0)
                r = object_check_name(handle, "region", diag);
        if (r == 0)
                r = object_set_text(m, OBJECT_REGION, region_sql[RENAME], id, handle);
        return refuse_taken(r, handle, diag);
}

static int check_empty(struct model *m, uint64_t id, struct diag *diag)
{
        struct region region;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : load_empty(&t, id, "keeps its store", &region, diag);
}

/* A path to which nothing leads is the one that it was, not another way there. */
static bool is_its_store(struct model *m, const struct region *region, const char *path)
{
        uint64_t store;

        return strcmp(path, region->store_path) == 0 ||
               (stores_find(m, path, NULL, &store) == 0 && store == region->store);
}

/* Before a path: whoever it belonged to, it is ours from now on. */
#define ADOPT "adopt "

int region_set_store(struct model *m, const struct caller *c, uint64_t id, const char *path, struct diag *diag)
{
        bool adopt = strncmp(path, ADOPT, strlen(ADOPT)) == 0;
        struct region region;
        uint64_t store;
        DB_TXN(t);
        int r;

        if (adopt)
                path += strlen(ADOPT);
        r = refuse_stranger(c, "says where their blobs are kept", diag);
        if (r == 0)
                r = region_get(m, id, &region);
        if (r < 0)
                return r;
        if ((adopt || stores_is_offline(m, region.store)) && is_its_store(m, &region, path)) {
                r = stores_take_back(m, region.store, adopt, diag);
                jobs_wake(m); /* what waited for it */
                return r;
        }
        r = adopt ? 0 : stores_move(m, region.store, path, diag);
        if (r > 0) {
                changes_send(m, OBJECT_REGION, id);
                jobs_wake(m);
                return 0;
        }
        if (r == 0)
                r = check_empty(m, id, diag); /* before a directory is made for nothing */
        if (r == 0)
                r = stores_add(m, path, adopt, diag, &store);
        if (r == 0)
                r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = load_empty(&t, id, "keeps its store", &region, diag);
        if (r == 0)
                r = db_run(&t, region_sql[SET_STORE], DB_INT(id), DB_INT(store), DB_INT(clock_now_us()));
        if (r >= 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_REGION, id);
        return r;
}
