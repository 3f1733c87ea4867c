/* SPDX-License-Identifier: MIT */

/*
 * The size of a volume. An empty one gets its disk with its first size, planned (volume_disk.c); from then on a disk grows,
 * and never shrinks. One that has files goes ahead of the row: that it is larger than its row says is found when it is opened
 * the next time. Its files are made durable before the gate is held and the transaction begun that finds room for it, since for
 * that all others would wait; nobody sees them longer before, and they go back where something else came in between.
 */

#include <errno.h>

#include "blobstore/base/cleanup.h"
#include "model/core/clock.h"
#include "model/core/place.h"
#include "model/machine/volume_gate_priv.h"
#include "model/machine/volume_life.h"
#include "model/machine/volume_row.h"

enum {
        SET_DISK,
        SET_SIZE,
};

static const char *const volume_size_sql[] = {
        [SET_DISK] = "UPDATE volume SET key = ?2, size = ?3, updated = max(?4, updated + 1), place = ?5, made = 0 "
                     "WHERE id = ?1 AND key IS NULL",
        [SET_SIZE] = "UPDATE volume SET size = ?2, updated = max(?3, updated + 1) WHERE id = ?1 AND key IS NOT NULL",
};
const struct db_statements volume_size_statements = DB_STATEMENTS(volume_size_sql);

static int refuse_growth(struct model *m, struct db_txn *t, const struct volume *v, const struct volume_file *own,
                         uint64_t size_bytes, struct diag *diag)
{
        if (size_bytes == 0 || size_bytes > BLOB_SIZE_MAX)
                return diag_set(diag, -EINVAL, "%s: a disk has 1 byte to %llu TiB", v->o.handle,
                                (unsigned long long)(BLOB_SIZE_MAX >> 40));
        if (size_bytes < v->size_bytes)
                return diag_set(diag, -EINVAL, "%s has %llu bytes: a disk grows, but never shrinks", v->o.handle,
                                (unsigned long long)v->size_bytes);
        return volume_life_ask(m, t, v, own, VOLUME_RESIZE, diag);
}

static int check_quota(struct db_txn *t, const struct volume *v, uint64_t size_bytes, struct diag *diag)
{
        return volume_check_quota(t, v->region, v->o.uid, 0, size_bytes - v->size_bytes, diag);
}

static int plan_disk(struct model *m, struct blobstore *bs, const struct volume *v, uint64_t store, uint64_t size_bytes,
                     struct db_owed *owed, struct diag *diag)
{
        struct disk_id key;
        DB_TXN(t);
        int r;

        r = disk_plan(bs, NULL, size_bytes, &key);
        if (r < 0)
                return r;
        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = check_quota(&t, v, size_bytes, diag);
        if (r == 0)
                r = db_run_one(&t, volume_size_sql[SET_DISK], DB_INT(v->o.id), DB_BLOB(key.bytes, sizeof(key.bytes)),
                               DB_INT(size_bytes), DB_INT(clock_now_us()), DB_ID(place_of_store(m, store)));
        return r < 0 ? r : db_commit_early(&t, owed);
}

DEFINE_CLEANUP(struct disk *, disk_closep, disk_close)

static int set_size(struct db_txn *t, uint64_t id, uint64_t size_bytes)
{
        return db_run_one(t, volume_size_sql[SET_SIZE], DB_INT(id), DB_INT(size_bytes), DB_INT(clock_now_us()));
}

static int has_room(struct model *m, const struct volume *v, uint64_t size_bytes, struct diag *diag)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : check_quota(&t, v, size_bytes, diag);
}

/* Where the commit does not follow, the next one to open the disk mends that. */
static int grow_row(struct model *m, const struct volume *v, struct disk *d, uint64_t size_bytes, struct db_owed *owed,
                    struct diag *diag)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = check_quota(&t, v, size_bytes, diag);
        if (r == 0)
                r = set_size(&t, v->o.id, size_bytes);
        if (r == 0)
                r = disk_resize(d, size_bytes);
        return r < 0 ? r : db_commit_early(&t, owed);
}

