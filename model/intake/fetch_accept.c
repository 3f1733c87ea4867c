/* SPDX-License-Identifier: MIT */
/* What is written to import-url: an address, with the file's checksum, or that what has failed is to be tried again. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "model/core/jobs.h"
#include "model/core/region_row.h"
#include "model/core/task_row.h"
#include "model/intake/data_disk_row.h"
#include "model/intake/fetch.h"
#include "model/intake/fetch_row.h"
#include "model/intake/fetch_task.h"
#include "model/intake/upload_state.h"

#define AGAIN "again"

/* Takes "URL" or "URL SUM" apart. */
static int parse(const char *text, struct fetch_row *ret, struct url *ret_url, struct diag *diag)
{
        const size_t url = strcspn(text, " \t");
        const char *sum = text + url + strspn(text + url, " \t");
        struct fetch_row row = { .sum = "" };
        struct file_sum parsed;
        int r;

        if (url > URL_MAX)
                return diag_set(diag, -EINVAL, "the address is longer than %d bytes", URL_MAX);
        memcpy(row.url, text, url);

        r = url_parse(row.url, ret_url, diag);
        if (r < 0)
                return r;

        if (*sum && file_sum_parse(sum, &parsed) < 0)
                return diag_set(diag, -EINVAL, "after the address there may be sha256=, sha512=, md5= or xxh128= with all of "
                                               "its hex digits, and nothing else");
        if (*sum)
                file_sum_print(&parsed, row.sum, sizeof(row.sum));

        *ret = row;
        return 0;
}

/* What a failed import has left makes room for the next. ROW: of another address; NULL: the same one again. */
static int prepare_again(struct model *m, struct db_txn *t, const struct image *image, const struct fetch_row *row,
                         struct changes *ch, struct diag *diag)
{
        int r = 0;

        if (row)
                r = fetch_forget(t, image->o.id);
        if (r == 0)
                r = data_disks_again(m, t, image, ch, diag);
        if (r < 0)
                return r;

        return image_set_error(t, image->o.id, "");
}

/* Moves the image on. ROW as above. */
static int claim(struct model *m, struct db_txn *t, const struct image *image, const struct fetch_row *row,
                 struct changes *ch, struct diag *diag)
{
        struct fetch_row before;
        bool failed = false;
        int r;

        if (image->status == IMAGE_ERROR) {
                r = fetch_row_find(t, image->o.id, &before);
                if (r < 0 && r != -ENOENT)
                        return r;
                failed = r == 0;
        }
        if (!row && !failed && (image->status == IMAGE_QUEUED || image->status == IMAGE_ERROR))
                return diag_set(diag, -EINVAL, "there is nothing to try again: %s was not imported from an address%s",
                                image->o.handle,
                                image->status == IMAGE_QUEUED ? "; write one" :
                                                                ": remove it with rmdir, and begin again");
        if (failed && jobs_is_ending(m, image->o.id))
                return diag_set(diag, -EBUSY, "%s is being stopped: try again in a moment", image->o.handle);
        if (failed) {
                r = prepare_again(m, t, image, row, ch, diag);
                if (r < 0)
                        return r;
        }

        return upload_claim(m, t, image, failed ? VERB_FETCH_AGAIN : VERB_FETCH, ch, diag);
}

/* Of an image that was moved on. ROW as above. */
static int submit(struct model *m, struct db_txn *t, const struct image *image, const struct fetch_row *row,
                  struct changes *ch, struct diag *diag)
{
        uint64_t task, place;
        int r;

        r = region_refuse_offline(m, t, image->region, diag);
        if (r == 0)
                r = upload_place(t, image->o.id, &place);
        if (r < 0)
                return r;

        if (row) {
                r = fetch_row_insert(t, image->o.id, row);
                if (r < 0)
                        return r;
        }

        r = task_submit(t,
                        &(struct task_new){
                                .kind = image_life_task(VERB_FETCH),
                                .image = image->o.id,
                                .region = image->region,
                                .place = place,
                                .caller = &(struct caller){ .uid = image->o.uid, .gid = image->o.gid },
                        },
                        &task);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_TASK, task);
        changes_add(ch, OBJECT_IMAGE, image->o.id);
        return 0;
}

int fetch_start(struct model *m, struct db_txn *t, const struct image *image, const struct fetch_row *row,
                struct changes *ch, struct diag *diag)
{
        int r = upload_claim(m, t, image, VERB_FETCH, ch, diag);

        return r < 0 ? r : submit(m, t, image, row, ch, diag);
}

/* ROW as above. */
static int accept(struct model *m, const struct caller *c, uint64_t id, const struct fetch_row *row, struct changes *ch,
                  struct diag *diag)
{
        struct image image;
        int r;
        DB_TXN(t);

        r = db_begin_lazy(m->db, &t); /* the caller waits for the sync */
        if (r < 0)
                return r;

        r = image_load(&t, id, &image);
        if (r < 0)
                return r;

        r = image_refuse_stranger(image.class, c, diag);
        if (r < 0)
                return r;

        r = claim(m, &t, &image, row, ch, diag);
        if (r < 0)
                return r;

        r = submit(m, &t, &image, row, ch, diag);
        return r < 0 ? r : db_commit(&t);
}

int image_fetch(struct model *m, const struct caller *c, uint64_t image, const char *text, struct diag *diag)
{
        const bool again = strcmp(text, AGAIN) == 0;
        struct changes changes = { 0 };
        struct fetch_row row;
        struct url url;
        int r;

        if (!pull_is_supported())
                return diag_set(diag, -EOPNOTSUPP, "this imagefs was built without libcurl: fetch the file yourself, "
                                                   "and cp it to upload");

        if (!again) {
                r = parse(text, &row, &url, diag);
                if (r == 0)
                        r = secret_seal(m, row.url, row.sealed, sizeof(row.sealed));
                if (r < 0)
                        return r;
                row.reach_private = c->admin || m->import_private;
        }

        {
                /* A writer that is opening the upload has its file already. */
                LOCK_SCOPE(uploads_mutex(m));

                r = accept(m, c, image, again ? NULL : &row, &changes, diag);
                if (r < 0)
                        return r;
        }

        r = db_settle(m->db); /* for which nobody waits who opens an upload */
        if (r < 0)
                return r;
        changes_tell(m, &changes);
        return 0;
}

static int load_row(struct model *m, uint64_t image, struct fetch_row *ret)
{
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        return fetch_row_load(m, &t, image, ret);
}

int image_get_fetch(struct model *m, uint64_t image, char *buf, size_t size)
{
        struct fetch_row row;
        struct url url;
        int r;

        r = load_row(m, image, &row);
        if (r == 0)
                r = url_parse(row.url, &url, NULL);
        if (r < 0 && r != -ENOENT && r != -EKEYREJECTED)
                return r;

        (void)snprintf(buf, size, "%s", r == 0 ? url.shown : "");
        return 0;
}
