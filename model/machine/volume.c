/* SPDX-License-Identifier: MIT */

/*
 * Volumes as rows. A volume gets its disk together with its size: at once where it is a clone, later where it is empty.
 * The disk is made before the row names it, that of a clone after it (volume_disk.c), and is removed after the row is
 * gone, by way of the table trash. For as long as the row is there it names the blob that its disk is a clone of, so
 * that a snapshot or an image may go before.
 *
 * A volume is in the list of its region's disks when it has a handle. The system disk of a local instance has none.
 */

#include "model/machine/volume.h"

#include <errno.h>
#include <stdio.h>

#include "blobstore/base/cleanup.h"
#include "model/core/clock.h"
#include "model/core/ident.h"
#include "model/core/object_row.h"
#include "model/core/quota_row.h"
#include "model/core/task_kinds.h"
#include "model/image/image_disk_row.h"
#include "model/machine/volume_row.h"

#define VOLUME_MODE 0700

enum {
        GET,
        GET_OBJECT,
        BY_NAME,
        BY_DEVICE,
        OF_INSTANCE,
        FIND,
        EACH,
        OF_SNAPSHOT,
        SNAPSHOTS,
        INSERT,
        SET_INSTANCE,
        SET_HANDLE,
        ERASE,
};

#define SELECT_VOLUME                                                                                                  \
        "SELECT " OBJECT_COLUMNS("volume") ", volume.ident, volume.region, role = 'system', size, volume.instance, "   \
        "instance.handle, device, volume.name, source, made_with, " PLACE ", " IS_BUSY                                            \
        " FROM volume LEFT JOIN instance ON instance.id = volume.instance "
/* Its own; of one that has no disk yet that of the machine that it is to be of. */
#define PLACE                                                                                            \
        "ifnull(volume.place, ifnull((SELECT other.place FROM volume AS other WHERE other.instance = volume.instance " \
        "AND other.place IS NOT NULL LIMIT 1), 0))"
/* A snapshot is being taken of it, or an image is being made of its instance. */
#define IS_BUSY                                                                                          \
        "EXISTS (SELECT 1 FROM task WHERE task.status IN ('queued', 'running') AND (task.volume = volume.id " \
        "OR (task.kind IN " TASK_HOLDING_DISKS " AND task.instance = volume.instance)))"

static const char *const volume_sql[] = {
        [GET] = SELECT_VOLUME "WHERE volume.id = ?1",
        [GET_OBJECT] = "SELECT id, ifnull(handle, device), uid, gid, mode, created, updated, 0, 0 FROM volume WHERE id = ?1",
        [BY_NAME] = SELECT_VOLUME "WHERE volume.region = ?1 AND volume.handle IS NOT NULL "
                                  "AND (volume.handle = ?2 OR volume.ident = ?2) "
                                  "ORDER BY volume.ident = ?2 DESC LIMIT 1",
        [BY_DEVICE] = SELECT_VOLUME "WHERE volume.instance = ?1 AND device = ?2",
        [OF_INSTANCE] = SELECT_VOLUME "WHERE volume.instance = ?1 ORDER BY device",
        [FIND] = "SELECT " OBJECT_COLUMNS("volume") " FROM volume WHERE region = ?1 AND handle = ?2",
        [EACH] = "SELECT " OBJECT_COLUMNS("volume") " FROM volume WHERE region = ?1 AND handle IS NOT NULL "
                 "ORDER BY handle",
        [OF_SNAPSHOT] = "SELECT " OBJECT_COLUMNS("volume") " FROM volume WHERE snapshot = ?1 AND handle IS NOT NULL "
                        "ORDER BY handle",
        [SNAPSHOTS] = "SELECT " OBJECT_COLUMNS("snapshot") " FROM snapshot WHERE volume = ?1 ORDER BY handle",
        [INSERT] = "INSERT INTO volume (ident, region, handle, uid, gid, mode, created, updated, name, key, size, "
                   "base, instance, device, role, made_with, source, snapshot, made, place) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
                   "?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        [SET_INSTANCE] = "UPDATE volume SET instance = ?2, device = ?3, made_with = 0, updated = max(?4, updated + 1) "
                         "WHERE id = ?1",
        [SET_HANDLE] = "UPDATE volume SET handle = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [ERASE] = "DELETE FROM volume WHERE id = ?1",
};
const struct db_statements volume_statements = DB_STATEMENTS(volume_sql);

