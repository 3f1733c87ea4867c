/* SPDX-License-Identifier: MIT */

/*
 * The disk of a volume, which its row only plans at first. To make its files means to wait for the disk they lie on several
 * times, and who makes a machine holds the kernel's lock of a directory in which everybody makes theirs: so they are made
 * when something is written to it. Until then it is read as what it is a clone of (disk_make.c), and goes without a trace.
 *
 * A row that says "made" has its disk: one that is not there is lost. Of one that does not say so there may be nothing,
 * files that a crash left unfinished, or the disk, where the row is of an older copy of the catalogue or its last change
 * was not durable: it is never made anew. That it is noted down is not waited for: who starts next finds the disk.
 */

#include <errno.h>
#include <stdio.h>

#include "model/core/place.h"
#include "model/machine/volume_gate_priv.h"
#include "model/machine/volume_row.h"

enum { DISK, SET_MADE };

static const char *const volume_disk_sql[] = {
        [DISK] = "SELECT region.store, volume.key, made, base.key, volume.size, "
                 "ifnull(volume.place, 0), ifnull(volume.handle, volume.name) FROM volume "
                 "JOIN region ON region.id = volume.region LEFT JOIN blob AS base ON base.id = volume.base "
                 "WHERE volume.id = ?1",
        [SET_MADE] = "UPDATE volume SET made = 1 WHERE id = ?1",
};
const struct db_statements volume_disk_statements = DB_STATEMENTS(volume_disk_sql);

DEFINE_CLEANUP(struct disk *, disk_closep, disk_close)

static int disk_row(void *ctx, const struct db_row *row)
{
        struct volume_disk_ref *ref = ctx;

        ref->store = (uint64_t)db_row_int(row, 0);
        ref->exists = !db_row_is_null(row, 1);
        db_row_blob(row, 1, ref->disk.id.bytes, sizeof(ref->disk.id.bytes));
        ref->made = db_row_int(row, 2) != 0;
        ref->disk.has_base = !db_row_is_null(row, 3);
        db_row_blob(row, 3, ref->disk.base.bytes, sizeof(ref->disk.base.bytes));
        ref->disk.size_bytes = (uint64_t)db_row_int(row, 4);
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

/* It may have grown since its row was read; who does that from now on finds it open. */
static int catch_up(struct model *m, uint64_t id, struct disk *d)
{
        struct volume_disk_ref now;
        int r;

        r = load(m, id, &now);
        return r == 0 && now.disk.size_bytes > disk_get_size(d) ? disk_resize(d, now.disk.size_bytes) : r;
}

int volume_disk_open(struct model *m, uint64_t id, struct diag *diag, struct volume_disk_ref *ret_ref,
                     struct disk **ret)
{
        CLEANUP(disk_closep) struct disk *d = NULL;
        struct volume_disk_ref ref;
        struct blobstore *bs;
        int r;

        r = load(m, id, &ref);
        if (r == 0)
                r = refuse_elsewhere(m, &ref, diag);
        if (r == 0 && ref.exists) {
                r = stores_get(m, ref.store, diag, &bs);
                if (r == 0)
                        r = ref.made ? disk_open(bs, &ref.disk.id, &d) : disk_open_planned(bs, &ref.disk, &d);
                if (r == 0 && disk_is_young(d))
                        r = catch_up(m, id, d);
                else if (r == 0 && !ref.made && !m->read_only)
                        (void)note_made(m, id); /* who opens it next tries again */
        }
        if (r < 0)
                return r;
        if (ret_ref)
                *ret_ref = ref;
        *ret = TAKE_PTR(d);
        return 0;
}

int volume_disk_make(struct model *m, uint64_t id, struct disk *d)
{
        int r;

        r = disk_make(d);
        if (r < 0)
                return r;
        if (note_made(m, id) == -ENOENT)
                volume_discard_disk(m, disk_store(d), disk_get_id(d)); /* who has it open goes on */
        return 0;
}
