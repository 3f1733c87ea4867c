/* SPDX-License-Identifier: MIT */

/*
 * Snapshots of disks. Accepting one makes the snapshot (being created); the work makes a blob of what the disk holds,
 * for which it reads what was changed since the disk was made, and names it. Until that the disk is not written to, so
 * that the work can begin again after a crash and gives the same. One that fails or is cancelled was never there.
 */

#include "model/machine/volume_snapshot.h"

#include <errno.h>
#include <stdio.h>

#include "model/core/blob_row.h"
#include "model/core/quota_row.h"
#include "model/core/region_row.h"
#include "model/image/snapshot_row.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_life.h"
#include "model/machine/volume_row.h"

enum { SET_VOLUME };

static const char *const volume_snapshot_sql[] = {
        [SET_VOLUME] = "UPDATE snapshot SET volume = ?2 WHERE id = ?1",
};
const struct db_statements volume_snapshot_statements = DB_STATEMENTS(volume_snapshot_sql);

/* ---- accepting ---- */

static int insert_snapshot(struct db_txn *t, const struct volume *v, const char *handle, struct diag *diag,
                           struct snapshot *ret)
{
        struct snapshot *s = ret;
        int r;

        r = snapshot_refuse_taken(t, v->region, handle, diag);
        if (r == 0)
                r = quota_check(t, v->region, v->o.uid, LIMIT_SNAPSHOTS, 1, diag);
        if (r < 0)
                return r;

        *s = (struct snapshot){ .o = { .uid = v->o.uid, .gid = v->o.gid, .mode = v->o.mode }, .region = v->region };
        (void)snprintf(s->o.handle, sizeof(s->o.handle), "%s", handle);
        (void)snprintf(s->name, sizeof(s->name), "%s", handle);
        (void)snprintf(s->source, sizeof(s->source), "disk:%s", v->ident);
        r = snapshot_insert(t, s);
        if (r == 0)
                r = db_run(t, volume_snapshot_sql[SET_VOLUME], DB_INT(s->o.id), DB_INT(v->o.id));
        return r < 0 ? r : 0;
}

static int accept(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct changes *ch,
                  struct db_owed *owed, struct diag *diag, uint64_t *ret)
{
        struct snapshot snapshot;
        struct volume v;
        uint64_t task;
        LOCK_SCOPE(volumes_gate(m, OBJECT_VOLUME, id));
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = volume_load(&t, id, &v);
        if (r == 0)
                r = volume_life_ask(m, &t, &v, NULL, VOLUME_SNAPSHOT, diag);
        if (r == 0)
                r = region_refuse_offline(m, &t, v.region, diag);
        if (r == 0)
                r = insert_snapshot(&t, &v, handle, diag, &snapshot);
        if (r == 0)
                r = task_submit(&t,
                                &(struct task_new){
                                        .kind = volume_life_task(VOLUME_SNAPSHOT),
                                        .region = v.region,
                                        .instance = v.instance,
                                        .volume = id,
                                        .snapshot = snapshot.o.id,
                                        .place = v.place,
                                        .caller = c,
                                        .heir = &v.o,
                                },
                                &task);
        if (r == 0)
                r = db_commit_early(&t, owed);
        if (r < 0)
                return r;
        changes_add(ch, OBJECT_VOLUME, id);
        changes_add(ch, OBJECT_INSTANCE, v.instance);
        changes_add(ch, OBJECT_SNAPSHOT, snapshot.o.id);
        changes_add(ch, OBJECT_TASK, task);
        *ret = snapshot.o.id;
        return 0;
}

int volume_snapshot(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag,
                    uint64_t *ret)
{
        struct changes ch = { 0 };
        struct db_owed owed;
        int r;

        r = object_check_name(handle, "snapshot", diag);
        if (r == 0)
                r = accept(m, c, id, handle, &ch, &owed, diag, ret);
        if (r == 0)
                r = db_await(&owed);
        if (r == 0)
                changes_tell(m, &ch);
        return r;
}

/* ---- the work ---- */

DEFINE_CLEANUP(struct disk *, disk_closep, disk_close)
DEFINE_CLEANUP(struct blob *, blob_closep, blob_close)

int volume_make_blob(struct model *m, uint64_t id, blob_progress_fn *progress, void *ctx, uint64_t *ret_store,
                     struct blob **ret)
{
        CLEANUP(disk_closep) struct disk *d = NULL;
        struct disk_snapshot_stats stats;
        struct volume_disk_ref ref;
        int r;

        r = volume_disk_open(m, id, NULL, &ref, &d);
        if (r == 0 && !d)
                r = -EBADMSG;
        if (r == 0)
                r = disk_snapshot(d, progress, ctx, ret, &stats);
        if (r == 0)
                *ret_store = ref.store;
        return r;
}

static int note_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
        return job_progress(ctx, done_bytes, total_bytes);
}

int volume_snapshot_run(struct job *job)
{
        const struct task *task = &job->task;
        CLEANUP(blob_closep) struct blob *blob = NULL;
        struct changes ch = { 0 };
        uint64_t store, row;
        int r;

        r = volume_make_blob(job->m, task->volume, note_progress, job, &store, &blob);
        if (r < 0)
                return r;
        {
                DB_TXN(t);

                r = job_finish(job, &t);
                if (r == 0)
                        r = blob_row_insert(&t, store, blob, &row);
                if (r == 0)
                        r = snapshot_set_blob(&t, task->snapshot, row);
                if (r == 0)
                        r = db_commit(&t);
                if (r < 0)
                        return r;
        }
        changes_add(&ch, OBJECT_SNAPSHOT, task->snapshot);
        changes_add(&ch, OBJECT_VOLUME, task->volume);
        changes_add(&ch, OBJECT_INSTANCE, task->instance);
        changes_tell(job->m, &ch);
        return 0;
}

int volume_snapshot_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch)
{
        (void)sentence; /* the task keeps it */
        changes_add(ch, OBJECT_SNAPSHOT, task->snapshot);
        changes_add(ch, OBJECT_VOLUME, task->volume);
        changes_add(ch, OBJECT_INSTANCE, task->instance);
        return task->snapshot ? snapshot_erase(t, task->snapshot) : 0;
}
