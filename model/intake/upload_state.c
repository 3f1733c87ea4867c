/* SPDX-License-Identifier: MIT */
/* What opening and closing an upload does to its image, each in one transaction. */

#include "model/intake/upload_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/log.h"
#include "model/core/place.h"
#include "model/core/region_row.h"
#include "model/core/task_row.h"
#include "model/image/making.h"
#include "model/intake/data_disk_row.h"
#include "model/intake/incoming.h"
#include "model/intake/uploads.h"

/* Of a request: whoever closes a file waits for it, and so does the end of the daemon. It takes milliseconds. */
#define PROBE_MS 3000

enum { UPLOAD_FORGET_SYSTEM };

static const char *const upload_state_sql[] = {
        [UPLOAD_FORGET_SYSTEM] = "DELETE FROM image_disk WHERE image = ?1 AND role = 'system'",
};

const struct db_statements upload_state_statements = DB_STATEMENTS(upload_state_sql);

static bool has_data_disk(const struct disk_list *disks)
{
        for (size_t i = 0; i < disks->n; i++)
                if (!disks->disk[i].system)
                        return true;
        return false;
}

/* What comes in lies here from now on. Where data disks came to another host before, all has to come there. */
static int claim_place(struct model *m, struct db_txn *t, const struct image *image, uint64_t store, struct diag *diag)
{
        const uint64_t here = place_of_store(m, store);
        char what[NAME_LEN_MAX + sizeof("the data disks of  are")];
        struct disk_list disks;
        uint64_t place;
        int r;

        r = place_of_image(t, image->o.id, &place);
        if (r < 0 || place == here)
                return r;
        r = disk_list_load(t, image->o.id, &disks);
        if (r < 0)
                return r;
        if (place_is_elsewhere(m, place) && has_data_disk(&disks)) {
                (void)snprintf(what, sizeof(what), "the data disks of %s are", image->o.handle);
                return place_refuse(t, place, what, diag);
        }
        return place_set_of_image(t, image->o.id, here);
}

int upload_claim_disk(struct model *m, uint64_t id, struct diag *diag)
{
        struct image image;
        uint64_t store;
        int r;
        DB_TXN(t);

        r = db_begin_lazy(m->db, &t);
        if (r == 0)
                r = image_load_with_store(&t, id, &image, &store);
        if (r == 0)
                r = claim_place(m, &t, &image, store, diag);
        return r < 0 ? r : db_commit(&t);
}

int upload_place(struct db_txn *t, uint64_t image, uint64_t *ret)
{
        struct disk_list disks;
        int r;

        *ret = 0;
        r = disk_list_load(t, image, &disks);
        return r < 0 || !has_data_disk(&disks) ? r : place_of_image(t, image, ret);
}

int upload_claim(struct model *m, struct db_txn *t, const struct image *image, enum image_verb verb, struct changes *ch,
                 struct diag *diag)
{
        struct region where;
        int r;

        r = image_life_apply(t, image, verb, diag);
        if (r == 0)
                r = region_load(t, image->region, &where);
        if (r == 0)
                r = claim_place(m, t, image, where.store, diag);
        if (r == 0)
                r = data_disks_refuse_unready(m, t, image, diag);
        if (r == 0)
                uploads_drop_disks(m, image->o.id);
        return r < 0 ? r : making_add_disks(t, image, 0, 1, ch, diag);
}

/* Its beginning may have come to another host. */
static int refuse_elsewhere(struct model *m, struct db_txn *t, const struct image *image, struct diag *diag)
{
        char what[NAME_LEN_MAX + sizeof("what came of  is")];
        uint64_t place;
        int r;

        r = place_of_image(t, image->o.id, &place);
        if (r < 0 || !place_is_elsewhere(m, place))
                return r;
        (void)snprintf(what, sizeof(what), "what came of %s is", image->o.handle);
        return place_refuse(t, place, what, diag);
}

int upload_begin(struct model *m, const struct caller *c, uint64_t id, struct changes *ch, struct diag *diag)
{
        struct image image;
        struct task task;
        int r;
        DB_TXN(t);

        r = db_begin_lazy(m->db, &t);
        if (r < 0)
                return r;

        r = image_load(&t, id, &image);
        if (r < 0)
                return r;

        r = image_refuse_stranger(image.class, c, diag);
        if (r < 0)
                return r;

        /* An upload may be joined, but not a fetch. */
        if (image.status == IMAGE_UPLOADING) {
                r = task_active_of_image(&t, id, &task);
                if (r == -ENOENT)
                        return refuse_elsewhere(m, &t, &image, diag);
                if (r < 0)
                        return r;
        }

        r = upload_claim(m, &t, &image, VERB_UPLOAD, ch, diag);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_IMAGE, id);
        return db_commit(&t);
}

/* ---- the end ---- */

/* Gives back what upload_begin() took. */
static int abandon(struct db_txn *t, const struct image *image, struct changes *ch)
{
        struct disk_list disks;
        int r;

        r = disk_list_load(t, image->o.id, &disks);
        for (size_t i = 0; r == 0 && i < disks.n; i++)
                if (disks.disk[i].system)
                        r = making_erase_disk(t, &disks.disk[i], ch);
        if (r < 0)
                return r;

        r = db_run(t, upload_state_sql[UPLOAD_FORGET_SYSTEM], DB_INT(image->o.id));
        if (r < 0)
                return r;

        return image_life_apply(t, image, VERB_ABANDON, NULL);
}

