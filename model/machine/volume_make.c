/* SPDX-License-Identifier: MIT */

/* Making, renaming and removing disks. Those that are made with an instance: instance_disks.c. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/core/blob_row.h"
#include "model/core/clock.h"
#include "model/core/place.h"
#include "model/core/region_row.h"
#include "model/image/snapshot_life.h"
#include "model/image/snapshot_row.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_life.h"
#include "model/machine/volume_row.h"

enum { SET_NAME, RENAME };

static const char *const volume_make_sql[] = {
        [SET_NAME] = "UPDATE volume SET name = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [RENAME] = "UPDATE volume SET handle = ?2, name = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
};
const struct db_statements volume_make_statements = DB_STATEMENTS(volume_make_sql);

/* MODE 0: as disks begin. */
static void init_new(struct volume_new *n, uid_t uid, gid_t gid, mode_t mode, uint64_t region, const char *handle)
{
        *n = (struct volume_new){ .v = { .o = { .uid = uid, .gid = gid, .mode = mode }, .region = region } };
        (void)snprintf(n->v.o.handle, sizeof(n->v.o.handle), "%s", handle);
        (void)snprintf(n->v.name, sizeof(n->v.name), "%s", handle);
}

int volume_create(struct model *m, const struct caller *c, uint64_t region, const char *handle, struct diag *diag,
                  uint64_t *ret)
{
        struct volume_new n;
        struct region place;
        DB_TXN(t);
        int r;

        r = object_check_name(handle, "disk", diag);
        if (r == 0)
                r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = region_load(&t, region, &place);
        if (r < 0)
                return r;
        init_new(&n, c->uid, c->gid, 0, region, handle);
        r = volume_check_quota(&t, region, c->uid, 1, 0, diag);
        if (r == 0)
                r = volume_insert(&t, &n, false, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r < 0)
                return r;
        volume_tell(m, n.v.o.id, 0, 0);
        *ret = n.v.o.id;
        return 0;
}

struct origin {
        struct snapshot snapshot;
        struct blob_row blob;
};

static int load_origin(struct db_txn *t, uint64_t snapshot, struct origin *ret, struct diag *diag)
{
        int r;

        r = snapshot_load(t, snapshot, &ret->snapshot);
        if (r == 0)
                r = snapshot_life_ask(t, NULL, &ret->snapshot, SNAPSHOT_CLONE, diag);
        return r < 0 ? r : snapshot_load_blob(t, snapshot, &ret->blob);
}

static int insert_clone(struct model *m, const struct caller *c, uint64_t snapshot, const char *handle,
                        const struct origin *origin, const struct disk_id *key, struct diag *diag, uint64_t *ret)
{
        struct origin now;
        struct volume_new n;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = load_origin(&t, snapshot, &now, diag);
        if (r < 0)
                return r;
        if (object_is_groups(&now.snapshot.o, c))
                init_new(&n, now.snapshot.o.uid, now.snapshot.o.gid, now.snapshot.o.mode, now.snapshot.region, handle);
        else
                init_new(&n, c->uid, c->gid, 0, now.snapshot.region, handle);
        n.v.size_bytes = origin->blob.info.size_bytes;
        (void)snprintf(n.v.source, sizeof(n.v.source), "snapshot:%s", origin->snapshot.ident);
        n.v.place = place_of_store(m, origin->blob.store);
        n.key = key;
        n.base = origin->blob.id;
        n.snapshot = snapshot;
        r = volume_check_quota(&t, n.v.region, n.v.o.uid, 1, n.v.size_bytes, diag);
        if (r == 0)
                r = volume_insert(&t, &n, false, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                *ret = n.v.o.id;
        return r;
}

int volume_create_from_snapshot(struct model *m, const struct caller *c, uint64_t snapshot, const char *handle,
                                struct diag *diag, uint64_t *ret)
{
        struct origin origin;
        struct blobstore *bs;
        struct disk_id key;
        int r;

        r = object_check_name(handle, "disk", diag);
        if (r < 0)
                return r;
        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = load_origin(&t, snapshot, &origin, diag);
                if (r < 0)
                        return r;
        }

        r = stores_get(m, origin.blob.store, diag, &bs);
        if (r == 0)
                r = disk_plan(bs, &origin.blob.key, origin.blob.info.size_bytes, &key); /* made when it is needed */
        if (r < 0)
                return r;
        r = insert_clone(m, c, snapshot, handle, &origin, &key, diag, ret);
        if (r < 0)
                return r;
        volume_tell(m, *ret, 0, snapshot);
        return 0;
}

/* ---- changing and removing ---- */

static int update_text(struct model *m, const char *sql, uint64_t id, const char *text, struct diag *diag)
{
        struct volume v;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = volume_load(&t, id, &v);
        if (r < 0)
                return r;
        if (sql == volume_make_sql[RENAME] && !v.cloud)
                return diag_set(diag, -EPERM, "%s is the instance's own disk: it is called by its device", v.device);
        r = db_run_one(&t, sql, DB_INT(id), DB_TEXT(text), DB_INT(clock_now_us()));
        if (r == -EEXIST)
                return volume_refuse_taken(text, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                volume_tell(m, id, v.instance, 0);
        return r;
}

int volume_set_name(struct model *m, const struct caller *c, uint64_t id, const char *name, struct diag *diag)
{
        int r;

        (void)c; /* the modes of the tree decide */
        r = object_check_name(name, "name", diag);
        return r < 0 ? r : update_text(m, volume_make_sql[SET_NAME], id, name, diag);
}

int volume_rename(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag)
{
        struct object o;
        int r;

        r = object_check_name(handle, "disk", diag);
        if (r == 0)
                r = volume_get_object(m, id, &o);
        if (r == 0)
                r = object_refuse_other(&o, c, "rename it", diag);
        if (r < 0)
                return r;
        return strcmp(o.handle, handle) == 0 ? 0 : update_text(m, volume_make_sql[RENAME], id, handle, diag);
}

static int remove_volume(struct model *m, const struct caller *c, uint64_t id, struct db_owed *owed, struct diag *diag)
{
        struct volume v;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = volume_load(&t, id, &v);
        if (r == 0)
                r = object_refuse_other(&v.o, c, "remove it", diag);
        if (r < 0)
                return r;
        r = volume_life_ask(m, &t, &v, NULL, VOLUME_REMOVE, diag);
        if (r == 0)
                r = volume_erase(&t, id);
        return r < 0 ? r : db_commit_early(&t, owed);
}

int volume_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        struct db_owed owed;
        int r;

        {
                LOCK_SCOPE(volumes_gate(m, OBJECT_VOLUME, id));
                r = remove_volume(m, c, id, &owed, diag);
        }
        if (r == 0)
                r = db_await(&owed);
        if (r == 0)
                volume_tell(m, id, 0, 0);
        return r;
}
