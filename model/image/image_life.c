/* SPDX-License-Identifier: MIT */

/*
 * The life of an image:
 *
 *      queued ──► uploading ──► pending ──► available ──► deleted (in the recycle bin) ──► deleting
 *        ▲────────────┘ ▲          └──────► error ───────────┘
 *                       └─── fetched again ───┘
 *
 * What conversions and copies make begins as pending. deleting is where a row is in the transaction that removes it.
 *
 * It moves the status alone; what else belongs to the change (class, disks, task) its caller does in the same
 * transaction. A verb that does not apply is refused with a sentence that says what the image is doing, and what to do
 * about it.
 */

#include "model/image/image_life.h"

#include <errno.h>
#include <stdio.h>

#include "blobstore/base/strbuf.h"
#include "model/core/clock.h"
#include "model/core/object_row.h"
#include "model/core/task_row.h"
#include "model/image/image_row.h"
#include "model/image/lifecycle.h"

/* So many instances are named in a sentence; the others are counted. */
#define USERS_NAMED     3
#define USERS_NAMED_SQL "3"

#define INSTANCES_OF "FROM instance JOIN image ON image.id = instance.image " \
                     "WHERE instance.image = ?1 AND " IMAGE_OPENS_TO_INSTANCE

enum { MOVE, INSTANCES, COUNT_INSTANCES };

static const char *const image_life_sql[] = {
        [MOVE] = "UPDATE image SET status = ?3, updated = max(?4, updated + 1) WHERE id = ?1 AND status = ?2",
        [INSTANCES] = "SELECT " OBJECT_COLUMNS("instance") " " INSTANCES_OF " AND instance.uid = image.uid"
                      " ORDER BY instance.handle LIMIT " USERS_NAMED_SQL,
        [COUNT_INSTANCES] = "SELECT ifnull(sum(instance.uid = image.uid), 0),"
                            " ifnull(min(iif(instance.uid = image.uid, NULL, instance.uid)), -1) " INSTANCES_OF,
};
const struct db_statements image_life_statements = DB_STATEMENTS(image_life_sql);

/* Says what TASK does with the image, and what else is to be SAID of it. */
static int refuse_task(const struct image *image, const struct task *task, const char *said, struct diag *diag)
{
        struct diag sentence = { 0 };
        char whose[NAME_LEN_MAX + sizeof(" is")];

        (void)snprintf(whose, sizeof(whose), "%s is", image->o.handle);
        (void)task_refuse(task, image->o.id, whose, &sentence);
        return diag_set(diag, -EBUSY, "%s%s%s", sentence.text, said[0] ? "; " : "", said);
}

/* Nothing that works on the image or makes it may lose it. */
static int guard_unused(const struct life_subject *s, struct diag *diag)
{
        const struct image *image = s->object;
        struct task task;
        int r;

        r = task_active_of_image(s->t, image->o.id, &task);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : refuse_task(image, &task, "", diag);
}

/*
 * The instances that were made from an image: some of its owner's by name, and how many she has. Of others' there is no
 * more to say than whose one is.
 */
struct users {
        struct object named[USERS_NAMED];
        size_t n_named;
        int64_t own;
        int64_t other; /* the user of another's; -1: there is none */
};

static int user_row(void *ctx, const struct db_row *row)
{
        struct users *users = ctx;

        object_fill(&users->named[users->n_named++], row);
        return 0;
}

static int count_row(void *ctx, const struct db_row *row)
{
        struct users *users = ctx;

        users->own = db_row_int(row, 0);
        users->other = db_row_int(row, 1);
        return 0;
}

static int load_users(struct db_txn *t, uint64_t image, struct users *ret)
{
        int r;

        *ret = (struct users){ 0 };
        r = db_each(t, image_life_sql[INSTANCES], user_row, ret, DB_INT(image));
        return r < 0 ? r : db_one(t, image_life_sql[COUNT_INSTANCES], count_row, ret, DB_INT(image));
}

/* "the instances vm1, vm2, vm3 and 2 more" */
static void add_own(struct strbuf *out, const struct users *users)
{
        const int64_t more = users->own - (int64_t)users->n_named;

        strbuf_addf(out, "the instance%s ", users->own == 1 ? "" : "s");
        for (size_t i = 0; i < users->n_named; i++)
                strbuf_addf(out, "%s%s", i == 0 ? "" : i + 1 == users->n_named && !more ? " and " : ", ",
                            users->named[i].handle);
        if (more)
                strbuf_addf(out, " and %lld more", (long long)more);
}