int upload_accept_import(struct db_txn *t, const struct image *image, const char *token, struct changes *ch,
                         uint64_t *ret_task)
{
        const struct caller owner = { .uid = image->o.uid, .gid = image->o.gid };
        uint64_t task, place;
        int r;

        r = image_life_apply(t, image, VERB_IMPORT, NULL);
        if (r == 0)
                r = place_of_image(t, image->o.id, &place);
        if (r < 0)
                return r;

        r = task_submit(t,
                        &(struct task_new){
                                .kind = image_life_task(VERB_IMPORT),
                                .image = image->o.id,
                                .region = image->region,
                                .place = place,
                                .detail = token,
                                .caller = &owner,
                        },
                        &task);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_TASK, task);
        *ret_task = task;
        return 0;
}

/* FD < 0: the import makes the file, and the token after that. */
static int accept_import(struct db_txn *t, const struct image *image, int fd, struct changes *ch)
{
        char token[TASK_DETAIL_MAX] = "";
        uint64_t ignored;
        int r;

        r = fd < 0 ? 0 : incoming_token(fd, token, sizeof(token));
        if (r < 0)
                log_debug("model: no token for %s: %s", image->ident, strerror(-r)); /* not trusted after a restart */

        return upload_accept_import(t, image, token, ch, &ignored);
}

int upload_probe(struct model *m, uint64_t id, int fd, uint64_t size_bytes, struct image_probe *ret,
                 struct strbuf *reason)
{
        struct image image;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r < 0)
                        return r;

                r = image_load(&t, id, &image);
                if (r < 0)
                        return r;
        }

        return incoming_probe(&image, fd, size_bytes, PROBE_MS, ret, reason);
}

int upload_fail(struct model *m, uint64_t id, const char *sentence, struct changes *ch)
{
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_WRITE, &t);
        if (r < 0)
                return r;

        r = making_fail(&t, id, sentence, ch);
        if (r < 0)
                return r;

        return db_commit(&t);
}

/* The bytes are in the store: what is left of the import is to say so. */
static int accept_stored(struct db_txn *t, uint64_t id, const struct upload_result *result, struct changes *ch)
{
        struct disk_list disks;
        struct image image;
        uint64_t task;
        int r;

        r = image_load(t, id, &image);
        if (r < 0)
                return r;

        r = upload_accept_import(t, &image, "", ch, &task);
        if (r < 0)
                return r;

        r = disk_list_load(t, id, &disks);
        if (r < 0)
                return r;
        if (disks.n != 1)
                return -EBADMSG;

        r = making_fill_disk(t, &disks.disk[0], result->store, result->blob, ch);
        if (r < 0)
                return r;

        r = image_set_found(t, id, image_format_name(result->probe.format), result->probe.encrypted);
        if (r < 0)
                return r;

        r = image_set_system(t, id, &result->system);
        if (r < 0)
                return r;

        r = incoming_warn(t, id, &result->probe, blob_get_info(result->blob)->size_bytes);
        if (r < 0)
                return r;

        r = task_finish(t, task, result->bytes);
        if (r < 0)
                return r;

        changes_add_ended(ch, task);

        r = image_load(t, id, &image);
        if (r < 0)
                return r;

        return image_life_apply(t, &image, VERB_FINISH, NULL);
}

static int refuse(struct db_txn *t, const struct image *image, const struct upload_result *result, struct changes *ch)
{
        int r = making_fail(t, image->o.id, strbuf_text(&result->refusal), ch);

        return r < 0 ? r : image_set_found(t, image->o.id, image->format, result->probe.encrypted);
}

/* While it has its entry, nothing else takes an image from uploading. */
static bool is_recorded(const struct image *image, const struct upload_result *result)
{
        return result->again && image->status != IMAGE_UPLOADING && (image->status != IMAGE_QUEUED || result->bytes == 0);
}

int upload_end(struct model *m, uint64_t id, struct upload_result *result, struct changes *ch, bool *ret_keep)
{
        const char *refusal = strbuf_text(&result->refusal);
        bool recorded;
        struct image image;
        int r;
        DB_TXN(t);

        r = db_begin_lazy(m->db, &t);
        if (r < 0)
                return r;

        r = image_load(&t, id, &image);
        if (r < 0)
                return r;

        recorded = is_recorded(&image, result);
        result->again |= image.status == IMAGE_UPLOADING;
        if (recorded)
                r = 0;
        else if (result->bytes == 0)
                r = abandon(&t, &image, ch);
        else if (refusal[0])
                r = refuse(&t, &image, result, ch);
        else if (result->blob)
                r = accept_stored(&t, id, result, ch);
        else
                r = accept_import(&t, &image, result->rest ? -1 : result->fd, ch);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_IMAGE, id);
        if (!recorded)
                r = db_commit(&t);
        if (r < 0)
                return r;

        result->named = result->blob && !refusal[0];
        *ret_keep = result->bytes > 0 && !refusal[0] && !result->blob;
        return 0;
}
