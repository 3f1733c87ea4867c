/* SPDX-License-Identifier: MIT */
/*
 * Conversion of a local image into a cloud image. Accepting it makes the new image (pending), a snapshot that is to be
 * its system disk (being created), and its device mapping; the work is to let the snapshot name the blob that the
 * source's system disk has. No bytes move. The data disks are snapshots already, and both images refer to them.
 */

#include "model/work/convert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/core/region_row.h"
#include "model/image/lifecycle.h"
#include "model/image/making.h"
#include "model/work/task_kinds.h"

#define RESULT_SUFFIX "-cloud"

/* "cloud" or "cloud NAME"; *ret_name is NULL without a name. */
static int parse_command(const char *command, const char **ret_name, struct diag *diag)
{
        const size_t n = strlen("cloud");

        if (strncmp(command, "cloud", n) != 0 || (command[n] != '\0' && command[n] != ' '))
                return diag_set(diag, -EINVAL, "convert: write \"cloud\", or \"cloud NAME\", to convert a local image");

        if (command[n] == '\0') {
                *ret_name = NULL;
                return 0;
        }

        if (!name_is_valid(command + n + 1))
                return diag_set(diag, -EINVAL,
                                "convert: a name has 1 to %d bytes, no '/', no control characters, no leading '.'",
                                NAME_LEN_MAX);

        *ret_name = command + n + 1;
        return 0;
}

/* May this image be converted now? */
static int check_source(struct model *m, struct db_txn *t, const struct image *source, struct diag *diag)
{
        int r;

        if (source->class != CLASS_PRIVATE && source->class != CLASS_RECYCLE)
                return diag_set(diag, -EPERM, "%s is %s: only private images are converted", source->o.handle,
                                image_class_phrase(source->class));

        r = image_life_apply(t, source, VERB_SHARE_WORK, diag);
        if (r < 0)
                return r;

        if (source->type != TYPE_LOCAL)
                return diag_set(diag, -EOPNOTSUPP, "%s is %s: only local images are converted",
                                source->o.handle, image_type_phrase(source->type));

        r = region_refuse_offline(m, t, source->region, diag);
        return r < 0 ? r : making_refuse_busy(t, source, diag);
}

static int insert_disks(struct db_txn *t, const struct image *source, const struct image *result, struct changes *ch)
{
        struct strbuf from CLEANUP_STRBUF = { 0 };
        struct disk_list disks;
        uint64_t snapshot;
        int r;

        r = disk_list_load(t, source->o.id, &disks);
        if (r < 0)
                return r;

        strbuf_addf(&from, "image:%s", source->ident);

        for (size_t i = 0; i < disks.n; i++) {
                const struct disk_ref *d = &disks.disk[i];

                snapshot = d->snapshot;
                if (d->system) {
                        r = making_add_snapshot(t, result, strbuf_text(&from), ch, &snapshot);
                        if (r < 0)
                                return r;
                }

                r = image_disk_insert(t, result->o.id, d->device, d->system, snapshot, 0);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* The image that the conversion makes: the source's attributes, and her own whose that is. */
static int insert_result(struct db_txn *t, const struct image *source, const char *name, struct diag *diag,
                         struct image *ret)
{
        struct image result = *source;
        int r;

        if (name) {
                (void)snprintf(result.name, sizeof(result.name), "%s", name);
                (void)snprintf(result.o.handle, sizeof(result.o.handle), "%s", name);
        } else {
                size_t n = text_fit(result.o.handle, NAME_LEN_MAX - strlen(RESULT_SUFFIX));

                memcpy(result.o.handle + n, RESULT_SUFFIX, sizeof(RESULT_SUFFIX));
        }
        result.type = TYPE_CLOUD;
        result.family[0] = '\0'; /* no release after the one that it was made of */
        making_take_over(&result, &source->o, VERB_CONVERT);

        r = image_insert(t, &result, true, diag);
        if (r < 0)
                return r;

        r = lifecycle_warn(t, source, result.o.id); /* of the same data */
        if (r < 0)
                return r;

        *ret = result;
        return 0;
}

int image_convert(struct model *m, const struct caller *c, uint64_t id, const char *command, struct diag *diag)
{
        struct changes changes = { 0 };
        struct image source, result;
        const char *name = NULL;
        uint64_t task;
        int r;

        r = parse_command(command, &name, diag);
        if (r < 0)
                return r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_WRITE, &t);
                if (r < 0)
                        return r;

                r = image_load(&t, id, &source);
                if (r < 0)
                        return r;

                r = check_source(m, &t, &source, diag);
                if (r < 0)
                        return r;

                r = making_check_quota(&t, source.region, source.o.uid, 1, 1, diag);
                if (r < 0)
                        return r;

                r = insert_result(&t, &source, name, diag, &result);
                if (r < 0)
                        return r;

                r = insert_disks(&t, &source, &result, &changes);
                if (r < 0)
                        return r;

                r = task_submit(&t,
                                &(struct task_new){
                                        .kind = image_life_task(VERB_CONVERT),
                                        .image = id,
                                        .region = source.region,
                                        .result = result.o.id,
                                        .detail = TASK_DETAIL_INSTANT,
                                        .caller = c,
                                        .heir = &source.o,
                                },
                                &task);
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        changes_add(&changes, OBJECT_IMAGE, id);
        changes_add(&changes, OBJECT_IMAGE, result.o.id);
        changes_add(&changes, OBJECT_TASK, task);
        changes_tell(m, &changes);
        return 0;
}

/* The blob of the system disk, wherever it is. */
static int load_system_blob(struct db_txn *t, uint64_t image, uint64_t *ret)
{
        struct disk_list disks;
        int r;

        r = disk_list_load(t, image, &disks);
        if (r < 0)
                return r;

        for (size_t i = 0; i < disks.n; i++)
                if (disks.disk[i].system && disks.disk[i].blob) {
                        *ret = disks.disk[i].blob;
                        return 0;
                }

        return -EBADMSG;
}

int convert_run(struct job *job)
{
        struct changes changes = { 0 };
        struct disk_list disks;
        struct image result;
        uint64_t blob;
        int r;

        {
                DB_TXN(t);

                r = job_finish(job, &t);
                if (r < 0)
                        return r;

                r = load_system_blob(&t, job->task.image, &blob);
                if (r < 0)
                        return r;

                r = image_load(&t, job->task.result, &result);
                if (r < 0)
                        return r;

                r = disk_list_load(&t, job->task.result, &disks);
                if (r < 0)
                        return r;

                for (size_t i = 0; i < disks.n; i++)
                        if (disks.disk[i].system) {
                                r = making_set_blob(&t, &disks.disk[i], blob, &changes);
                                if (r < 0)
                                        return r;
                        }

                r = image_life_apply(&t, &result, VERB_FINISH, NULL);
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        changes_tell(job->m, &changes);
        return 0;
}
