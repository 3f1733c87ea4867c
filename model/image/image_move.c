/* SPDX-License-Identifier: MIT */

/*
 * Where an image is: renaming it, publishing it, sending it to the recycle bin and bringing it back, and its end.
 *
 * In the recycle bin an image keeps its owner and modes, its disks and the snapshots they refer to, but no longer
 * counts as a private image. A destroyed image's snapshots stay, on their own; those still being made for it go.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/core/clock.h"
#include "model/core/object_row.h"
#include "model/core/quota_row.h"
#include "model/core/task_row.h"
#include "model/image/making.h"

#define PUBLISHED_MODE 0755

enum { MOVE };

static const char *const image_move_sql[] = {
        [MOVE] = "UPDATE image SET class = ?2, handle = ?3, name = ?4, source = ?5, type = ?6, uid = ?7, gid = ?8, "
                 "mode = ?9, restore_status = ?10, deleted = iif(?2 = 'recycle', ifnull(deleted, ?11), NULL), "
                 "places = places + (?2 = 'recycle' AND class <> ?2), updated = max(?11, updated + 1) WHERE id = ?1",
};
const struct db_statements image_move_statements = DB_STATEMENTS(image_move_sql);

/* Writes where IMAGE is now. The status has been moved before. */
static int write_place(struct db_txn *t, const struct image *image, struct diag *diag)
{
        bool recycled = image->class == CLASS_RECYCLE;
        int r;

        r = db_run(t, image_move_sql[MOVE], DB_INT(image->o.id), DB_TEXT(image_class_name(image->class)),
                   DB_TEXT(image->o.handle), DB_TEXT(image->name), DB_TEXT(image_class_name(image->source)),
                   DB_TEXT(image_type_name(image->type)), DB_INT(image->o.uid), DB_INT(image->o.gid),
                   DB_INT(image->o.mode), DB_TEXT(recycled ? image_status_name(image->restore) : ""),
                   DB_INT(clock_now_us()));
        if (r == -EEXIST)
                return image_refuse_taken(image->class, image->o.handle, diag);
        return r < 0 ? r : r == 0 ? -ENOENT : 0;
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
                return diag_set(diag, -EPERM, "%s was deleted from %s: restore it there", image->o.handle,
                                image_class_name(image->source));
        r = image_life_apply(t, image, VERB_RESTORE, diag);
        if (r == 0 && class == CLASS_PRIVATE)
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

static int move(struct db_txn *t, const struct caller *c, struct image *image, enum image_class class,
                const char *handle, struct diag *diag)
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
        return diag_set(diag, -EPERM, "%s: images do not move from %s to %s%s", image->o.handle,
                        image_class_name(image->class), image_class_name(class),
                        class == CLASS_RECYCLE ? ": delete it with rmdir" : "");
}

int image_move(struct model *m, const struct caller *c, uint64_t id, uint64_t region, enum image_class class,
               const char *handle, struct diag *diag)
{
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

        r = move(&t, c, &image, class, handle, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_IMAGE, id);
        return r;
}

/* ---- rmdir ---- */

static int recycle(struct db_txn *t, const struct image *image, struct diag *diag)
{
        struct image recycled = *image;
        int r;

        recycled.class = CLASS_RECYCLE;
        recycled.restore = image->status;
        r = image_free_handle(t, image->region, CLASS_RECYCLE, image->o.handle, recycled.o.handle);
        return r < 0 ? r : write_place(t, &recycled, diag);
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

int image_remove_in(struct db_txn *t, const struct caller *c, const struct image *image, struct changes *ch,
                    struct diag *diag)
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
                return recycle(t, image, diag);
        return making_drop(t, image->o.id, ch);
}

int image_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        struct changes ch = { 0 };
        struct image image;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = image_load(&t, id, &image);
        if (r == 0)
                r = image_remove_in(&t, c, &image, &ch, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r < 0)
                return r;
        if (image.status == IMAGE_QUEUED || image.status == IMAGE_UPLOADING)
                image_tell_gone(m, id, image.region, image.ident);
        else if (image.status == IMAGE_ERROR)
                image_tell_recycled(m, id, image.region, image.ident);
        changes_tell(m, &ch);
        return 0;
}
