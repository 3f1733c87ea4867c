/* SPDX-License-Identifier: MIT */

/*
 * The size of a volume. An empty one gets its disk with its first size, planned (volume_disk.c); from then on a disk grows,
 * and never shrinks. One that has files goes ahead of the row: that it is larger than its row says is found when it is opened
 * the next time. It goes no further than what counts for its owner may, so that it grows inside the
 * transaction that has found room: nothing else can take that meanwhile.
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

/* Where the commit does not follow, the next one to open the disk mends that. */
static int grow_disk(struct model *m, const struct volume *v, uint64_t size_bytes, struct db_owed *owed, struct diag *diag)
{
        CLEANUP(disk_closep) struct disk *d = NULL;
        DB_TXN(t);
        int r;

        r = volume_disk_open(m, v->o.id, diag, NULL, &d);
        if (r == 0)
                r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = check_quota(&t, v, size_bytes, diag);
        if (r == 0)
                r = set_size(&t, v->o.id, size_bytes);
        if (r == 0)
                r = disk_resize(d, size_bytes);
        return r < 0 ? r : db_commit_early(&t, owed);
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

int volume_grow(struct model *m, uint64_t id, const struct volume_file *own, uint64_t size_bytes, struct diag *diag)
{
        struct volume_disk_ref ref;
        struct db_owed owed;
        struct blobstore *bs;
        struct volume v;
        int r;

        {
                LOCK_SCOPE(volumes_gate(m, OBJECT_VOLUME, id));
                {
                        DB_TXN(t);

                        r = db_begin(m->db, DB_READ, &t);
                        if (r == 0)
                                r = volume_load(&t, id, &v);
                        if (r == 0)
                                r = volume_load_disk(&t, id, &ref);
                        if (r == 0)
                                r = refuse_growth(m, &t, &v, own, size_bytes, diag);
                        if (r < 0 || size_bytes == v.size_bytes)
                                return r;
                }
                r = stores_get(m, ref.store, diag, &bs);
                if (r == 0)
                        r = ref.exists ? grow_disk(m, &v, size_bytes, &owed, diag) :
                                         plan_disk(m, bs, &v, ref.store, size_bytes, &owed, diag);
                if (r < 0)
                        return r;
        }
        r = db_await(&owed);
        if (r < 0)
                return r;
        volume_tell(m, id, v.instance, 0);
        return 0;
}

int volume_set_size(struct model *m, const struct caller *c, uint64_t id, uint64_t size_bytes, struct diag *diag)
{
        (void)c; /* the modes of the tree decide */
        return volume_grow(m, id, NULL, size_bytes, diag);
}
