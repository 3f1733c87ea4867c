/* SPDX-License-Identifier: MIT */
/*
 * Copies of an image in other regions. Accepting one makes the replica (pending) with its snapshots (being created),
 * one per disk. The work carries the blobs to the target's store one after the other; then one transaction names
 * them all and makes the replica available. Regions of one store share the blobs' rows, and nothing is carried.
 *
 * A copy that was cut short begins again: blobs that had arrived whole are carried again as well, but that only
 * finds their chunks in place. Nothing in the target names them before the end, so nothing is left behind by a cancel.
 */

#include "model/work/copy.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/core/blob_row.h"
#include "model/core/region_row.h"
#include "model/core/room.h"
#include "model/core/stores.h"
#include "model/image/lifecycle.h"
#include "model/image/making.h"
#include "model/image/snapshot_row.h"
#include "model/work/copy_row.h"
#include "model/work/task_kinds.h"

DEFINE_CLEANUP(struct blob *, blob_closep, blob_close)

/* ---- accepting ---- */

static int check_source(struct db_txn *t, const struct image *source, const struct region *target, struct diag *diag)
{
        struct object copy;
        int r;

        if (source->class != CLASS_PRIVATE && source->class != CLASS_RECYCLE)
                return diag_set(diag, -EPERM, "%s is %s: only private images are copied", source->o.handle,
                                image_class_phrase(source->class));

        r = image_life_apply(t, source, VERB_SHARE_WORK, diag);
        if (r < 0)
                return r;

        if (source->type != TYPE_CLOUD)
                return diag_set(diag, -EOPNOTSUPP,
                                "%s is %s: only cloud images are copied (echo cloud > convert makes one of a "
                                "local one)",
                                source->o.handle, image_type_phrase(source->type));
        if (source->region == target->o.id)
                return diag_set(diag, -EINVAL, "%s is in %s already: choose another region", source->o.handle,
                                target->o.handle);

        r = copy_load(t, source->o.id, target->o.handle, &copy);
        if (r == 0)
                return diag_set(diag, -EEXIST, "there is a copy of %s to %s: rmdir copies/%s cancels or forgets it",
                                source->o.handle, target->o.handle, target->o.handle);
        if (r != -ENOENT)
                return r;

        return making_refuse_busy(t, source, diag);
}

/* Adds the line that says where the image came from; a description that has no room for it is cut. */
static void add_origin(struct image *replica, const struct image *source, const char *region)
{
        char line[NAME_LEN_MAX + IDENT_MAX + 32];
        size_t len, n;

        n = (size_t)snprintf(line, sizeof(line), "copied from %s/%s", region, source->ident);
        assert(n < sizeof(line));

        len = text_fit(replica->description, IMAGE_TEXT_MAX - 1 - n);
        if (len > 0)
                replica->description[len++] = '\n';
        memcpy(replica->description + len, line, n + 1);
}

static int insert_replica(struct db_txn *t, const struct image *source, const struct region *own,
                          const struct region *target, struct diag *diag, struct image *ret)
{
        struct image replica = *source;
        int r;

        replica.region = target->o.id;
        making_take_over(&replica, &source->o, VERB_COPY);
        add_origin(&replica, source, own->o.handle);

        r = image_insert(t, &replica, true, diag);
        if (r < 0)
                return r;

        r = lifecycle_warn(t, source, replica.o.id);
        if (r < 0)
                return r;

        *ret = replica;
        return 0;
}

static int insert_disks(struct db_txn *t, const struct disk_list *disks, const struct image *replica,
                        struct changes *ch)
{
        char from[IMAGE_VALUE_MAX + 1];
        struct snapshot original;
        uint64_t snapshot;
        int r;

