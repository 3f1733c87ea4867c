/* SPDX-License-Identifier: MIT */

/*
 * Where an image is: renaming it, publishing it, sending it to the recycle bin and bringing it back, and its end.
 *
 * In the recycle bin an image keeps its owner and modes, its disks and the snapshots they refer to, but no longer
 * counts as a private image. When it is destroyed, the snapshots that its own import made go with it, where nothing
 * else refers to them; all others stay, on their own.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/core/clock.h"
#include "model/core/object_row.h"
#include "model/core/quota_row.h"
#include "model/core/task_row.h"
#include "model/image/making.h"
#include "model/image/snapshot_row.h"

#define PUBLISHED_MODE   0755
#define UNPUBLISHED_MODE 0700

enum { MOVE };

static const char *const image_move_sql[] = {
        [MOVE] = "UPDATE image SET class = ?2, handle = ?3, name = ?4, source = ?5, type = ?6, uid = ?7, gid = ?8, "
                 "mode = ?9, restore_status = ?10, deleted = iif(?2 = 'recycle', ifnull(deleted, ?11), NULL), "
                 "places = places + ?12, updated = max(?11, updated + 1) WHERE id = ?1",
};
const struct db_statements image_move_statements = DB_STATEMENTS(image_move_sql);

/*
 * Writes where IMAGE is now. The status has been moved before. With NEW_PLACE it went there by other means than rename(2),
 * by which the kernel knows where it went.
 */