static int refuse_users(const struct image *image, const struct users *users, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf own = { 0 };

        if (users->own == 0)
                return diag_set_user(diag, -EBUSY, (uid_t)users->other,
                                     " was made from it: it has to be removed first", "%s: an instance of ",
                                     image->o.handle);
        add_own(&own, users);
        if (users->other >= 0)
                return diag_set_user(diag, -EBUSY, (uid_t)users->other,
                                     " were made from it: they have to be removed first",
                                     "%s: %s, and an instance of ", image->o.handle, strbuf_text(&own));
        return diag_set(diag, -EBUSY, "%s: %s %s made from it (used-by says which): remove %s first, or write none to %s "
                                      "image",
                        image->o.handle, strbuf_text(&own), users->own == 1 ? "was" : "were",
                        users->own == 1 ? "it" : "them", users->own == 1 ? "its" : "their");
}

static int guard_protected(const struct life_subject *s, struct diag *diag)
{
        const struct image *image = s->object;

        if (!image->protected)
                return 0;
        return diag_set(diag, -EPERM, "%s is protected: echo no > protected lifts that", image->o.handle);
}

/* Nor what is to be kept. */
static int guard_dropped(const struct life_subject *s, struct diag *diag)
{
        int r = guard_protected(s, diag);

        return r < 0 ? r : guard_unused(s, diag);
}

static int guard_usable(const struct life_subject *s, struct diag *diag)
{
        return lifecycle_refuse(s->t, s->object, diag);
}

/* What instances were made from stays, so that it can be looked up, and their disks be made anew. */
static int guard_free(const struct life_subject *s, struct diag *diag)
{
        const struct image *image = s->object;
        CLEANUP_STRBUF struct strbuf said = { 0 };
        struct object instance;
        struct users users;
        struct task task;
        bool in_drive;
        int busy, r;

        r = guard_protected(s, diag);
        if (r < 0)
                return r;
        busy = task_active_of_image(s->t, image->o.id, &task);
        if (busy < 0 && busy != -ENOENT)
                return busy;
        r = load_users(s->t, image->o.id, &users);
        if (r < 0)
                return r;
        if (busy != -ENOENT) {
                if (users.own) {
                        add_own(&said, &users);
                        strbuf_addf(&said, " %s made from it, too", users.own == 1 ? "was" : "were");
                }
                return refuse_task(image, &task, strbuf_text(&said), diag);
        }
        if (users.own || users.other >= 0)
                return refuse_users(image, &users, diag);

        r = image_load_instance(s->t, image->o.id, &instance, &in_drive);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        if (instance.uid != image->o.uid) /* of another's there is no more to say than whose it is */
                return diag_set_user(diag, -EBUSY, instance.uid, " has it in its drive: it has to be taken out first",
                                     "%s: an instance of ", image->o.handle);
        return diag_set(diag, -EBUSY, "%s: the instance %s has it in its drive (used-by says which): take it out first "
                        "(echo none > cdrom)", image->o.handle, instance.handle);
}

#define S(status) (1u << IMAGE_##status)

/* At once; while work goes on, which may fail; and as the latter, of a task. */
#define T(verb, from, to, guard)            { VERB_##verb, from, LIFE_NONE, to, LIFE_NONE, LIFE_NO_TASK, guard }
#define W(verb, from, via, to, fail)        { VERB_##verb, from, via, to, fail, LIFE_NO_TASK, NULL }
#define K(verb, from, via, to, fail, task)  { VERB_##verb, from, via, to, fail, task, NULL }

static const struct life_row rows[] = {
        /* verb        from                             via                to               fail         task */
        W(UPLOAD,     S(QUEUED),                        IMAGE_UPLOADING,   LIFE_NONE,       IMAGE_ERROR),
        K(FETCH,      S(QUEUED),                        IMAGE_UPLOADING,   LIFE_NONE,       IMAGE_ERROR, TASK_FETCH),
        K(FETCH_AGAIN, S(ERROR),                        IMAGE_UPLOADING,   LIFE_NONE,       IMAGE_ERROR, TASK_FETCH),
        K(IMPORT,     S(UPLOADING),                     IMAGE_PENDING,     IMAGE_AVAILABLE, IMAGE_ERROR, TASK_IMPORT),
        K(CONVERT,    1u << LIFE_NEW,                   IMAGE_PENDING,     IMAGE_AVAILABLE, IMAGE_ERROR, TASK_CONVERT),
        K(COPY,       1u << LIFE_NEW,                   IMAGE_PENDING,     IMAGE_AVAILABLE, IMAGE_ERROR, TASK_COPY),
        K(CAPTURE,    1u << LIFE_NEW,                   IMAGE_PENDING,     IMAGE_AVAILABLE, IMAGE_ERROR, TASK_CAPTURE),
        W(REPLICATE,  S(PENDING) | S(REPLICATING),      IMAGE_REPLICATING, IMAGE_AVAILABLE, IMAGE_ERROR),
        /* verb        from                                            to               guard */
        T(ABANDON,    S(UPLOADING),                                    IMAGE_QUEUED,    NULL),
        T(DELETE,     S(QUEUED) | S(UPLOADING),                        IMAGE_DELETING,  guard_dropped),
        T(DELETE,     S(AVAILABLE) | S(ERROR),                         IMAGE_DELETED,   guard_free),
        T(RESTORE,    S(DELETED),                                      IMAGE_LIFE_BACK, NULL),
        T(DESTROY,    S(DELETED),                                      IMAGE_DELETING,  guard_unused),
        T(PUBLISH,    S(AVAILABLE),                                    LIFE_STAY,       guard_unused),
        T(UNPUBLISH,  S(AVAILABLE),                                    LIFE_STAY,       guard_unused),
        T(HAND_OVER,  S(QUEUED) | S(AVAILABLE) | S(ERROR) | S(DELETED), LIFE_STAY,      guard_unused),
        T(SHARE_WORK, S(AVAILABLE),                                    LIFE_STAY,       guard_usable),
};

