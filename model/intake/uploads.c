/* SPDX-License-Identifier: MIT */
/*
 * The list of open uploads, which has an entry for each image in status uploading to which a file is written: its mutex
 * is held while the first writer opens (upload.c), and in the transaction when the last one closes (upload_close.c).
 * Here is what others ask of the entries meanwhile. They are users of one, as its writers are, where they let go of the
 * mutex; an image that goes only marks it.
 */

#include "model/intake/uploads.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/lock.h"
#include "model/core/jobs.h"
#include "model/intake/brief.h"
#include "model/intake/data_disk_row.h"
#include "model/intake/incoming.h"
#include "model/intake/upload_state.h"
#include "model/intake/uploads_priv.h"

/* A stream that is older keeps too much from being collected. */
#define STREAM_SECONDS 600

int uploads_open(struct model *m, struct uploads **ret)
{
        struct uploads *us;

        (void)m; /* an upload knows its model */

        us = calloc(1, sizeof(*us));
        if (!us)
                return -ENOMEM;

        pthread_mutex_init(&us->mutex, NULL);
        *ret = us;
        return 0;
}

pthread_mutex_t *uploads_mutex(struct model *m)
{
        return &m->uploads->mutex;
}

void upload_result_done(struct upload_result *r)
{
        blob_close(r->blob);
        strbuf_done(&r->refusal);
}

void upload_free(struct upload *u)
{
        if (!u)
                return;

        upload_result_done(&u->result);
        intake_free(u->intake);
        if (u->fd >= 0)
                (void)close(u->fd);
        free(u);
}

void uploads_put(struct upload *u)
{
        if (--u->users == 0)
                upload_free(u);
}

int upload_refuse_lost(struct diag *diag, int r)
{
        return diag_set(diag, r, "not all that was written could be stored: remove the image, and upload it again");
}

static void free_list(struct upload *first)
{
        for (struct upload *u = first, *next; u; u = next) {
                next = u->next;
                upload_free(u);
        }
}

/* Uploads that are still open were cut off: their images' status tells the next start. */
void uploads_close(struct uploads *us)
{
        if (!us)
                return;

        free_list(us->open);
        free_list(us->rest);

        pthread_mutex_destroy(&us->mutex);
        free(us);
}

struct upload *uploads_find(struct uploads *us, uint64_t image)
{
        for (struct upload *u = us->open; u; u = u->next)
                if (u->image == image && !u->disk)
                        return u;

        return NULL;
}

struct upload *uploads_find_disk(struct uploads *us, uint64_t disk)
{
        for (struct upload *u = us->open; u; u = u->next)
                if (u->disk == disk)
                        return u;

        return NULL;
}

/* Is it in the list? No longer. */
static bool unlink_from(struct upload **list, const struct upload *upload)
{
        for (struct upload **p = list; *p; p = &(*p)->next)
                if (*p == upload) {
                        *p = upload->next;
                        return true;
                }
        return false;
}

void uploads_unlink(struct uploads *us, struct upload *upload)
{
        if (unlink_from(&us->open, upload))
                uploads_put(upload);
}

void uploads_leave(struct uploads *us, struct upload *upload)
{
        if (!unlink_from(&us->open, upload))
                return;
        upload->next = us->rest;
        us->rest = upload;
}

/* Its import runs, so that its end was recorded, though nobody was told. */
static struct upload *take_unsettled(struct uploads *us, uint64_t image)
{
        struct upload *u = uploads_find(us, image);

        if (!u || !u->result.again || !u->result.rest)
                return NULL;
        (void)unlink_from(&us->open, u);
        if (u->waits_until_us)
                uploads_put(u); /* who ends it, else */
        return u;
}

/* NULL: there is none. The list's share is the caller's. */
static struct upload *take_rest(struct model *m, uint64_t image)
{
        struct uploads *us = m->uploads;
        LOCK_SCOPE(&us->mutex);

        for (struct upload *u = us->rest; u; u = u->next)
                if (u->image == image) {
                        (void)unlink_from(&us->rest, u);
                        return u;
                }
        return take_unsettled(us, image);
}

static void put_rest(struct model *m, struct upload *u)
{
        LOCK_SCOPE(&m->uploads->mutex);

        uploads_put(u); /* its last writer may be about to let go of it */
}

int uploads_settle_file(struct model *m, uint64_t image, int (*progress)(void *ctx), void *ctx)
{
        struct upload *u = take_rest(m, image);
        int r;

        if (!u)
                return 0;
        r = intake_settle(u->intake, progress, ctx);
        put_rest(m, u);
        return r < 0 ? r : 1;
}

void uploads_drop_file(struct model *m, uint64_t image)
{
        struct upload *u = take_rest(m, image);

        if (u)
                put_rest(m, u);
}

/* ---- what others ask ---- */

