/* SPDX-License-Identifier: MIT */

/*
 * The life of an image:
 *
 *      queued ──► uploading ──► pending ──► available ──► deleted (in the recycle bin) ──► deleting
 *        ▲────────────┘            └──────► error ───────────┘
 *
 * What conversions and copies make begins as pending. deleting is where a row is in the transaction that removes it.
 */

#include <errno.h>

#include "model/core/task_row.h"
#include "model/core/user.h"
#include "model/image/image_row.h"
#include "model/image/lifecycle.h"

/* Nothing that works on the image or makes it may lose it. */
static int guard_unused(struct db_txn *t, const struct image *image, struct diag *diag)
{
        struct task task;
        int r;

        r = task_active_of_image(t, image->o.id, &task);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        return diag_set(diag, -EBUSY,
                        "%s: a task of kind %s works on it: wait for it (cat wait), or cancel it "
                        "with rmdir /tasks/%s",
                        image->o.handle, task_kind_name(task.kind), task.o.handle);
}

/* What instances were made from stays, so that it can be looked up, and their disks be made anew. */
static int guard_free(struct db_txn *t, const struct image *image, struct diag *diag)
{
        char user[NAME_LEN_MAX + 1];
        struct object instance;
        int r;

        r = guard_unused(t, image, diag);
        if (r < 0)
                return r;
        r = image_load_instance(t, image->o.id, &instance);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        if (instance.uid != image->o.uid) { /* of another's there is no more to say than whose it is */
                db_end(t);
                user_name(instance.uid, user, sizeof(user));
                return diag_set(diag, -EBUSY, "%s: an instance of %s was made from it: it has to be removed first",
                                image->o.handle, user);
        }
        return diag_set(diag, -EBUSY, "%s: the instance %s was made from it (used-by/ shows all): remove that first",
                        image->o.handle, instance.handle);
}

#define T(verb, from, to, guard) { VERB_##verb, from, to, guard }

const struct transition lifecycle_image[] = {
        /* verb        from                                        to                 guard */
        T(UPLOAD,     S(QUEUED),                                   IMAGE_UPLOADING,   NULL),
        T(ABANDON,    S(UPLOADING),                                IMAGE_QUEUED,      NULL),
        T(IMPORT,     S(UPLOADING),                                IMAGE_PENDING,     NULL),
        T(FINISH,     S(PENDING) | S(REPLICATING),                 IMAGE_AVAILABLE,   NULL),
        T(FAIL,       S(UPLOADING) | S(PENDING) | S(REPLICATING),  IMAGE_ERROR,       NULL),
        T(DELETE,     S(QUEUED) | S(UPLOADING),                    IMAGE_DELETING,    guard_unused),
        T(DELETE,     S(AVAILABLE) | S(ERROR),                     IMAGE_DELETED,     guard_free),
        T(RESTORE,    S(DELETED),                                  LIFECYCLE_RESTORE, NULL),
        T(DESTROY,    S(DELETED),                                  IMAGE_DELETING,    guard_unused),
        T(PUBLISH,    S(AVAILABLE),                                LIFECYCLE_STAY,    guard_unused),
        T(HAND_OVER,  S(QUEUED) | S(AVAILABLE) | S(ERROR) | S(DELETED), LIFECYCLE_STAY, guard_unused),
        T(REPLICATE,  S(PENDING) | S(REPLICATING),                 IMAGE_REPLICATING, NULL),
        T(SHARE_WORK, S(AVAILABLE),                                LIFECYCLE_STAY,    NULL),
};
const size_t lifecycle_image_count = sizeof(lifecycle_image) / sizeof(lifecycle_image[0]);

const char *const lifecycle_verb_words[VERB_COUNT] = {
        [VERB_UPLOAD] = "uploaded to",
        [VERB_ABANDON] = "given up",
        [VERB_IMPORT] = "imported",
        [VERB_FINISH] = "finished",
        [VERB_FAIL] = "ended",
        [VERB_DELETE] = "deleted",
        [VERB_RESTORE] = "restored",
        [VERB_DESTROY] = "destroyed",
        [VERB_PUBLISH] = "published",
        [VERB_HAND_OVER] = "handed over",
        [VERB_REPLICATE] = "filled",
        [VERB_SHARE_WORK] = "used",
};
