/* SPDX-License-Identifier: MIT */

/*
 * The engine over the table in lifecycle_image.c. It moves the status alone; what else belongs to the change (class,
 * disks, task) its caller does in the same transaction. A verb that does not apply is refused with a sentence that says
 * what the image is doing, and what to do about it.
 */

#include "model/image/lifecycle.h"

#include <errno.h>

#include "model/core/clock.h"
#include "model/core/task_row.h"

enum { MOVE };

static const char *const lifecycle_sql[] = {
        [MOVE] = "UPDATE image SET status = ?3, updated = max(?4, updated + 1) WHERE id = ?1 AND status = ?2",
};
const struct db_statements lifecycle_statements = DB_STATEMENTS(lifecycle_sql);

const struct transition *lifecycle_find(enum image_verb verb, enum image_status from)
{
        for (size_t i = 0; i < lifecycle_image_count; i++) {
                if (lifecycle_image[i].verb == verb && (lifecycle_image[i].from & (1u << from)))
                        return &lifecycle_image[i];
        }
        return NULL;
}

enum image_status lifecycle_target(const struct transition *tr, const struct image *image)
{
        switch (tr->to) {
        case LIFECYCLE_STAY:
                return image->status;
        case LIFECYCLE_RESTORE:
                return image->restore;
        }
        return (enum image_status)tr->to;
}

/* Says what is being done to a pending or replicating image. */
static int refuse_in_work(struct db_txn *t, const struct image *image, struct diag *diag)
{
        struct task task;
        int r;

        r = task_active_of_image(t, image->o.id, &task);
        if (r == -ENOENT)
                return diag_set(diag, -EBUSY, "%s is %s: wait for it (cat wait)", image->o.handle,
                                image_status_name(image->status));
        if (r < 0)
                return r;
        return diag_set(diag, -EBUSY, "%s is %s: wait for it (cat wait), or cancel it with rmdir /tasks/%s",
                        image->o.handle, task_kind_doing(task.kind), task.o.handle);
}

static int refuse(struct db_txn *t, const struct image *image, enum image_verb verb, struct diag *diag)
{
        const char *handle = image->o.handle;
        const char *word = lifecycle_verb_words[verb];
        struct task task;
        int r;

        switch (image->status) {
        case IMAGE_QUEUED:
                return diag_set(diag, -EBUSY, "%s cannot be %s while it has no data: write a disk to its upload first",
                                handle, word);
        case IMAGE_UPLOADING:
                r = task_active_of_image(t, image->o.id, &task);
                if (r != -ENOENT)
                        return r < 0 ? r : refuse_in_work(t, image, diag);
                return diag_set(diag, -EBUSY, "%s is being uploaded: close the file that is being written to, or give "
                                              "it up with rmdir", handle);
        case IMAGE_PENDING:
        case IMAGE_REPLICATING:
                return refuse_in_work(t, image, diag);
        case IMAGE_AVAILABLE:
                return diag_set(diag, -EBUSY, "%s cannot be %s: it has its data already, which never changes: make "
                                              "another image", handle, word);
        case IMAGE_ERROR:
                return diag_set(diag, -EBUSY, "%s cannot be %s: it is in status error (%s): remove it with rmdir, and "
                                              "begin again", handle, word, image->error);
        case IMAGE_DELETED:
                return diag_set(diag, -EBUSY, "%s cannot be %s in the recycle bin: restore it first, with mv into its "
                                              "class", handle, word);
        case IMAGE_DELETING:
        case IMAGE_STATUS_COUNT:
                break;
        }
        return diag_set(diag, -EBUSY, "%s is being removed", handle);
}

int lifecycle_apply(struct db_txn *t, const struct image *image, enum image_verb verb, struct diag *diag)
{
        const struct transition *tr = lifecycle_find(verb, image->status);
        enum image_status to;
        int r;

        if (!tr)
                return refuse(t, image, verb, diag);
        r = tr->guard ? tr->guard(t, image, diag) : 0;
        if (r < 0)
                return r;

        to = lifecycle_target(tr, image);
        if (to == image->status)
                return 0;
        r = db_run(t, lifecycle_sql[MOVE], DB_INT(image->o.id), DB_TEXT(image_status_name(image->status)),
                   DB_TEXT(image_status_name(to)), DB_INT(clock_now_us()));
        if (r == 0)
                return diag_set(diag, -EBUSY, "%s has just changed: look again", image->o.handle);
        return r < 0 ? r : 0;
}
