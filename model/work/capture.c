/* SPDX-License-Identifier: MIT */

/*
 * Images from instances. Accepting one makes the image (pending) with a disk for each that goes along, and what is
 * charged for it: a snapshot (being created) for each disk of a cloud image and for the data disks of a local one,
 * whose system disk is its own. The work makes a blob of each disk, for which it reads what was changed since the disk
 * was cloned, and looks for what its owner should be warned of; then one transaction names them all and makes the image
 * available. Until that the instance's disks are not written to, so that the work can begin again after a crash and
 * gives the same.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/import/source.h"
#include "model/core/object_row.h"
#include "model/core/region_row.h"
#include "model/image/guest_system.h"
#include "model/image/making.h"
#include "model/image/share_row.h"
#include "model/machine/instance_life.h"
#include "model/machine/instance_row.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_row.h"
#include "model/machine/volume_snapshot.h"
#include "model/work/capture_warning.h"
#include "model/work/task_kinds.h"

enum { SET_INSTANCE };

static const char *const capture_sql[] = {
        [SET_INSTANCE] = "UPDATE image SET instance = ?2 WHERE id = ?1",
};
const struct db_statements capture_statements = DB_STATEMENTS(capture_sql);

/* ---- accepting ---- */

struct selection {
        const char *image_disks;
        const struct caller *c;
        char closed[8]; /* the device of a disk that goes along, and that the caller may not read; "": none is */
        struct volume_choice {
                uint64_t id;
                char ident[IDENT_MAX];
                char device[8];
                bool system;
                uint64_t size_bytes;
        } choice[DISKS_MAX];
        size_t n;
};

static int select_volume(void *ctx, const struct volume *v)
{
        struct selection *s = ctx;
        struct volume_choice *choice = &s->choice[s->n];

        if (!instance_selects(s->image_disks, v))
                return 0;
        if (!object_allows(&v->o, s->c, 05))
                memcpy(s->closed, v->device, sizeof(s->closed));
        if (s->n == DISKS_MAX)
                return -E2BIG;
        choice->id = v->o.id;
        choice->system = v->system;
        choice->size_bytes = v->size_bytes;
        memcpy(choice->ident, v->ident, sizeof(choice->ident));
        memcpy(choice->device, v->device, sizeof(choice->device));
        s->n++;
        return 0;
}

/*
 * The disks that go along. A chosen one that was detached meanwhile would be missed by somebody. One that was attached
 * has an owner and modes of its own, whoever was let into the instance, and is not to be read by way of an image.
 */
static int load_selection(struct db_txn *t, const struct caller *c, const struct instance *instance, struct diag *diag,
                          struct selection *ret)
{
        bool named = strcmp(instance->image_disks, "all") != 0 && strcmp(instance->image_disks, "none") != 0;
        const char *handle = instance->o.handle;
        size_t wanted = 0;
        int r;

        *ret = (struct selection){ .image_disks = instance->image_disks, .c = c };
        r = volume_load_each(t, instance->o.id, select_volume, ret);
        if (r < 0)
                return r;
        if (ret->n == 0 || !ret->choice[0].system)
                return diag_set(diag, -EBUSY, "%s has no system disk yet: write an image to image first", handle);
        if (ret->closed[0])
                return diag_set(diag, -EACCES,
                                "%s: you may not read %s: detach it, or leave it out of image-disks", handle,
                                ret->closed);
        for (size_t i = 0; i < ret->n; i++) {
                if (ret->choice[i].size_bytes == 0)
                        return diag_set(diag, -EBUSY, "%s: %s has no size yet: give it one with truncate", handle,
                                        ret->choice[i].device);
        }
        if (named)
                wanted = (strlen(instance->image_disks) + 1) / sizeof("vda");
        if (named && ret->n - 1 < wanted)
                return diag_set(diag, -ENOENT, "%s: image-disks names %s, and not all of them are attached", handle,
                                instance->image_disks);
        return 0;
}

/* Of one that was shared, and is no longer, its owner tells no more: not what it says now, either. */
static bool may_read(struct db_txn *t, const struct caller *c, const struct image *image)
{
        return object_allows(&image->o, c, 05) || share_load_check(t, c, image->o.id, NULL) == 0;
}

/*
 * What an image says of the system in it comes from the image that the instance was made from, where that is open to
 * who makes it.
 */
static int insert_image(struct db_txn *t, const struct caller *c, const struct instance *instance, const char *handle,
                        struct diag *diag, struct image *ret)
{
        struct image *image = ret;
        int r;

