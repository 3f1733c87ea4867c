/* SPDX-License-Identifier: MIT */

/*
 * The disk of a volume, which the row of a clone only plans. To make its files means to wait for the disk several times,
 * and who makes a machine holds the kernel's lock of a directory in which everybody makes theirs: so they are made by
 * who first needs them, or by upkeep, soon after. Nothing can tell the difference but the time it takes.
 *
 * A row that says "made" has its disk: one that is not there is lost. Of one that does not say so there may be nothing,
 * files that a crash left unfinished, or the disk, where the row is of an older copy of the catalogue or its last change
 * was not durable: it is never made anew. For one volume only one does that at a time; that it is noted down is not
 * waited for.
 */

#include <errno.h>
#include <stdio.h>

#include "model/core/jobs.h"
#include "model/core/place.h"
#include "model/machine/volume_gate_priv.h"
#include "model/machine/volume_row.h"

enum { DISK, SET_MADE, NEXT_UNMADE, LAST_UNMADE };

static const char *const volume_disk_sql[] = {
        [DISK] = "SELECT region.store, volume.key, made, base.key, volume.size, "
                 "ifnull(volume.place, 0), ifnull(volume.handle, volume.name) FROM volume "
                 "JOIN region ON region.id = volume.region LEFT JOIN blob AS base ON base.id = volume.base "
                 "WHERE volume.id = ?1",
        [SET_MADE] = "UPDATE volume SET made = 1 WHERE id = ?1",
        [NEXT_UNMADE] = "SELECT id FROM volume WHERE made = 0 AND id > ?1 AND (place IS NULL OR place = ?2) ORDER BY id LIMIT 1",
        [LAST_UNMADE] = "SELECT ifnull(max(id), 0) FROM volume WHERE made = 0",
};
const struct db_statements volume_disk_statements = DB_STATEMENTS(volume_disk_sql);

DEFINE_CLEANUP(struct disk *, disk_closep, disk_close)

static int disk_row(void *ctx, const struct db_row *row)
{
        struct volume_disk_ref *ref = ctx;

        ref->store = (uint64_t)db_row_int(row, 0);
        ref->exists = !db_row_is_null(row, 1);
        db_row_blob(row, 1, ref->key.bytes, sizeof(ref->key.bytes));
        ref->made = db_row_int(row, 2) != 0;
        db_row_blob(row, 3, ref->base.bytes, sizeof(ref->base.bytes));
        ref->size_bytes = (uint64_t)db_row_int(row, 4);
        ref->place = (uint64_t)db_row_int(row, 5);
        db_row_text(row, 6, ref->name, sizeof(ref->name));
        return 0;
}

int volume_load_disk(struct db_txn *t, uint64_t id, struct volume_disk_ref *ret)
{
        return db_one(t, volume_disk_sql[DISK], disk_row, ret, DB_INT(id));
}

static int load(struct model *m, uint64_t id, struct volume_disk_ref *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : volume_load_disk(&t, id, ret);
}

static int refuse_elsewhere(struct model *m, const struct volume_disk_ref *ref, struct diag *diag)
{
        char is[NAME_LEN_MAX + sizeof(" is")];
        DB_TXN(t);
        int r;

        if (!place_is_elsewhere(m, ref->place))
                return 0;
        (void)snprintf(is, sizeof(is), "%s is", ref->name);
        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : place_refuse(&t, ref->place, is, diag);
}

/* ---- making ---- */

static bool is_being_made(const struct volumes *vs, uint64_t id)
{
        const struct making *making;

        LIST_FOREACH(making, &vs->making, link)
                if (making->id == id)
                        return true;
        return false;
}

static void making_begin(struct volumes *vs, struct making *making)
{
        LOCK_SCOPE(&vs->mutex);
        while (is_being_made(vs, making->id))
                (void)pthread_cond_wait(&vs->made, &vs->mutex);
        LIST_INSERT_HEAD(&vs->making, making, link);
}

static void making_end(struct volumes *vs, struct making *making)
{
        LOCK_SCOPE(&vs->mutex);
        LIST_REMOVE(making, link);
        (void)pthread_cond_broadcast(&vs->made);
}

/* -ENOENT: the volume is gone. */
static int note_made(struct model *m, uint64_t id)
{
        DB_TXN(t);
        int r;

        r = db_begin_lazy(m->db, &t);
        if (r == 0)
                r = db_run_one(&t, volume_disk_sql[SET_MADE], DB_INT(id));
        return r < 0 ? r : db_commit(&t);
}

static int make(struct model *m, uint64_t id, struct blobstore *bs, struct diag *diag)
{
        struct volume_disk_ref ref;
        int r;

        r = load(m, id, &ref); /* somebody may have made it meanwhile */
        if (r < 0 || ref.made)
                return r;
        if (m->read_only) {
                CLEANUP(disk_closep) struct disk *d = NULL;

                r = disk_open(bs, &ref.key, &d);
                return r != -ENOENT ? r : diag_set(diag, -EIO, "a crash came before this disk was made: mount the "
                                                   "library for writing once");
        }
        r = disk_create_planned(bs, &ref.base, ref.size_bytes, &ref.key);
        if (r < 0 && r != -EEXIST)
                return r;
        r = note_made(m, id);
        if (r == -ENOENT)
                volume_discard_disk(m, bs, &ref.key);
        return r;
}

int volume_disk_open(struct model *m, uint64_t id, struct diag *diag, struct volume_disk_ref *ret_ref,
                     struct disk **ret)
{
        struct making making = { .id = id };
        struct volume_disk_ref ref;
        struct blobstore *bs;
        struct disk *d = NULL;
        int r;

        r = load(m, id, &ref);
        if (r == 0)
                r = refuse_elsewhere(m, &ref, diag);
        if (r == 0 && ref.exists) {
                r = stores_get(m, ref.store, diag, &bs);
                if (r == 0 && !ref.made) {
                        making_begin(m->volumes, &making);
                        r = make(m, id, bs, diag);
                        making_end(m->volumes, &making);
                }
                if (r == 0)
                        r = disk_open(bs, &ref.key, &d);
        }
        if (r < 0)
                return r;
        if (ret_ref)
                *ret_ref = ref;
        *ret = d;
        return 0;
}

/* ---- those that nobody has needed yet ---- */

/* The first after ID; the last where LAST is not known yet. */
static int find_unmade(struct model *m, uint64_t *id, int64_t *last)
{
        int64_t next;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0 && *last == 0)
                r = db_int(&t, volume_disk_sql[LAST_UNMADE], last);
        if (r == 0)
                r = db_int(&t, volume_disk_sql[NEXT_UNMADE], &next, DB_INT(*id), DB_INT(m->place));
        if (r < 0)
                return r;
        *id = (uint64_t)next;
        return next > *last ? -ENOENT : 0;
}

void volumes_make_disks(struct model *m)
{
        int64_t last = 0; /* others come while these are made, and have the next round */
        uint64_t id = 0;

        while (!jobs_is_stopping(m) && find_unmade(m, &id, &last) == 0) {
                CLEANUP(disk_closep) struct disk *d = NULL;

                (void)volume_disk_open(m, id, NULL, NULL, &d); /* who needs it is told why not */
        }
}
