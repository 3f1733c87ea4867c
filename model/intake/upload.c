/* SPDX-License-Identifier: MIT */
/*
 * An upload is an intake (blobstore/blobs/intake.h) with its file of incoming.c, and an entry in the list of open ones.
 *
 *      queued ──open──► uploading ──last close──► pending, with an import task, which is done at once where the
 *         ▲                │  │                   bytes were stored while they came
 *         │                │  └──── last close, and the header shows that it cannot be imported ──► error
 *         └── without a byte
 *
 * The mutex of the list is held while the first writer opens, and in the transaction when the last one closes, so that
 * an image in status uploading has its entry. Between that close and the transaction the entry is ending: the store
 * makes durable what came in, and nobody joins. Writing does not take the mutex: a writer counts as a user of the
 * entry, and an image that goes meanwhile only marks it.
 *
 * An end that cannot be recorded (no space for the database) loses the upload: the file goes at once, for the space.
 * The entry stays, without writers, and makes the image look as it will, in status error, until the upkeep has recorded
 * that.
 *
 * What is in a file is not synced at the last close, or the bytes would go to the disk twice. The task carries the
 * token that tells after a restart whether they are still what was written.
 */

#include "model/intake/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/log.h"
#include "blobstore/blobs/intake.h"
#include "blobstore/import/source.h"
#include "model/core/room.h"
#include "model/intake/incoming.h"
#include "model/intake/upload_state.h"
#include "model/work/runner.h"

/* A stream that is older keeps too much from being collected. */
#define STREAM_SECONDS 600

struct upload {
        struct model *m;
        uint64_t image, store;
        char ident[IMAGE_IDENT_MAX];
        int fd;
        enum image_format wanted; /* as the user set it */
        struct intake *intake;
        atomic_bool gone; /* the image was removed */
        atomic_uint_fast64_t bytes; /* where the file ends */
        atomic_int lost; /* why bytes could not be written, 0: all were */
        struct upload *next; /* under the list's mutex, as what follows */
        unsigned users; /* the list's entry, each writer, and who renews it */
        unsigned writers;
        bool ending;
        char failed[DIAG_TEXT_MAX]; /* without writers: the end that is still to be recorded */
};

struct uploads {
        pthread_mutex_t mutex;
        struct upload *open;
};

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

static void upload_free(struct upload *u)
{
        if (!u)
                return;

        intake_free(u->intake);
        if (u->fd >= 0)
                (void)close(u->fd);
        free(u);
}

/* Call with the list's mutex held. */
static void upload_put(struct upload *u)
{
        if (--u->users == 0)
                upload_free(u);
}

DEFINE_CLEANUP(struct upload *, upload_freep, upload_free)

/* Uploads that are still open were cut off: their images' status tells the next start. */
void uploads_close(struct uploads *us)
{
        if (!us)
                return;

        while (us->open) {
                struct upload *u = us->open;

                us->open = u->next;
                upload_free(u);
        }

        pthread_mutex_destroy(&us->mutex);
        free(us);
}

static struct upload *find_upload(struct uploads *us, uint64_t image)
{
        for (struct upload *u = us->open; u; u = u->next)
                if (u->image == image)
                        return u;

        return NULL;
}

/* Takes it from the list, with the list's share in it. */
static void unlink_upload(struct uploads *us, struct upload *upload)
{
        for (struct upload **p = &us->open; *p; p = &(*p)->next)
                if (*p == upload) {
                        *p = upload->next;
                        upload_put(upload);
                        return;
                }
}

/* ---- opening ---- */

static int load_image_and_store(struct model *m, uint64_t id, struct image *ret_image, uint64_t *ret_store)
{
        struct region region;
        struct image image;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        r = image_load(&t, id, &image);
        if (r < 0)
                return r;

        r = region_load(&t, image.region, &region);
        if (r < 0)
                return r;

        *ret_image = image;
        *ret_store = region.store;
        return 0;
}

static int room_left(const struct upload *u, uint64_t n)
{
        struct blobstore *bs;
        int r;

        r = stores_get(u->m, u->store, &bs);
        return r < 0 ? r : room_check(bs, n, ROOM_LEFT_BY_UPLOADS);
}

