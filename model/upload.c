/* SPDX-License-Identifier: MIT */
/*
 * An upload is a file of incoming.c and an entry in the list of open ones. The file alone says whether there is
 * something to import: one without a byte is nothing.
 *
 *      queued ──open──► uploading ──last close──► pending, with an import task
 *         ▲                │  └──── last close, and the header shows that it cannot be imported ──► error
 *         └── without a byte
 *
 * The mutex of the list is held while the first writer opens and while the last one closes, transactions included, so
 * that an image in status uploading has its entry and nobody joins an upload that is ending. Writing does not take
 * it: a writer holds a reference, and an image that goes meanwhile only marks the entry.
 *
 * An end that cannot be recorded (no space for the database) loses the upload: the file goes at once, for the space.
 * The entry stays, without writers, and makes the image look as it will, in status error, until the upkeep has recorded
 * that.
 *
 * Files are not synced at the last close, or the bytes would go to the disk twice. The task carries the token that
 * tells after a restart whether they are still what was written.
 */

#include "model/upload.h"

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
#include "model/incoming.h"
#include "model/runner.h"
#include "model/room.h"
#include "model/upload_state.h"

struct upload {
        struct model *m;
        uint64_t image, store;
        char ident[IMAGE_IDENT_MAX];
        int fd;
        atomic_bool gone; /* the image was removed */
        atomic_uint_fast64_t bytes; /* where the file ends */
        atomic_int lost; /* why bytes could not be written, 0: all were */
        struct upload *next; /* under the list's mutex, as what follows */
        unsigned writers;
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

        if (u->fd >= 0)
                (void)close(u->fd);
        free(u);
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

static void unlink_upload(struct uploads *us, const struct upload *upload)
{
        for (struct upload **p = &us->open; *p; p = &(*p)->next)
                if (*p == upload) {
                        *p = upload->next;
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

/* A new entry; the list's mutex is held. */
static int open_upload(struct model *m, const struct caller *c, uint64_t id, struct changes *ch, struct diag *diag,
                       struct upload **ret)
{
        CLEANUP(upload_freep) struct upload *u = NULL;
        struct image image;
        struct stat st;
        bool fresh;
        int r;

        u = calloc(1, sizeof(*u));
        if (!u)
                return -ENOMEM;

        u->m = m;
        u->image = id;
        u->fd = -1;
        atomic_init(&u->lost, 0);

        r = load_image_and_store(m, id, &image, &u->store);
        if (r < 0)
                return r;

        memcpy(u->ident, image.ident, sizeof(u->ident));

        /* In any other status the file is not ours; upload_begin() says why. */
        fresh = image.status == IMAGE_QUEUED;
        if (fresh || image.status == IMAGE_UPLOADING) {
                u->fd = incoming_open(m, u->store, u->ident, O_RDWR | O_CREAT | (fresh ? O_TRUNC : 0));
                if (u->fd < 0)
                        return u->fd;
        }

        r = upload_begin(m, c, id, ch, diag);
        if (r == 0 && u->fd < 0)
                r = -EBUSY; /* it came back to queued just now */
        if (r == 0 && fstat(u->fd, &st) < 0)
                r = -errno;
        if (r < 0) {
                if (fresh)
                        incoming_discard(m, u->store, u->ident);
                return r;
        }

        atomic_init(&u->gone, false);
        atomic_init(&u->bytes, (uint64_t)st.st_size);
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
                }
                u->writers++;
        }

        changes_tell(m, &changes);
        *ret = u;
        return 0;
}

/* ---- writing ---- */

int upload_fd(struct upload *u)
{
        return u->fd;
}

uint64_t upload_image(const struct upload *u)
{
        return u->image;
}

static int room_left(const struct upload *u, uint64_t n)
{
        struct blobstore *bs;
        int r;

        r = stores_get(u->m, u->store, &bs);
        return r < 0 ? r : room_check(bs, n, ROOM_LEFT_BY_UPLOADS);
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

int upload_may_write(struct upload *u, uint64_t off, uint64_t n, struct diag *diag)
{
        int r;

        r = may_reach(u, off, n, diag);
        if (r < 0)
                return r;

        r = room_left(u, n);
        if (r == -ENOSPC)
                return diag_set(diag, r, "the store's disk is full: delete something, or have it enlarged");

        return r;
}

void upload_lost(struct upload *u, int error)
{
        atomic_store(&u->lost, error);
}

void upload_wrote(struct upload *u, uint64_t off, uint64_t n)
{
        uint_fast64_t bytes = atomic_load(&u->bytes);

        if (n == 0)
                return;

        while (off + n > bytes)
                if (atomic_compare_exchange_weak(&u->bytes, &bytes, off + n))
                        break;
}

int upload_truncate(struct upload *u, uint64_t size, struct diag *diag)
{
        int r;

        r = may_reach(u, size, 0, diag);
        if (r < 0)
                return r;

        if (ftruncate(u->fd, (off_t)size) < 0)
                return -errno;

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

int upload_check(struct upload *u, struct diag *diag)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct image_probe probe;
        bool last;
        int r;

        r = atomic_load(&u->lost);
        if (r < 0)
                return diag_set(diag, r, "not all that was written could be stored: remove the image, and upload it "
                                         "again");

        {
                LOCK_SCOPE(&u->m->uploads->mutex);

                last = u->writers == 1;
        }

        /*
         * While others write, and before the first byte (a shell closes a copy of the descriptor then), nothing is
         * wrong yet.
         */
        if (!last || atomic_load(&u->bytes) == 0 || atomic_load(&u->gone))
                return 0;

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
        (void)close(u->fd); /* the file's space comes back with its last descriptor */
        u->fd = -1;
}

void upload_close(struct upload *u)
{
        struct model *m = u->m;
        struct changes changes = { 0 };
        bool keep = true, over = true;
        int r = 0;

        {
                LOCK_SCOPE(&m->uploads->mutex);

                if (--u->writers > 0)
                        return;

                if (!atomic_load(&u->gone)) {
                        r = upload_end(m, u->image, u->fd, atomic_load(&u->lost), &changes, &keep);
                        if (r < 0) {
                                keep = false;
                                over = false;
                                keep_failure(u, r);
                                changes_add(&changes, OBJECT_IMAGE, u->image);
                        } else {
                                unlink_upload(m->uploads, u);
                        }
                }
                if (!keep)
                        incoming_discard(m, u->store, u->ident);
        }

        changes_tell(m, &changes); /* which wakes the upkeep, too */
        if (over)
                upload_free(u);
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
        upload_free(u);
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
        if (u->writers == 0)
                upload_free(u);
}
