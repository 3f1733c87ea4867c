/* SPDX-License-Identifier: MIT */

/*
 * Snapshots: disks by themselves, which images refer to. One is made by an upload, a conversion, a copy, or of a
 * machine's disk, as creating, becomes available when its bytes are there, and never changes after that but in name
 * and description. It stays until somebody removes it, which takes that no image refers to it.
 */

#include "model/image/snapshot.h"

#include <errno.h>
#include <string.h>

#include "model/core/blob_row.h"
#include "model/core/clock.h"
#include "model/core/ident.h"
#include "model/core/jobs.h"
#include "model/image/image_row.h"
#include "model/image/snapshot_life.h"
#include "model/image/snapshot_row.h"

enum { GET, GET_OBJECT, FIND, EACH, INSERT, SET_BLOB, SET_NAME, SET_DESCRIPTION, RENAME, ERASE, IMAGES, BLOB };

static const char *const snapshot_sql[] = {
        [GET] = "SELECT " OBJECT_COLUMNS("snapshot") ", ident, region, status = 'available', " BLOB_INFO_COLUMNS ", "
                "name, source, description FROM snapshot LEFT JOIN blob ON blob.id = snapshot.blob "
                "WHERE snapshot.id = ?1",
        [GET_OBJECT] = "SELECT " OBJECT_COLUMNS("snapshot") " FROM snapshot WHERE id = ?1",
        [FIND] = "SELECT " OBJECT_COLUMNS("snapshot") " FROM snapshot WHERE region = ?1 AND handle = ?2",
        [EACH] = "SELECT " OBJECT_COLUMNS("snapshot") " FROM snapshot WHERE region = ?1 ORDER BY handle",
        [INSERT] = "INSERT INTO snapshot (ident, region, handle, uid, gid, mode, created, updated, name, status, "
                   "source, description) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, 'creating', ?9, ?10)",
        [SET_BLOB] = "UPDATE snapshot SET blob = ?2, status = 'available', updated = max(?3, updated + 1) "
                     "WHERE id = ?1 AND status = 'creating'",
        [SET_NAME] = "UPDATE snapshot SET name = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [SET_DESCRIPTION] = "UPDATE snapshot SET description = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [RENAME] = "UPDATE snapshot SET handle = ?2, name = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [ERASE] = "DELETE FROM snapshot WHERE id = ?1",
        [IMAGES] = SNAPSHOT_IMAGES,
        [BLOB] = "SELECT blob FROM snapshot WHERE id = ?1",
};
const struct db_statements snapshot_statements = DB_STATEMENTS(snapshot_sql);

static int fill_snapshot(void *ctx, const struct db_row *row)
{
        struct snapshot *s = ctx;
        int col = OBJECT_N_COLUMNS;

        object_fill(&s->o, row);
        db_row_text(row, col++, s->ident, sizeof(s->ident));
        s->region = (uint64_t)db_row_int(row, col++);
        s->available = db_row_int(row, col++) != 0;
        blob_row_info(row, col, &s->blob);
        col += BLOB_INFO_N_COLUMNS;
        db_row_text(row, col++, s->name, sizeof(s->name));
        db_row_text(row, col++, s->source, sizeof(s->source));
        db_row_text(row, col++, s->description, sizeof(s->description));
        return 0;
}

int snapshot_load(struct db_txn *t, uint64_t id, struct snapshot *ret)
{
        return db_one(t, snapshot_sql[GET], fill_snapshot, ret, DB_INT(id));
}

int snapshot_get(struct model *m, uint64_t id, struct snapshot *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : snapshot_load(&t, id, ret);
}

int snapshot_get_object(struct model *m, uint64_t id, struct object *ret)
{
        return object_get(m, snapshot_sql[GET_OBJECT], id, ret);
}

int snapshot_find(struct model *m, uint64_t region, const char *handle, struct object *ret)
{
        return object_find(m, snapshot_sql[FIND], region, handle, ret);
}

int snapshot_each(struct model *m, uint64_t region, object_fn *fn, void *ctx)
{
        return object_each(m, snapshot_sql[EACH], region, fn, ctx);
}

int snapshot_load_blob(struct db_txn *t, uint64_t id, struct blob_row *ret)
{
        return blob_row_load_of(t, snapshot_sql[BLOB], id, ret);
}