/* Of a stream that becomes a file, which may be long after its bytes came. */
static int may_settle(void *ctx, uint64_t n)
{
        const struct upload *u = ctx;

        return atomic_load(&u->gone) ? -ESTALE : room_left(u, n);
}

_Static_assert(INTAKE_HEAD_BYTES >= IMAGE_HEAD_BYTES, "what is looked at is there");

static bool begins_plain(void *ctx, const uint8_t *start)
{
        const struct upload *u = ctx;

        return image_begins_plain(start, u->wanted);
}

/* A new entry; the list's mutex is held. */
static int open_upload(struct model *m, const struct caller *c, uint64_t id, struct changes *ch, struct diag *diag,
                       struct upload **ret)
{
        static const struct intake_ops ops = { .begins_plain = begins_plain, .room = may_settle };
        CLEANUP(upload_freep) struct upload *u = NULL;
        struct blobstore *bs;
        struct image image;
        bool fresh;
        int r;

        u = calloc(1, sizeof(*u));
        if (!u)
                return -ENOMEM;

        u->m = m;
        u->image = id;
        u->fd = -1;
        atomic_init(&u->lost, 0);
        atomic_init(&u->gone, false);
        atomic_init(&u->bytes, 0);

        r = load_image_and_store(m, id, &image, &u->store);
        if (r < 0)
                return r;

        memcpy(u->ident, image.ident, sizeof(u->ident));

        r = stores_get(m, u->store, &bs);
        if (r == 0)
                r = image_format_parse(image.format, &u->wanted);
        if (r < 0)
                return r;

        /* In any other status the file is not ours; upload_begin() says why. */
        fresh = image.status == IMAGE_QUEUED;
        if (fresh) {
                u->fd = incoming_open(m, u->store, u->ident, O_RDWR | O_CREAT | O_TRUNC);
                if (u->fd < 0)
                        return u->fd;
        }

        r = intake_new(bs, u->fd, &ops, u, &u->intake);
        if (r == 0)
                r = upload_begin(m, c, id, ch, diag);
        if (r == 0 && !fresh)
                r = -EBUSY; /* it came back to queued just now */
        if (r < 0) {
                if (fresh)
                        incoming_discard(m, u->store, u->ident);
                return r;
        }

        u->users = 1;
        *ret = TAKE_PTR(u);
        return 0;
}

int upload_open(struct model *m, const struct caller *c, uint64_t id, struct diag *diag, struct upload **ret)
{
        struct uploads *us = m->uploads;
        struct changes changes = { 0 };
        struct upload *u;
        int r;

        {
                LOCK_SCOPE(&us->mutex);

                u = find_upload(us, id);
                if (!u) {
                        r = open_upload(m, c, id, &changes, diag, &u);
                        if (r < 0)
                                return r;

                        u->next = us->open;
                        us->open = u;
                } else if (u->writers == 0) {
                        return diag_set(diag, -EBUSY, "the image is in status error (%s): remove it with rmdir, and "
                                                      "begin again", u->failed);
                } else if (u->ending) {
                        return diag_set(diag, -EBUSY, "the upload has ended: make another image for another one");
                }
                u->writers++;
                u->users++;
        }

        changes_tell(m, &changes);
        *ret = u;
        return 0;
}

/* ---- writing ---- */

uint64_t upload_image(const struct upload *u)
{
        return u->image;
}

static int may_reach(struct upload *u, uint64_t off, uint64_t n, struct diag *diag)
{
        if (atomic_load(&u->gone))
                return diag_set(diag, -ESTALE, "the image was removed while it was being uploaded");
        if (off > BLOB_SIZE_MAX || n > BLOB_SIZE_MAX - off)
                return diag_set(diag, -EFBIG, "a file of more than %llu TiB cannot be imported",
                                (unsigned long long)(BLOB_SIZE_MAX >> 40));

        return 0;
}

static int refuse_full(struct diag *diag, int r)
{
        if (r != -ENOSPC && r != -EDQUOT)
                return r;

        return diag_set(diag, -ENOSPC, "the store's disk is full: delete something, or have it enlarged");
}

static void note_bytes(struct upload *u, uint64_t end)
{
        uint_fast64_t bytes = atomic_load(&u->bytes);

        while (end > bytes)
                if (atomic_compare_exchange_weak(&u->bytes, &bytes, end))
                        break;
}