        for (size_t i = 0; i < disks->n; i++) {
                r = snapshot_load(t, disks->disk[i].snapshot, &original);
                if (r < 0)
                        return r;

                (void)snprintf(from, sizeof(from), "snapshot:%s", original.ident);

                r = making_add_snapshot(t, replica, from, ch, &snapshot);
                if (r < 0)
                        return r;

                r = image_disk_insert(t, replica->o.id, disks->disk[i].device, disks->disk[i].system, snapshot, 0);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int copy_check(struct model *m, struct db_txn *t, const struct image *source, const struct region *target,
                      struct diag *diag, struct disk_list *ret_disks)
{
        int r;

        r = check_source(t, source, target, diag);
        if (r == 0)
                r = region_refuse_offline(m, t, source->region, diag);
        if (r == 0)
                r = region_refuse_offline(m, t, target->o.id, diag);
        return r < 0 ? r : disk_list_load(t, source->o.id, ret_disks);
}

struct share_of_owner {
        uid_t uid;
        uint64_t images, snapshots;
};

int copy_check_all(struct model *m, struct db_txn *t, const uint64_t *images, size_t n, const struct region *target,
                   struct diag *diag)
{
        CLEANUP_FREE struct share_of_owner *owners = calloc(n, sizeof(*owners));
        struct disk_list disks;
        struct image source;
        size_t known = 0;
        int r;

        if (!owners)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                size_t o = 0;

                r = image_load(t, images[i], &source);
                if (r == 0)
                        r = copy_check(m, t, &source, target, diag, &disks);
                if (r < 0)
                        return r;
                while (o < known && owners[o].uid != source.o.uid)
                        o++;
                if (o == known)
                        owners[known++].uid = source.o.uid;
                owners[o].images++;
                owners[o].snapshots += disks.n;
        }
        for (size_t o = 0; o < known; o++) {
                r = making_check_quota(t, target->o.id, owners[o].uid, owners[o].images, owners[o].snapshots, diag);
                if (r < 0)
                        return r;
        }
        return 0;
}

int copy_submit(struct model *m, struct db_txn *t, const struct caller *c, const struct image *source,
                const struct region *target, struct changes *ch, struct diag *diag, uint64_t *ret_task)
{
        struct disk_list disks;
        struct image replica;
        struct region own;
        int r;

        r = copy_check(m, t, source, target, diag, &disks);
        if (r < 0)
                return r;

        r = making_check_quota(t, target->o.id, source->o.uid, 1, disks.n, diag);
        if (r < 0)
                return r;

        r = region_load(t, source->region, &own);
        if (r < 0)
                return r;

        r = insert_replica(t, source, &own, target, diag, &replica);
        if (r < 0)
                return r;

        r = insert_disks(t, &disks, &replica, ch);
        if (r < 0)
                return r;

        r = task_submit(t,
                        &(struct task_new){
                                .kind = image_life_task(VERB_COPY),
                                .image = source->o.id,
                                .region = target->o.id,
                                .result = replica.o.id,
                                .detail = own.store == target->store ? TASK_DETAIL_INSTANT : NULL,
                                .caller = c,
                                .heir = &source->o,
                        },
                        ret_task);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_IMAGE, source->o.id);
        changes_add(ch, OBJECT_IMAGE, replica.o.id);
        changes_add(ch, OBJECT_TASK, *ret_task);
        return 0;
}

int image_copy(struct model *m, const struct caller *c, uint64_t id, const char *region, struct diag *diag,
               uint64_t *ret)
{
        struct changes changes = { 0 };
        struct region target;
        struct image source;
        uint64_t task;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_WRITE, &t);
                if (r < 0)
                        return r;

                r = image_load(&t, id, &source);
                if (r < 0)
                        return r;

                r = region_load_by_handle(&t, region, &target);
                if (r == -ENOENT)
                        return diag_set(diag, r, "there is no region %s: see copy-targets", region);
                if (r < 0)
                        return r;

                r = copy_submit(m, &t, c, &source, &target, &changes, diag, &task);
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        changes_tell(m, &changes);
        *ret = task;
        return 0;
}

/* ---- the work ---- */

struct copy {
        struct job *job;
        struct disk_list from, to;
        uint64_t from_store, to_store;
        struct blobstore *to_blobs; /* NULL within one store */
        uint64_t row[DISKS_MAX]; /* of the blob of each of the source's disks */
        uint64_t data_bytes[DISKS_MAX];
        struct blob *carried[DISKS_MAX]; /* in the target's store, held until they have names; NULL within one store */
        uint64_t before_bytes, total_bytes; /* data of the disks before the present one, and of all */
};