/* ---- loading ---- */

static void fill_volume(struct volume *v, const struct db_row *row)
{
        int col = OBJECT_N_COLUMNS;

        object_fill(&v->o, row);
        db_row_text(row, col++, v->ident, sizeof(v->ident));
        v->region = (uint64_t)db_row_int(row, col++);
        v->system = db_row_int(row, col++) != 0;
        v->size_bytes = (uint64_t)db_row_int(row, col++);
        v->instance = (uint64_t)db_row_int(row, col++);
        db_row_text(row, col++, v->instance_handle, sizeof(v->instance_handle));
        db_row_text(row, col++, v->device, sizeof(v->device));
        db_row_text(row, col++, v->name, sizeof(v->name));
        db_row_text(row, col++, v->source, sizeof(v->source));
        v->made_with = db_row_int(row, col++) != 0;
        v->place = (uint64_t)db_row_int(row, col++);
        v->busy = db_row_int(row, col++) != 0;
        v->cloud = v->o.handle[0] != '\0';
        if (!v->cloud)
                (void)snprintf(v->o.handle, sizeof(v->o.handle), "%s", v->device);
}

static int load_row(void *ctx, const struct db_row *row)
{
        fill_volume(ctx, row);
        return 0;
}

int volume_load(struct db_txn *t, uint64_t id, struct volume *ret)
{
        return db_one(t, volume_sql[GET], load_row, ret, DB_INT(id));
}

int volume_load_by_name(struct db_txn *t, uint64_t region, const char *name, struct volume *ret)
{
        return db_one(t, volume_sql[BY_NAME], load_row, ret, DB_INT(region), DB_TEXT(name));
}

int volume_load_by_device(struct db_txn *t, uint64_t instance, const char *device, struct volume *ret)
{
        return db_one(t, volume_sql[BY_DEVICE], load_row, ret, DB_INT(instance), DB_TEXT(device));
}

struct volume_walk {
        instance_volume_fn *fn;
        void *ctx;
};

static int volume_row(void *ctx, const struct db_row *row)
{
        const struct volume_walk *walk = ctx;
        struct volume v;

        fill_volume(&v, row);
        return walk->fn(walk->ctx, &v);
}

int volume_load_each(struct db_txn *t, uint64_t instance, instance_volume_fn *fn, void *ctx)
{
        struct volume_walk walk = { .fn = fn, .ctx = ctx };

        return db_each(t, volume_sql[OF_INSTANCE], volume_row, &walk, DB_INT(instance));
}

int volume_get(struct model *m, uint64_t id, struct volume *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : volume_load(&t, id, ret);
}

int volume_get_object(struct model *m, uint64_t id, struct object *ret)
{
        return object_get(m, volume_sql[GET_OBJECT], id, ret);
}

int volume_find(struct model *m, uint64_t region, const char *handle, struct object *ret)
{
        return object_find(m, volume_sql[FIND], region, handle, ret);
}

int volume_each(struct model *m, uint64_t region, object_fn *fn, void *ctx)
{
        return object_each(m, volume_sql[EACH], region, fn, ctx);
}

int volume_each_of_snapshot(struct model *m, uint64_t snapshot, object_fn *fn, void *ctx)
{
        return object_each(m, volume_sql[OF_SNAPSHOT], snapshot, fn, ctx);
}

int volume_snapshots(struct model *m, uint64_t id, object_fn *fn, void *ctx)
{
        return object_each(m, volume_sql[SNAPSHOTS], id, fn, ctx);
}

/* ---- rows ---- */

int volume_refuse_taken(const char *handle, struct diag *diag)
{
        return object_refuse_taken("disks", handle, "a disk", diag);
}

int volume_check_quota(struct db_txn *t, uint64_t region, uid_t uid, uint64_t disks, uint64_t bytes, struct diag *diag)
{
        int r = quota_check(t, region, uid, LIMIT_DISKS, disks, diag);

        return r < 0 ? r : quota_check(t, region, uid, LIMIT_DISK_BYTES, bytes, diag);
}