static int write_new_place(struct db_txn *t, const struct image *image, bool new_place, struct diag *diag)
{
        bool recycled = image->class == CLASS_RECYCLE;
        int r;

        r = db_run(t, image_move_sql[MOVE], DB_INT(image->o.id), DB_TEXT(image_class_name(image->class)),
                   DB_TEXT(image->o.handle), DB_TEXT(image->name), DB_TEXT(image_class_name(image->source)),
                   DB_TEXT(image_type_name(image->type)), DB_INT(image->o.uid), DB_INT(image->o.gid),
                   DB_INT(image->o.mode), DB_TEXT(recycled ? image_status_name(image->restore) : ""),
                   DB_INT(clock_now_us()), DB_INT(new_place));
        if (r == -EEXIST)
                return image_refuse_taken(image->class, image->o.handle, diag);
        return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

static int write_place(struct db_txn *t, const struct image *image, struct diag *diag)
{
        return write_new_place(t, image, false, diag);
}

static void set_handle(struct image *image, const char *handle)
{
        (void)snprintf(image->o.handle, sizeof(image->o.handle), "%s", handle);
}

/* ---- rename ---- */

/* A new handle is a new name too; a move to another class under the same handle keeps the name. */
static void take_name(struct image *image, const char *handle)
{
        if (strcmp(image->o.handle, handle) == 0)
                return;
        set_handle(image, handle);
        (void)snprintf(image->name, sizeof(image->name), "%s", handle);
}

static int restore(struct db_txn *t, struct image *image, enum image_class class, const char *handle, struct diag *diag)
{
        int r;

        if (class != image->source)
                return diag_set(diag, -EPERM, "%s was deleted from %s/: restore it there", image->o.handle,
                                image_class_name(image->source));
        r = image_life_apply(t, image, VERB_RESTORE, diag);
        if (r == 0 && image_counts(class, image->o.uid))
                r = quota_check(t, image->region, image->o.uid, LIMIT_PRIVATE_IMAGES, 1, diag);
        if (r < 0)
                return r;
        image->class = class;
        take_name(image, handle);
        return write_place(t, image, diag);
}

static int publish(struct db_txn *t, const struct caller *c, struct image *image, enum image_class class,
                   const char *handle, struct diag *diag)
{
        int r;

        if (!c->admin)
                return diag_set(diag, -EPERM, "%s: only the administrator publishes images", image->o.handle);
        r = image_life_apply(t, image, VERB_PUBLISH, diag);
        /* Whatever the administrator's own limit says. */
        if (r == 0)
                r = image_handover_snapshots(t, image->o.id, c->uid, &c->gid);
        if (r < 0)
                return r;
        image->class = class;
        image->source = class;
        image->type = TYPE_BOTH;
        image->o.uid = c->uid;
        image->o.gid = c->gid;
        image->o.mode = PUBLISHED_MODE;
        take_name(image, handle);
        return write_place(t, image, diag);
}

/* Disks that are the image's own become snapshots, as those of a cloud image are. */
static int disks_to_snapshots(struct db_txn *t, const struct image *image, struct changes *ch, struct diag *diag)
{
        char source[sizeof("image:") + IDENT_MAX];
        uint64_t snapshots = 0, snapshot;
        struct disk_list disks;
        int r;

        r = disk_list_load(t, image->o.id, &disks);
        if (r < 0)
                return r;
        for (size_t i = 0; i < disks.n; i++)
                snapshots += disks.disk[i].snapshot == 0;
        r = quota_check(t, image->region, image->o.uid, LIMIT_SNAPSHOTS, snapshots, diag);
        (void)snprintf(source, sizeof(source), "image:%s", image->ident);
        for (size_t i = 0; i < disks.n && r == 0; i++) {
                if (disks.disk[i].snapshot)
                        continue;
                r = making_add_snapshot(t, image, source, ch, &snapshot);
                if (r == 0)
                        r = snapshot_set_blob(t, snapshot, disks.disk[i].blob);
                if (r == 0)
                        r = image_disk_set(t, disks.disk[i].id, snapshot, 0);
        }
        return r;
}

/* A private cloud image of the administrator's, whoever had published it. Instances keep their clones. */
static int unpublish(struct db_txn *t, const struct caller *c, struct image *image, const char *handle,
                     struct changes *ch, struct diag *diag)
{
        int r;

        r = image_life_apply(t, image, VERB_UNPUBLISH, diag);
        if (r == 0)
                r = quota_check(t, image->region, c->uid, LIMIT_PRIVATE_IMAGES, 1, diag);
        if (r < 0)
                return r;
        image->class = CLASS_PRIVATE;
        image->source = CLASS_PRIVATE;
        image->type = TYPE_CLOUD;
        image->o.uid = c->uid;
        image->o.gid = c->gid;
        image->o.mode = UNPUBLISHED_MODE;
        take_name(image, handle);
        r = disks_to_snapshots(t, image, ch, diag);
        return r < 0 ? r : write_place(t, image, diag);
}

static int remove_in(struct db_txn *t, const struct caller *c, const struct image *image, bool by_rename,
                     struct changes *ch, struct diag *diag);

/* As rmdir does; but what was never filled would be gone, and not where it was moved to. */
static int move_into_bin(struct db_txn *t, const struct caller *c, const struct image *image, const char *handle,
                         struct changes *ch, struct diag *diag)
{
        if (strcmp(handle, image->o.handle) != 0)
                return diag_set(diag, -EINVAL, "%s: an image is deleted under its own name: mv it into recycle/",
                                image->o.handle);
        if (image->status == IMAGE_QUEUED || image->status == IMAGE_UPLOADING)
                return diag_set(diag, -EBUSY, "%s has no data yet that the recycle bin could keep: rmdir removes it",
                                image->o.handle);
        return remove_in(t, c, image, true, ch, diag);
}

static int move(struct db_txn *t, const struct caller *c, struct image *image, enum image_class class,
                const char *handle, struct changes *ch, struct diag *diag)
{
        int r;

        r = image_refuse_stranger(image->source, c, diag);
        if (r == 0)
                r = object_refuse_other(&image->o, c, "move it", diag);
        if (r < 0)
                return r;
        if (class == image->class) {
                take_name(image, handle);
                return write_place(t, image, diag);
        }
        if (image->class == CLASS_RECYCLE)
                return restore(t, image, class, handle, diag);
        if (image->class == CLASS_PRIVATE && (class == CLASS_PUBLIC || class == CLASS_MARKETPLACE))
                return publish(t, c, image, class, handle, diag);
        if ((image->class == CLASS_PUBLIC || image->class == CLASS_MARKETPLACE) && class == CLASS_PRIVATE)
                return unpublish(t, c, image, handle, ch, diag);
        if (class == CLASS_RECYCLE)
                return move_into_bin(t, c, image, handle, ch, diag);
        return diag_set(diag, -EPERM, "%s: images do not move from %s to %s: only between private and public or marketplace, "
                        "by the administrator", image->o.handle, image_class_name(image->class), image_class_name(class));
}

int image_move(struct model *m, const struct caller *c, uint64_t id, uint64_t region, enum image_class class,
               const char *handle, struct diag *diag)
{
        struct changes ch = { 0 };
        struct image image;
        DB_TXN(t);
        int r;

        r = object_check_name(handle, "image", diag);
        if (r == 0)
                r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = image_load(&t, id, &image);
        if (r < 0)
                return r;
        if (region != image.region)
                return diag_set(diag, -EPERM,
                                "%s: images do not move to another region: mkdir copies/<region> copies one there",
                                image.o.handle);
        if (class == image.class && strcmp(handle, image.o.handle) == 0)
                return 0; /* rename(2) onto itself does nothing */

        r = move(&t, c, &image, class, handle, &ch, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r < 0)
                return r;
        changes_add(&ch, OBJECT_IMAGE, id);
        changes_tell(m, &ch);
        return 0;
}

/* ---- rmdir ---- */

static int recycle(struct db_txn *t, const struct image *image, bool by_rename, struct diag *diag)
{
        struct image recycled = *image;
        int r;

        recycled.class = CLASS_RECYCLE;
        recycled.restore = image->status;
        r = image_free_handle(t, image->region, CLASS_RECYCLE, image->o.handle, recycled.o.handle);
        return r < 0 ? r : write_new_place(t, &recycled, !by_rename, diag);
}

/* If it is being fetched, that ends here, as cancelled. */
static int cancel_fetch(struct db_txn *t, uint64_t image, struct changes *ch)
{
        struct progress progress = { 0 };
        struct task task;
        int r;

        r = task_active_of_image(t, image, &task);
        if (r == -ENOENT || (r == 0 && task.kind != TASK_FETCH))
                return 0;
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_TASK, task.o.id);
        return task_end(t, task.o.id, TASK_CANCELLED, "", &progress);
}