int snapshot_open(struct model *m, uint64_t id, struct diag *diag, struct blob **ret)
{
        return blob_row_open_of(m, snapshot_sql[BLOB], id, diag, ret);
}

int snapshot_images(struct model *m, uint64_t id, image_fn *fn, void *ctx)
{
        return image_each_of(m, snapshot_sql[IMAGES], id, fn, ctx);
}

/* ---- rows ---- */

static int refuse_taken(const char *handle, struct diag *diag)
{
        return object_refuse_taken("snapshots", handle, "a snapshot", diag);
}

int snapshot_refuse_taken(struct db_txn *t, uint64_t region, const char *handle, struct diag *diag)
{
        int r;

        r = object_is_taken(t, snapshot_sql[FIND], region, handle);
        return r > 0 ? refuse_taken(handle, diag) : r;
}

int snapshot_insert(struct db_txn *t, struct snapshot *snapshot)
{
        int64_t now = clock_now_us();
        char ident[IDENT_MAX];
        int r;

        r = ident_new("snap", ident, sizeof(ident));
        if (r < 0)
                return r;
        r = object_free_handle_of(t, snapshot_sql[FIND], snapshot->region, snapshot->o.handle, snapshot->o.handle);
        if (r < 0)
                return r;

        r = db_run(t, snapshot_sql[INSERT], DB_TEXT(ident), DB_INT(snapshot->region), DB_TEXT(snapshot->o.handle),
                   DB_INT(snapshot->o.uid), DB_INT(snapshot->o.gid), DB_INT(snapshot->o.mode), DB_INT(now),
                   DB_TEXT(snapshot->name), DB_TEXT(snapshot->source), DB_TEXT(snapshot->description));
        if (r < 0)
                return r;
        snapshot->o.id = db_last_id(t);
        snapshot->o.created_us = now;
        snapshot->o.updated_us = now;
        snapshot->available = false;
        memcpy(snapshot->ident, ident, sizeof(ident));
        return 0;
}

int snapshot_set_blob(struct db_txn *t, uint64_t id, uint64_t blob)
{
        return db_run_one(t, snapshot_sql[SET_BLOB], DB_INT(id), DB_INT(blob), DB_INT(clock_now_us()));
}

int snapshot_erase(struct db_txn *t, uint64_t id)
{
        return db_run_one(t, snapshot_sql[ERASE], DB_INT(id));
}

/* ---- changing them ---- */

int snapshot_set_name(struct model *m, const struct caller *c, uint64_t id, const char *name, struct diag *diag)
{
        int r;

        (void)c; /* the modes of the tree decide */
        r = object_check_name(name, "name", diag);
        return r < 0 ? r : object_set_text(m, OBJECT_SNAPSHOT, snapshot_sql[SET_NAME], id, name);
}

int snapshot_set_description(struct model *m, const struct caller *c, uint64_t id, const char *text, struct diag *diag)
{
        int r;

        (void)c; /* the modes of the tree decide */
        r = object_check_text(text, IMAGE_TEXT_MAX, "description", diag);
        return r < 0 ? r : object_set_text(m, OBJECT_SNAPSHOT, snapshot_sql[SET_DESCRIPTION], id, text);
}

int snapshot_rename(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag)
{
        int r;

        r = object_check_name(handle, "snapshot", diag);
        if (r == 0)
                r = object_rename(m, OBJECT_SNAPSHOT, snapshot_sql[GET_OBJECT], snapshot_sql[RENAME], c, id, handle,
                                  diag);
        return r == -EEXIST ? refuse_taken(handle, diag) : r;
}

int snapshot_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        struct snapshot snapshot;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = snapshot_load(&t, id, &snapshot);
        if (r == 0)
                r = object_refuse_other(&snapshot.o, c, "remove it", diag);
        if (r < 0)
                return r;
        r = snapshot_life_ask(&t, c, &snapshot, SNAPSHOT_REMOVE, diag);
        if (r == 0)
                r = snapshot_erase(&t, id);
        if (r == 0)
                r = db_commit(&t);
        if (r < 0)
                return r;
        changes_send(m, OBJECT_SNAPSHOT, id);
        jobs_wake(m); /* its bytes can go */
        return 0;
}