struct write {
        struct upload *upload;
        uint64_t end; /* 0: nothing is written */
        upload_taken_fn *taken;
        void *ctx;
};

/* It can be seen by whoever was told. */
static void write_taken(void *ctx)
{
        const struct write *w = ctx;

        note_bytes(w->upload, w->end);
        if (w->taken)
                w->taken(w->ctx);
}

int upload_write(struct upload *u, const void *buf, size_t n, uint64_t off, upload_taken_fn *taken, void *ctx,
                 struct diag *diag)
{
        struct write w = { .upload = u, .end = n > 0 ? off + n : 0, .taken = taken, .ctx = ctx };
        int r;

        r = may_reach(u, off, n, diag);
        if (r == 0)
                r = refuse_full(diag, room_left(u, n));
        if (r == 0)
                r = refuse_full(diag, intake_write(u->intake, buf, n, off, write_taken, &w));
        if (r < 0)
                atomic_store(&u->lost, r);
        return r;
}

int upload_truncate(struct upload *u, uint64_t size, struct diag *diag)
{
        int r;

        r = may_reach(u, size, 0, diag);
        if (r == 0)
                r = intake_truncate(u->intake, size);
        if (r < 0)
                return r;

        atomic_store(&u->bytes, size);
        if (size == 0)
                atomic_store(&u->lost, 0);
        return 0;
}

uint64_t upload_bytes(struct model *m, uint64_t image)
{
        const struct upload *u;

        if (!m->uploads)
                return 0;

        LOCK_SCOPE(&m->uploads->mutex);

        u = find_upload(m->uploads, image);
        return u ? atomic_load(&u->bytes) : 0;
}

/* ---- closing ---- */

static int refuse_lost(struct diag *diag, int r)
{
        return diag_set(diag, r, "not all that was written could be stored: remove the image, and upload it again");
}

int upload_check(struct upload *u, struct diag *diag)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct image_probe probe;
        bool last;
        int r;

        if (atomic_load(&u->gone))
                return 0;

        r = atomic_load(&u->lost);
        if (r < 0)
                return refuse_lost(diag, r);

        {
                LOCK_SCOPE(&u->m->uploads->mutex);

                last = u->writers == 1;
        }

        /*
         * While others write, and before the first byte (a shell closes a copy of the descriptor then), nothing is
         * wrong yet.
         */
        if (!last || atomic_load(&u->bytes) == 0)
                return 0;

        r = intake_sync(u->intake);
        if (r == 0)
                r = intake_show(u->intake);
        if (r < 0) {
                atomic_store(&u->lost, r);
                return refuse_lost(diag, r);
        }

        r = upload_probe(u->m, u->image, u->fd, &probe, &reason);
        if (r == -EINVAL)
                return diag_set(diag, r, "%s", strbuf_text(&reason));

        return 0; /* what else may be wrong is the import's to tell */
}

/* The end could not be recorded; the list's mutex is held. */
static void keep_failure(struct upload *u, int error)
{
        struct strbuf sentence CLEANUP_STRBUF = { 0 };

        log_debug("model: the end of upload %s was not recorded: %s", u->ident, strerror(-error));
        work_add_sentence(&sentence, error);
        (void)snprintf(u->failed, sizeof(u->failed), "%s", strbuf_text(&sentence));
        (void)intake_truncate(u->intake, 0); /* what was stored is nobody's; the upkeep may hold the intake at the moment */
        (void)close(u->fd); /* the file's space comes back with its last descriptor */
        u->fd = -1;
}

/*
 * The last writer is done, and what came in is brought to its end: the header is looked at, a stream is made durable. A
 * negative errno: that could not be told. The mutex is not held.
 */
static int bring_in(struct upload *u, struct upload_result *ret)
{
        int r;

        ret->bytes = atomic_load(&u->bytes);
        if (ret->bytes == 0 || atomic_load(&u->gone))
                return 0;

        r = atomic_load(&u->lost);
        if (r == 0)
                r = intake_show(u->intake);
        if (r == 0) {
                r = upload_probe(u->m, u->image, u->fd, &ret->probe, &ret->refusal);
                if (r < 0)
                        return r == -EINVAL ? 0 : r;
        }
        if (r == 0)
                r = image_is_plain(&ret->probe) ? intake_commit(u->intake, &ret->blob) : intake_settle(u->intake);
        if (r < 0)
                work_add_sentence(&ret->refusal, r);
        return 0;
}