static int remove_in(struct db_txn *t, const struct caller *c, const struct image *image, bool by_rename,
                     struct changes *ch, struct diag *diag)
{
        enum image_verb verb = image->class == CLASS_RECYCLE ? VERB_DESTROY : VERB_DELETE;
        int r;

        r = image_refuse_stranger(image->source, c, diag);
        if (r == 0)
                r = object_refuse_other(&image->o, c, "remove it", diag);
        if (r == 0 && image->status == IMAGE_UPLOADING)
                r = cancel_fetch(t, image->o.id, ch);
        if (r == 0)
                r = image_life_apply(t, image, verb, diag);
        if (r < 0)
                return r;
        changes_add(ch, OBJECT_IMAGE, image->o.id);
        if (image_life_target(image, verb, image->status) == IMAGE_DELETED)
                return recycle(t, image, by_rename, diag);
        return verb == VERB_DESTROY ? making_destroy(t, image->o.id, ch) : making_drop(t, image->o.id, ch);
}

int image_remove_in(struct db_txn *t, const struct caller *c, const struct image *image, struct changes *ch,
                    struct diag *diag)
{
        return remove_in(t, c, image, false, ch, diag);
}

/* BINNED: what is in the recycle bin is meant. Somebody else may have removed it, or restored it, since the caller looked. */
static int remove_as(struct model *m, const struct caller *c, uint64_t id, bool binned, struct diag *diag)
{
        struct changes ch = { 0 };
        struct image image;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = image_load(&t, id, &image);
        if (r == 0 && (image.class == CLASS_RECYCLE) != binned)
                return -ENOENT;
        if (r == 0)
                r = image_remove_in(&t, c, &image, &ch, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r < 0)
                return r;
        if (image.status == IMAGE_QUEUED || image.status == IMAGE_UPLOADING || image.status == IMAGE_DELETED)
                image_tell_gone(m, id, image.region, image.ident);
        else if (image.status == IMAGE_ERROR)
                image_tell_recycled(m, id, image.region, image.ident);
        changes_tell(m, &ch);
        return 0;
}

int image_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        return remove_as(m, c, id, false, diag);
}

int image_destroy(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        return remove_as(m, c, id, true, diag);
}