        *image = (struct image){ 0 };
        if (instance->image) {
                r = image_load(t, instance->image, image);
                if (r < 0)
                        return r;
                const struct caller owner = object_owner(&instance->o);

                if (!may_read(t, c, image) || (object_is_groups(&instance->o, c) && !may_read(t, &owner, image)))
                        *image = (struct image){ 0 };
        }
        if (image->class == CLASS_PRIVATE && image->o.uid != instance->o.uid) {
                image->labels[0] = '\0'; /* what another user, who may have shared it once, notes about hers */
                image->project_group[0] = '\0';
        }
        making_take_over(image, &instance->o, VERB_CAPTURE);
        image->region = instance->region;
        image->class = CLASS_PRIVATE;
        image->source = CLASS_PRIVATE;
        image->type = instance->type;
        image->encrypted = false; /* its data will show */
        image->provider[0] = '\0';
        image->description[0] = '\0';
        (void)snprintf(image->format, sizeof(image->format), "raw");
        (void)snprintf(image->o.handle, sizeof(image->o.handle), "%s", handle);
        (void)snprintf(image->name, sizeof(image->name), "%s", handle);
        r = image_insert(t, image, false, diag);
        if (r == 0)
                r = db_run(t, capture_sql[SET_INSTANCE], DB_INT(image->o.id), DB_INT(instance->o.id));
        return r < 0 ? r : 0;
}

/* The system disk of a local image is its own. */
static bool is_snapshot(const struct instance *instance, const struct volume_choice *choice)
{
        return instance->type == TYPE_CLOUD || !choice->system;
}

static int check_quota(struct db_txn *t, const struct instance *instance, const struct selection *selection,
                       struct diag *diag)
{
        uint64_t snapshots = 0;

        for (size_t i = 0; i < selection->n; i++)
                snapshots += is_snapshot(instance, &selection->choice[i]);
        return making_check_quota(t, instance->region, instance->o.uid, 1, snapshots, diag);
}