/* For a blob that got no name after all. */
static void drop_blob(struct model *m, struct upload_result *result)
{
        struct blobstore *bs;
        struct blob_id id;

        if (!result->blob || result->named)
                return;

        id = *blob_get_id(result->blob);
        blob_close(TAKE_PTR(result->blob));
        if (stores_get(m, result->store, &bs) == 0)
                (void)blob_remove(bs, &id); /* else the next start does */
}

void upload_close(struct upload *u)
{
        CLEANUP(upload_result_done) struct upload_result result = { .store = u->store, .fd = u->fd };
        struct model *m = u->m;
        struct changes changes = { 0 };
        bool keep = false;
        int r;

        {
                LOCK_SCOPE(&m->uploads->mutex);

                if (u->writers > 1) {
                        u->writers--;
                        u->users--;
                        return;
                }
                u->ending = true;
        }

        r = bring_in(u, &result);

        {
                LOCK_SCOPE(&m->uploads->mutex);

                u->writers = 0;
                if (!atomic_load(&u->gone)) {
                        if (r == 0)
                                r = upload_end(m, u->image, &result, &changes, &keep);
                        if (r < 0) {
                                keep_failure(u, r);
                                changes_add(&changes, OBJECT_IMAGE, u->image);
                        } else {
                                unlink_upload(m->uploads, u);
                        }
                }
                if (!keep)
                        incoming_discard(m, u->store, u->ident);
                upload_put(u);
        }

        drop_blob(m, &result);
        if (result.bytes > 0 && !keep && !result.named)
                runner_tidy(m);
        changes_tell(m, &changes); /* which wakes the upkeep, too */
}

/* 1: recorded, or nothing is left to be; 0: there is none. */
static int settle_one(struct model *m, struct changes *ch)
{
        struct upload *u;
        int r;
        LOCK_SCOPE(&m->uploads->mutex);

        for (u = m->uploads->open; u && u->writers > 0; u = u->next)
                ;
        if (!u)
                return 0;

        r = upload_fail(m, u->image, u->failed, ch);
        if (r < 0 && r != -ENOENT && r != -EBUSY)
                return r;

        unlink_upload(m->uploads, u);
        return 1;
}

void uploads_settle(struct model *m)
{
        for (;;) {
                struct changes changes = { 0 };

                if (settle_one(m, &changes) <= 0)
                        return;
                changes_tell(m, &changes);
        }
}

/* The first upload after *LAST (an image's id), which is noted there, for upload_put(); NULL: there is none. */
static struct upload *next_upload(struct uploads *us, uint64_t *last)
{
        struct upload *next = NULL;
        LOCK_SCOPE(&us->mutex);

        for (struct upload *u = us->open; u; u = u->next)
                if (u->image > *last && u->writers > 0 && (!next || u->image < next->image))
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
                streaming |= intake_is_streaming(u->intake);

                LOCK_SCOPE(&m->uploads->mutex);

                upload_put(u);
        }
        return streaming;
}

void upload_overlay(struct model *m, struct image *image)
{
        const struct upload *u;

        if (image->status != IMAGE_UPLOADING || !m->uploads)
                return;

        LOCK_SCOPE(&m->uploads->mutex);

        u = find_upload(m->uploads, image->o.id);
        if (!u || u->writers > 0)
                return;

        image->status = IMAGE_ERROR;
        image->busy = false;
        memcpy(image->error, u->failed, sizeof(image->error));
}

void upload_image_gone(struct model *m, uint64_t image, uint64_t region, const char *ident)
{
        struct region r;
        struct upload *u;

        if (!m->uploads)
                return;

        runner_cancel_image(m, image);

        LOCK_SCOPE(&m->uploads->mutex);

        if (region_get(m, region, &r) == 0) /* else the next start removes it */
                incoming_discard(m, r.store, ident);

        u = find_upload(m->uploads, image);
        if (!u)
                return;

        atomic_store(&u->gone, true);
        unlink_upload(m->uploads, u);
}