int volume_insert(struct db_txn *t, struct volume_new *n, bool suffix, struct diag *diag)
{
        struct volume *v = &n->v;
        int r;

        r = ident_new("disk", v->ident, sizeof(v->ident));
        if (r < 0)
                return r;
        v->cloud = v->o.handle[0] != '\0';
        if (v->cloud && suffix) {
                r = object_free_handle_of(t, volume_sql[FIND], v->region, v->o.handle, v->o.handle);
                if (r < 0)
                        return r;
        }

        r = db_run(t, volume_sql[INSERT], DB_TEXT(v->ident), DB_INT(v->region),
                   v->cloud ? DB_TEXT(v->o.handle) : DB_NULL, DB_INT(v->o.uid), DB_INT(v->o.gid),
                   DB_INT(v->o.mode ? v->o.mode : VOLUME_MODE),
                   DB_INT(clock_now_us()), DB_TEXT(v->name),
                   n->key ? DB_BLOB(n->key->bytes, sizeof(n->key->bytes)) : DB_NULL, DB_INT(v->size_bytes),
                   DB_ID(n->base), DB_ID(v->instance), v->instance ? DB_TEXT(v->device) : DB_NULL,
                   DB_TEXT(v->system ? "system" : "data"), DB_INT(n->made_with), DB_TEXT(v->source),
                   DB_ID(n->snapshot), DB_INT(n->key == NULL), DB_ID(n->key ? v->place : 0));
        if (r == -EEXIST)
                return volume_refuse_taken(v->o.handle, diag);
        if (r < 0)
                return r;
        v->o.id = db_last_id(t);
        return 0;
}

int volume_set_instance(struct db_txn *t, uint64_t id, uint64_t instance, const char *device)
{
        return db_run_one(t, volume_sql[SET_INSTANCE], DB_INT(id), DB_ID(instance),
                          instance ? DB_TEXT(device) : DB_NULL, DB_INT(clock_now_us()));
}

int volume_set_listed(struct db_txn *t, const struct volume *v, const char *wanted)
{
        char handle[NAME_LEN_MAX + 1];
        int r;

        if (wanted) {
                r = object_free_handle_of(t, volume_sql[FIND], v->region, wanted, handle);
                if (r < 0)
                        return r;
        }
        return db_run_one(t, volume_sql[SET_HANDLE], DB_INT(v->o.id), wanted ? DB_TEXT(handle) : DB_NULL,
                          DB_INT(clock_now_us()));
}

/* After a commit that could not be synced the row may be there when the library is opened again. */
void volume_discard_disk(struct model *m, struct blobstore *bs, const struct disk_id *key)
{
        if (!db_is_degraded(m->db))
                (void)disk_remove(bs, key); /* else the next start finds it, as in that case */
}

int volume_erase(struct db_txn *t, uint64_t id)
{
        return db_run_one(t, volume_sql[ERASE], DB_INT(id));
}

struct volume_list {
        size_t n;
        struct {
                uint64_t id;
                bool made_with;
        } item[DISKS_MAX];
};

static int collect_volume(void *ctx, const struct volume *v)
{
        struct volume_list *list = ctx;

        if (list->n == DISKS_MAX)
                return -E2BIG;
        list->item[list->n].id = v->o.id;
        list->item[list->n++].made_with = v->made_with;
        return 0;
}

int volume_erase_of_instance(struct db_txn *t, uint64_t instance, struct changes *ch)
{
        struct volume_list list = { 0 };
        int r;

        r = volume_load_each(t, instance, collect_volume, &list);
        for (size_t i = 0; i < list.n && r == 0; i++) {
                r = list.item[i].made_with ? volume_erase(t, list.item[i].id) :
                                             volume_set_instance(t, list.item[i].id, 0, NULL);
                changes_add(ch, OBJECT_VOLUME, list.item[i].id);
        }
        return r;
}

void volume_tell(struct model *m, uint64_t id, uint64_t instance, uint64_t snapshot)
{
        struct changes ch = { 0 };

        changes_add(&ch, OBJECT_VOLUME, id);
        changes_add(&ch, OBJECT_INSTANCE, instance);
        changes_add(&ch, OBJECT_SNAPSHOT, snapshot);
        changes_tell(m, &ch);
}