const char *const image_life_words[VERB_COUNT] = {
        [VERB_UPLOAD] = "uploaded to",
        [VERB_FETCH] = "uploaded to",
        [VERB_FETCH_AGAIN] = "fetched again",
        [VERB_ABANDON] = "given up",
        [VERB_IMPORT] = "imported",
        [VERB_CONVERT] = "made",
        [VERB_COPY] = "made",
        [VERB_CAPTURE] = "made",
        [VERB_REPLICATE] = "filled",
        [VERB_FINISH] = "finished",
        [VERB_FAIL] = "ended",
        [VERB_DELETE] = "deleted",
        [VERB_RESTORE] = "restored",
        [VERB_DESTROY] = "destroyed",
        [VERB_PUBLISH] = "published",
        [VERB_UNPUBLISH] = "taken back",
        [VERB_HAND_OVER] = "handed over",
        [VERB_SHARE_WORK] = "used",
};

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
        return refuse_task(image, &task, "", diag);
}

static int refuse(const struct life_subject *s, unsigned verb, unsigned state, struct diag *diag)
{
        const struct image *image = s->object;
        const char *handle = image->o.handle;
        const char *word = image_life_words[verb];
        struct task task;
        int r;

        switch ((enum image_status)state) {
        case IMAGE_QUEUED:
                return diag_set(diag, -EBUSY, "%s cannot be %s while it has no data: write a disk to its upload first",
                                handle, word);
        case IMAGE_UPLOADING:
                r = task_active_of_image(s->t, image->o.id, &task);
                if (r != -ENOENT)
                        return r < 0 ? r : refuse_in_work(s->t, image, diag);
                return diag_set(diag, -EBUSY, "%s is being uploaded: close the file that is being written to, or give "
                                              "it up with rmdir", handle);
        case IMAGE_PENDING:
        case IMAGE_REPLICATING:
                return refuse_in_work(s->t, image, diag);
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

const struct life image_life = { .rows = rows, .n_rows = sizeof(rows) / sizeof(rows[0]), .refuse = refuse };

static enum image_status state_after(const struct image *image, enum image_status from, unsigned to)
{
        switch (to) {
        case LIFE_STAY:
                return from;
        case IMAGE_LIFE_BACK:
                return image->restore;
        }
        return (enum image_status)to;
}

enum image_status image_life_target(const struct image *image, enum image_verb verb, enum image_status from)
{
        const struct life_row *row;
        unsigned to;

        if (verb == VERB_FINISH || verb == VERB_FAIL) {
                row = life_through(&image_life, from);
                to = !row ? LIFE_NONE : verb == VERB_FINISH ? row->to : row->fail;
        } else {
                row = life_find(&image_life, verb, 1u << from);
                to = !row ? LIFE_NONE : row->via == LIFE_NONE ? row->to : row->via;
        }
        return to == LIFE_NONE ? IMAGE_STATUS_COUNT : state_after(image, from, to);
}

int image_life_apply(struct db_txn *t, const struct image *image, enum image_verb verb, struct diag *diag)
{
        const struct life_subject s = { .t = t, .object = image };
        enum image_status to = image_life_target(image, verb, image->status);
        const struct life_row *row;
        int r;

        if (to == IMAGE_STATUS_COUNT)
                return refuse(&s, verb, image->status, diag);
        r = verb == VERB_FINISH || verb == VERB_FAIL ? 0 :
                                                       life_ask(&image_life, &s, verb, 1u << image->status, diag, &row);
        if (r < 0 || to == image->status)
                return r;

        r = db_run(t, image_life_sql[MOVE], DB_INT(image->o.id), DB_TEXT(image_status_name(image->status)),
                   DB_TEXT(image_status_name(to)), DB_INT(clock_now_us()));
        if (r == 0)
                return diag_set(diag, -EBUSY, "%s has just changed: look again", image->o.handle);
        return r < 0 ? r : 0;
}

static const struct life_row *row_of(enum image_verb verb)
{
        size_t i = 0;

        while (rows[i].verb != verb)
                i++;
        return &rows[i];
}

enum image_status image_life_begins(enum image_verb verb)
{
        return (enum image_status)row_of(verb)->via;
}

enum task_kind image_life_task(enum image_verb verb)
{
        return row_of(verb)->task;
}