static int insert_disks(struct db_txn *t, const struct instance *instance, const struct selection *selection,
                        const struct image *image, struct changes *ch)
{
        for (size_t i = 0; i < selection->n; i++) {
                const struct volume_choice *choice = &selection->choice[i];
                char source[IMAGE_VALUE_MAX + 1];
                uint64_t snapshot = 0;
                int r = 0;

                (void)snprintf(source, sizeof(source), "disk:%s", choice->ident);
                if (is_snapshot(instance, choice))
                        r = making_add_snapshot(t, image, source, ch, &snapshot);
                if (r == 0)
                        r = image_disk_insert(t, image->o.id, choice->device, choice->system, snapshot, 0);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int accept(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct changes *ch,
                  struct db_owed *owed, struct diag *diag, uint64_t *ret)
{
        struct selection selection;
        struct instance instance;
        struct image image;
        uint64_t task;
        LOCK_SCOPE(volumes_gate(m, OBJECT_INSTANCE, id));
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = instance_load_for(m, &t, id, INSTANCE_CAPTURE, diag, &instance);
        if (r == 0)
                r = region_refuse_offline(m, &t, instance.region, diag);
        if (r == 0)
                r = load_selection(&t, c, &instance, diag, &selection);
        if (r == 0)
                r = check_quota(&t, &instance, &selection, diag);
        if (r == 0)
                r = insert_image(&t, c, &instance, handle, diag, &image);
        if (r == 0)
                r = insert_disks(&t, &instance, &selection, &image, ch);
        if (r == 0)
                r = task_submit(&t,
                                &(struct task_new){
                                        .kind = image_life_task(VERB_CAPTURE),
                                        .image = image.o.id,
                                        .region = instance.region,
                                        .result = image.o.id,
                                        .instance = id,
                                        .place = instance.place,
                                        .caller = c,
                                        .heir = &instance.o,
                                },
                                &task);
        if (r == 0)
                r = db_commit_early(&t, owed);
        if (r < 0)
                return r;
        changes_add(ch, OBJECT_INSTANCE, id);
        changes_add(ch, OBJECT_IMAGE, image.o.id);
        changes_add(ch, OBJECT_TASK, task);
        *ret = image.o.id;
        return 0;
}

int instance_capture(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag,
                     uint64_t *ret)
{
        struct changes ch = { 0 };
        struct db_owed owed;
        int r;

        r = object_check_name(handle, "image", diag);
        if (r == 0)
                r = accept(m, c, id, handle, &ch, &owed, diag, ret);
        if (r == 0)
                r = db_await(&owed);
        if (r == 0)
                changes_tell(m, &ch);
        return r;
}

/* ---- the work ---- */

struct capture {
        struct job *job;
        struct disk_list disks; /* of the image */
        uint64_t volume[DISKS_MAX];
        struct blob *blob[DISKS_MAX]; /* held until they have names */
        uint64_t store;
        uint64_t before_bytes, total_bytes; /* of the disks before the present one, and of all */
        struct strbuf warning; /* "": there is none */
        bool encrypted;
        bool system_is_wanted;
        uid_t image_uid;
        struct inside_system system; /* that is installed on the system disk */
};

static void capture_done(struct capture *cap)
{
        for (size_t i = 0; i < cap->disks.n; i++)
                blob_close(cap->blob[i]);
        strbuf_done(&cap->warning);
}

static int load_capture(struct capture *cap)
{
        const struct task *task = &cap->job->task;
        struct volume v;
        DB_TXN(t);
        int r;

        r = db_begin(cap->job->m->db, DB_READ, &t);
        if (r == 0)
                r = disk_list_load(&t, task->image, &cap->disks);
        for (size_t i = 0; i < cap->disks.n && r == 0; i++) {
                r = volume_load_by_device(&t, task->instance, cap->disks.disk[i].device, &v);
                if (r < 0)
                        return r;
                cap->volume[i] = v.o.id;
                cap->total_bytes += v.size_bytes;
        }
        return r;
}

static void note_image(struct capture *cap, const struct image *image)
{
        cap->system_is_wanted = guest_system_is_wanted(image);
        cap->image_uid = image->o.uid;
}

/* pending to replicating; after a restart it is that already. */
static int begin(struct capture *cap)
{
        struct image image;
        DB_TXN(t);
        int r;

        r = db_begin(cap->job->m->db, DB_WRITE, &t);
        if (r == 0)
                r = image_load(&t, cap->job->task.image, &image);
        if (r == 0)
                note_image(cap, &image);
        if (r == 0)
                r = image_life_apply(&t, &image, VERB_REPLICATE, NULL);
        if (r == 0)
                r = db_commit(&t);
        db_end(&t);
        if (r == 0)
                changes_send(cap->job->m, OBJECT_IMAGE, cap->job->task.image);
        return r;
}

static int note_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
        const struct capture *cap = ctx;

        (void)total_bytes; /* of this disk alone */
        return job_progress(cap->job, cap->before_bytes + done_bytes, cap->total_bytes);
}

static int make_blobs(struct capture *cap)
{
        for (size_t i = 0; i < cap->disks.n; i++) {
                uint8_t start[16];
                ssize_t n;
                int r;

                r = volume_make_blob(cap->job->m, cap->volume[i], note_progress, cap, &cap->store, &cap->blob[i]);
                if (r < 0)
                        return r;
                cap->before_bytes += blob_get_info(cap->blob[i])->size_bytes;

                n = blob_pread(cap->blob[i], start, sizeof(start), 0);
                if (n < 0)
                        return (int)n;
                cap->encrypted |= image_is_encrypted(start, (uint64_t)n);
        }
        return 0;
}

static bool is_of_image(void *ctx, const struct volume *v)
{
        const struct capture *cap = ctx;

        for (size_t i = 0; i < cap->disks.n; i++) {
                if (strcmp(cap->disks.disk[i].device, v->device) == 0)
                        return true;
        }
        return false;
}

static int is_cancelled(void *ctx)
{
        const struct capture *cap = ctx;

        return job_pause(cap->job, 0);
}

static int look_ahead(struct capture *cap)
{
        const struct capture_look what = {
                .m = cap->job->m,
                .instance = cap->job->task.instance,
                .stays = is_of_image,
                .go_on = is_cancelled,
                .ctx = cap,
        };

        return capture_look(&what, &cap->warning);
}

/* What the image did not get of the one that the machine was made from, as where a CD was. */
static int look_inside(struct capture *cap)
{
        const struct guest_look look = { .m = cap->job->m, .uid = cap->image_uid, .go_on = is_cancelled, .ctx = cap };

        for (size_t i = 0; i < cap->disks.n && cap->system_is_wanted; i++) {
                if (cap->disks.disk[i].system)
                        return guest_system_find(cap->blob[i], &look, &cap->system);
        }
        return 0;
}

static int finish(struct capture *cap, struct changes *ch)
{
        struct image image;
        DB_TXN(t);
        int r;

        r = job_finish(cap->job, &t);
        for (size_t i = 0; i < cap->disks.n && r == 0; i++)
                r = making_fill_disk(&t, &cap->disks.disk[i], cap->store, cap->blob[i], ch);
        if (r == 0)
                r = image_load(&t, cap->job->task.image, &image);
        if (r == 0)
                r = image_set_found(&t, image.o.id, image.format, cap->encrypted);
        if (r == 0)
                r = image_set_system(&t, image.o.id, &cap->system);
        if (r == 0)
                r = image_life_apply(&t, &image, VERB_FINISH, NULL);
        if (r == 0 && cap->warning.len > 0)
                r = image_warn(&t, image.o.id, strbuf_text(&cap->warning));
        return r < 0 ? r : db_commit(&t);
}

int capture_run(struct job *job)
{
        CLEANUP(capture_done) struct capture cap = { .job = job };
        struct changes ch = { 0 };
        int r;

        r = load_capture(&cap);
        if (r == 0)
                r = begin(&cap);
        if (r == 0)
                r = make_blobs(&cap);
        if (r == 0)
                r = look_ahead(&cap);
        if (r == 0)
                r = look_inside(&cap);
        if (r == 0)
                r = finish(&cap, &ch);
        if (r < 0)
                return r;
        changes_add(&ch, OBJECT_IMAGE, job->task.image);
        changes_add(&ch, OBJECT_INSTANCE, job->task.instance);
        changes_tell(job->m, &ch);
        return 0;
}

int capture_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch)
{
        changes_add(ch, OBJECT_INSTANCE, task->instance);
        if (task->image == 0)
                return 0;
        return sentence ? making_fail(t, task->image, sentence, ch) : making_drop(t, task->image, ch);
}