static int begin_growth(struct model *m, const struct volume *v, uint64_t size_bytes, struct diag *diag, struct disk **ret)
{
        CLEANUP(disk_closep) struct disk *d = NULL;
        int r;

        r = volume_disk_open(m, v->o.id, diag, NULL, &d);
        if (r == 0)
                r = has_room(m, v, size_bytes, diag);
        if (r == 0)
                r = disk_resize_begin(d, size_bytes);
        if (r == 0)
                *ret = TAKE_PTR(d);
        return r;
}

int volume_note_size(struct model *m, uint64_t id, uint64_t size_bytes)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = set_size(&t, id, size_bytes);
        return r < 0 ? r : db_commit(&t);
}

/* What one asks to have grown, as it is now. */
struct growth {
        struct model *m;
        const struct volume_file *own;
        uint64_t size_bytes;
        struct volume v;
        struct volume_disk_ref ref;
};

/* 1: it is as large. With the gate held. */
static int look(struct growth *g, uint64_t id, struct diag *diag)
{
        DB_TXN(t);
        int r;

        r = db_begin(g->m->db, DB_READ, &t);
        if (r == 0)
                r = volume_load(&t, id, &g->v);
        if (r == 0)
                r = volume_load_disk(&t, id, &g->ref);
        if (r == 0)
                r = refuse_growth(g->m, &t, &g->v, g->own, g->size_bytes, diag);
        return r < 0 ? r : g->size_bytes == g->v.size_bytes;
}

/* D: its disk, whose files are as long; NULL: it has none, which only who grows it changes. 1: it is as large. */
static int grow_now(struct growth *g, uint64_t id, struct blobstore *bs, struct disk *d, struct db_owed *owed, struct diag *diag)
{
        LOCK_SCOPE(volumes_gate(g->m, OBJECT_VOLUME, id));
        int r;

        r = look(g, id, diag);
        if (r != 0)
                return r;
        return d ? grow_row(g->m, &g->v, d, g->size_bytes, owed, diag) :
                   plan_disk(g->m, bs, &g->v, g->ref.store, g->size_bytes, owed, diag);
}

static int grow(struct growth *g, uint64_t id, struct db_owed *owed, struct diag *diag)
{
        CLEANUP(disk_closep) struct disk *d = NULL;
        struct blobstore *bs;
        int r;

        {
                LOCK_SCOPE(volumes_gate(g->m, OBJECT_VOLUME, id));
                r = look(g, id, diag);
        }
        if (r == 0)
                r = stores_get(g->m, g->ref.store, diag, &bs);
        if (r == 0 && g->ref.exists)
                r = begin_growth(g->m, &g->v, g->size_bytes, diag, &d);
        if (r != 0)
                return r;
        r = grow_now(g, id, bs, d, owed, diag);
        if (r != 0 && d)
                disk_resize_abort(d);
        return r;
}

int volume_grow(struct model *m, uint64_t id, const struct volume_file *own, uint64_t size_bytes, struct diag *diag)
{
        struct growth g = { .m = m, .own = own, .size_bytes = size_bytes };
        struct db_owed owed;
        int r;

        {
                /* Else the transaction of one would wait for the files of the next. */
                LOCK_SCOPE(&m->volumes->growing[id % VOLUMES_GROWING]);
                r = grow(&g, id, &owed, diag);
        }
        if (r == 0)
                r = db_await(&owed);
        if (r != 0)
                return r < 0 ? r : 0;
        volume_tell(m, id, g.v.instance, 0);
        return 0;
}

int volume_set_size(struct model *m, const struct caller *c, uint64_t id, uint64_t size_bytes, struct diag *diag)
{
        (void)c; /* the modes of the tree decide */
        return volume_grow(m, id, NULL, size_bytes, diag);
}