static void copy_done(struct copy *copy)
{
        for (size_t i = 0; i < copy->from.n; i++)
                blob_close(copy->carried[i]);
}

static int load_blobs(struct db_txn *t, struct copy *copy)
{
        struct blob_row blob;
        int r;

        for (size_t i = 0; i < copy->from.n; i++) {
                r = snapshot_load_blob(t, copy->from.disk[i].snapshot, &blob);
                if (r < 0)
                        return r;

                copy->row[i] = blob.id;
                copy->data_bytes[i] = blob.info.data_bytes;
                copy->total_bytes += blob.info.data_bytes;
        }

        return 0;
}

static int load_copy(struct copy *copy)
{
        struct job *job = copy->job;
        struct image source;
        struct region to;
        int r;
        DB_TXN(t);

        r = db_begin(job->m->db, DB_READ, &t);
        if (r < 0)
                return r;

        r = image_load_with_store(&t, job->task.image, &source, &copy->from_store);
        if (r < 0)
                return r;

        r = region_load(&t, job->task.region, &to);
        if (r < 0)
                return r;

        r = disk_list_load(&t, job->task.result, &copy->to);
        if (r < 0)
                return r;

        r = disk_list_load(&t, job->task.image, &copy->from);
        if (r < 0)
                return r;
        if (copy->from.n != copy->to.n)
                return -EBADMSG;

        copy->to_store = to.store;
        return load_blobs(&t, copy);
}

static int copy_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
        struct copy *copy = ctx;
        int r;

        (void)total_bytes; /* of this disk alone */
        r = room_check(copy->to_blobs, 0, ROOM_LEFT_BY_TASKS);
        if (r < 0)
                return r;

        return job_progress(copy->job, copy->before_bytes + done_bytes, copy->total_bytes);
}

static int carry_disk(struct copy *copy, size_t i)
{
        CLEANUP(blob_closep) struct blob *blob = NULL;
        uint64_t moved;
        int r;

        r = copy_progress(copy, 0, 0);
        if (r < 0)
                return r;

        r = blob_row_open(copy->job->m, copy->row[i], NULL, &blob);
        if (r < 0)
                return r;

        r = blob_transfer(blob, copy->to_blobs, copy_progress, copy, &copy->carried[i], &moved);
        if (r < 0)
                return r;

        copy->before_bytes += copy->data_bytes[i];
        return 0;
}

static int carry_disks(struct copy *copy)
{
        int r;

        if (copy->from_store == copy->to_store)
                return job_progress(copy->job, copy->total_bytes, copy->total_bytes);

        r = stores_get(copy->job->m, copy->to_store, NULL, &copy->to_blobs);
        if (r < 0)
                return r;

        for (size_t i = 0; i < copy->from.n; i++) {
                r = carry_disk(copy, i);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int finish(struct copy *copy, struct changes *ch)
{
        struct image replica;
        int r;
        DB_TXN(t);

        r = job_finish(copy->job, &t);
        if (r < 0)
                return r;

        for (size_t i = 0; i < copy->to.n; i++) {
                if (copy->carried[i])
                        r = making_fill_disk(&t, &copy->to.disk[i], copy->to_store, copy->carried[i], ch);
                else
                        r = making_set_blob(&t, &copy->to.disk[i], copy->row[i], ch);
                if (r < 0)
                        return r;
        }

        r = image_load(&t, copy->job->task.result, &replica);
        if (r < 0)
                return r;

        r = image_life_apply(&t, &replica, VERB_FINISH, NULL);
        if (r < 0)
                return r;

        return db_commit(&t);
}

int copy_run(struct job *job)
{
        CLEANUP(copy_done) struct copy copy = { .job = job };
        struct changes changes = { 0 };
        int r;

        r = load_copy(&copy);
        if (r < 0)
                return r;

        r = carry_disks(&copy);
        if (r < 0)
                return r;

        r = finish(&copy, &changes);
        if (r < 0)
                return r;

        changes_tell(job->m, &changes);
        return 0;
}