void upload_progress(struct model *m, uint64_t image, uint64_t *ret_done_bytes, uint64_t *ret_total_bytes)
{
        uint64_t end, written, announced;
        const struct upload *u;

        *ret_done_bytes = *ret_total_bytes = 0;
        if (!m->uploads)
                return;

        LOCK_SCOPE(&m->uploads->mutex);

        u = uploads_find(m->uploads, image);
        if (!u)
                return;

        end = atomic_load(&u->bytes);
        written = atomic_load(&u->written);
        announced = atomic_load(&u->announced);
        *ret_done_bytes = written < end ? written : end; /* what is written over counts once */
        *ret_total_bytes = end <= announced ? announced : 0;
}

/* The first upload after *LAST (an image's id), which is noted there, for uploads_put(); NULL: there is none. */
static struct upload *next_upload(struct uploads *us, uint64_t *last)
{
        struct upload *next = NULL;
        LOCK_SCOPE(&us->mutex);

        for (struct upload *u = us->open; u; u = u->next)
                if (u->image > *last && !u->disk && u->writers > 0 && (!next || u->image < next->image))
                        next = u;
        if (next) {
                *last = next->image;
                next->users++;
        }
        return next;
}

bool uploads_renew(struct model *m)
{
        bool streaming = false;
        struct upload *u;
        uint64_t last = 0;

        while ((u = next_upload(m->uploads, &last))) {
                (void)intake_renew(u->intake, STREAM_SECONDS); /* an error is the writer's to hear */
                streaming |= intake_is_streaming(u->intake) || !intake_is_whole(u->intake);

                LOCK_SCOPE(&m->uploads->mutex);

                uploads_put(u);
        }
        return streaming;
}

static void overlay(struct model *m, struct image *image)
{
        const struct upload *u;

        if (image->status != IMAGE_UPLOADING || !m->uploads)
                return;

        LOCK_SCOPE(&m->uploads->mutex);

        u = uploads_find(m->uploads, image->o.id);
        if (!u || u->writers > 0)
                return;

        image->status = IMAGE_ERROR;
        image->busy = false;
        memcpy(image->error, u->failed, sizeof(image->error));
}

/* Ends open uploads for whoever writes to them. The list's mutex is held. */
static void drop_open(struct uploads *us, bool (*is_one)(const struct upload *u, uint64_t id), uint64_t id)
{
        bool waits;

        for (struct upload *u = us->open, *next; u; u = next) {
                next = u->next;
                if (!is_one(u, id))
                        continue;
                atomic_store(&u->gone, true);
                if (u->ending && u->writers > 0)
                        continue; /* who ends it sees that */
                waits = u->waits_until_us != 0;
                uploads_unlink(us, u);
                if (waits)
                        uploads_put(u);
        }
}

static bool is_of_image(const struct upload *u, uint64_t image)
{
        return u->image == image;
}

static bool is_disk_of_image(const struct upload *u, uint64_t image)
{
        return u->image == image && u->disk;
}

static bool is_of_disk(const struct upload *u, uint64_t disk)
{
        return u->disk == disk;
}

void uploads_drop_disk(struct model *m, uint64_t disk)
{
        drop_open(m->uploads, is_of_disk, disk);
}

void uploads_drop_disks(struct model *m, uint64_t image)
{
        drop_open(m->uploads, is_disk_of_image, image);
}

bool uploads_write_disk(struct model *m, uint64_t disk)
{
        struct upload *u = uploads_find_disk(m->uploads, disk);

        return u && atomic_load(&u->bytes) > 0 && !atomic_load(&u->named);
}

static void image_gone(struct model *m, uint64_t image, uint64_t region, const char *ident)
{
        if (!m->uploads)
                return;

        jobs_cancel_image(m, image);
        brief_forget(m->briefs, image);
        uploads_drop_file(m, image);

        LOCK_SCOPE(&m->uploads->mutex);

        incoming_discard_in(m, region, ident);
        incoming_discard_disks_in(m, region, ident);
        drop_open(m->uploads, is_of_image, image);
}

/* It may have been restored, and tried again, by now. *ret_updated_us says which of its changes is looked at. */
static bool is_recycled(struct model *m, uint64_t id, int64_t *ret_updated_us)
{
        struct image image;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = image_load(&t, id, &image);
        *ret_updated_us = r == 0 ? image.o.updated_us : 0;
        return r == -ENOENT || (r == 0 && image.status == IMAGE_DELETED);
}

static void image_recycled(struct model *m, uint64_t id, uint64_t region, const char *ident)
{
        int64_t durable_us, now_us;
        bool gone;

        if (!m->uploads)
                return;
        /* What was seen before the sync is durable after it, and nobody else waits for that. */
        gone = is_recycled(m, id, &durable_us) && db_settle(m->db) == 0;

        LOCK_SCOPE(&m->uploads->mutex);

        if (gone && is_recycled(m, id, &now_us) && now_us == durable_us)
                incoming_discard_in(m, region, ident);
        data_disks_clear(m, id);
}

const struct image_hooks uploads_hooks = { .overlay = overlay, .gone = image_gone, .recycled = image_recycled };
