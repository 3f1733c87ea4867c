/* SPDX-License-Identifier: MIT */
/*
 * An upload is an intake (blobstore/blobs/intake.h) with its file of incoming.c, and an entry in the list of open ones.
 *
 *      queued ──open──► uploading ──last close──► pending, with an import task, which is done at once where the
 *         ▲                │  │                   bytes were stored while they came
 *         │                │  └──── last close, and the header shows that it cannot be imported ──► error
 *         └── without a byte
 *
 * The mutex of the list (uploads.c) is held while the first writer opens, so that an image in status uploading has its
 * entry. Writing does not take it: a writer counts as a user of the entry, and an image that goes meanwhile only marks
 * it. How the last one closes stands in upload_close.c.
 */

#include "model/intake/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "model/core/room.h"
#include "model/intake/brief.h"
#include "model/intake/data_disk_row.h"
#include "model/intake/incoming.h"
#include "model/intake/upload_state.h"
#include "model/intake/uploads_priv.h"

DEFINE_CLEANUP(struct upload *, upload_freep, upload_free)

/* ---- opening ---- */

int upload_expect(struct model *m, uint64_t image)
{
        return brief_add(m, image);
}

int upload_load_subject(struct upload *u, uint64_t image_id, const struct caller *c, struct image *image,
                        struct diag *diag)
{
        struct disk_list disks;
        struct disk_ref disk;
        int r;
        DB_TXN(t);

        r = db_begin(u->m->db, DB_READ, &t);
        if (r == 0 && u->disk)
                r = data_disk_load(&t, u->disk, image, &u->store, &disk, diag);
        else if (r == 0)
                r = image_load_with_store(&t, image_id, image, &u->store);
        if (r == 0 && u->disk)
                r = image_refuse_stranger(image->class, c, diag);
        if (r == 0)
                r = disk_list_load(&t, image->o.id, &disks);
        if (r < 0)
                return r;

        u->image = image->o.id;
        u->has_data_disks = disks.n > 0;
        memcpy(u->ident, image->ident, sizeof(u->ident));
        if (u->disk) {
                memcpy(u->device, disk.device, sizeof(u->device));
                incoming_disk_name(u->ident, u->device, true, u->name);
        } else {
                (void)snprintf(u->name, sizeof(u->name), "%s", u->ident);
        }
        return u->disk ? 0 : image_format_parse(image->format, &u->wanted);
}

static int room_left(const struct upload *u, uint64_t n)
{
        struct blobstore *bs;
        int r;

        r = stores_get(u->m, u->store, NULL, &bs);
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

        return !u->has_data_disks && image_begins_plain(start, u->wanted);
}

const struct intake_ops upload_intake_ops = { .begins_plain = begins_plain, .room = may_settle };

struct upload *upload_new(struct model *m, uint64_t disk)
{
        struct upload *u = calloc(1, sizeof(*u));

        if (!u)
                return NULL;

        u->m = m;
        u->disk = disk;
        u->fd = -1;
        atomic_init(&u->lost, 0);
        atomic_init(&u->gone, false);
        atomic_init(&u->interrupted, false);
        atomic_init(&u->named, false);
        atomic_init(&u->bytes, 0);
        atomic_init(&u->written, 0);
        atomic_init(&u->announced, 0);
        return u;
}

/* A new entry; the list's mutex is held. */
static int open_upload(struct model *m, const struct caller *c, uint64_t id, uint64_t disk, struct changes *ch,
                       struct diag *diag, struct upload **ret)
{
        CLEANUP(upload_freep) struct upload *u = upload_new(m, disk);
        struct blobstore *bs;
        struct image image;
        bool fresh;
        int r;

        if (!u)
                return -ENOMEM;

        r = upload_load_subject(u, id, c, &image, diag);
        if (r == 0)
                r = stores_get(m, u->store, diag, &bs);
        if (r < 0)
                return r;

        /* In any other status the file is not ours; upload_begin() says why. */
        fresh = image.status == IMAGE_QUEUED;
        if (fresh && u->disk) {
                r = upload_claim_disk(m, image.o.id, diag);
                if (r < 0)
                        return r;
        }
        if (fresh) {
                u->fd = incoming_open(m, u->store, u->name, O_RDWR | O_CREAT | O_TRUNC);
                if (u->fd < 0)
                        return u->fd;
        }

        r = intake_new(bs, u->fd, &upload_intake_ops, u, &u->intake);
        if (r == 0 && fresh && m->followed)
                intake_last(u->intake);
        if (r == 0 && !u->disk)
                r = upload_begin(m, c, id, ch, diag);
        if (r == 0 && !fresh)
                r = -EBUSY; /* it came back to queued just now */
        if (r < 0) {
                if (fresh)
                        incoming_discard(m, u->store, u->name);
                return r;
        }

        u->users = 1;
        *ret = TAKE_PTR(u);
        return 0;
}

void upload_add_writer(struct upload *u)
{
        if (u->waits_until_us) {
                u->waits_until_us = 0;
                return;
        }
        u->writers++;
        u->users++;
}

static void await_store(struct model *m, const struct caller *c, uint64_t id, uint64_t disk)
{
        struct upload u = { .m = m, .disk = disk };
        struct image image;

        if (upload_load_subject(&u, id, c, &image, NULL) == 0)
                incoming_await(m, u.store);
}

static int open_or_join(struct model *m, const struct caller *c, uint64_t id, uint64_t disk, struct diag *diag,
                        struct upload **ret)
{
        struct uploads *us = m->uploads;
        struct changes changes = { 0 };
        struct upload *u;
        int r;

        await_store(m, c, id, disk);
        {
                LOCK_SCOPE(&us->mutex);

                u = disk ? uploads_find_disk(us, disk) : uploads_find(us, id);
                if (!u) {
                        r = open_upload(m, c, id, disk, &changes, diag, &u);
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
                upload_add_writer(u);
                if (!disk)
                        brief_opened(m->briefs, id);
        }

        changes_tell(m, &changes);
        *ret = u;
        return 0;
}

int upload_open(struct model *m, const struct caller *c, uint64_t id, struct diag *diag, struct upload **ret)
{
        return open_or_join(m, c, id, 0, diag, ret);
}

int upload_open_disk(struct model *m, const struct caller *c, uint64_t disk, struct diag *diag, struct upload **ret)
{
        return open_or_join(m, c, 0, disk, diag, ret);
}

int upload_join(struct model *m, uint64_t image, struct upload **ret)
{
        struct upload *u;
        LOCK_SCOPE(&m->uploads->mutex);

        u = uploads_find(m->uploads, image);
        if (!u || !u->readable || u->ending || u->writers == 0)
                return -ENOENT;

        upload_add_writer(u);
        *ret = u;
        return 0;
}

/* ---- reading ---- */

void upload_make_readable(struct upload *u)
{
        const bool readable = intake_keep_in_file(u->intake);
        LOCK_SCOPE(&u->m->uploads->mutex);

        u->readable = readable;
}

/* Without the mutex: it stays readable, and its file is open while it has a writer. */
static bool is_readable(struct upload *u)
{
        LOCK_SCOPE(&u->m->uploads->mutex);

        return u->readable;
}

ssize_t upload_read(struct upload *u, void *buf, size_t n, uint64_t off, struct diag *diag)
{
        if (!is_readable(u))
                return diag_set(diag, -EBUSY, "what was written so far is stored already, and can be read when the import is "
                                              "done");
        return pread_full(u->fd, buf, n, off);
}

uint64_t upload_size(struct model *m, uint64_t image)
{
        const struct upload *u;
        LOCK_SCOPE(&m->uploads->mutex);

        u = uploads_find(m->uploads, image);
        return u && u->readable && u->writers > 0 ? atomic_load(&u->bytes) : 0;
}

/* ---- writing ---- */

uint64_t upload_image(const struct upload *u)
{
        return u->image;
}

uint64_t upload_store(const struct upload *u)
{
        return u->store;
}

uint64_t upload_end_of(const struct upload *u)
{
        return atomic_load(&u->bytes);
}

/* The tables of an empty disk of a terabyte, in any format: a vdi has 4 MiB of them. */
#define MADE_BYTES_MAX (UINT64_C(8) << 20)

bool upload_is_only_made(struct upload *u)
{
        const uint64_t written = atomic_load(&u->written);

        if (atomic_load(&u->interrupted) || atomic_load(&u->lost) < 0)
                return false;
        return written == 0 || (is_readable(u) && written <= MADE_BYTES_MAX);
}

static int may_reach(struct upload *u, uint64_t off, uint64_t n, struct diag *diag)
{
        if (atomic_load(&u->gone) && u->disk)
                return diag_set(diag, -ESTALE, "%s was removed, or its image's import has begun", u->device);
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
        size_t n;
        upload_taken_fn *taken;
        void *ctx;
};

/* It can be seen by whoever was told. */
static void write_taken(void *ctx)
{
        const struct write *w = ctx;

        note_bytes(w->upload, w->end);
        (void)atomic_fetch_add(&w->upload->written, w->n);
        if (w->taken)
                w->taken(w->ctx);
}

int upload_write(struct upload *u, const void *buf, size_t n, uint64_t off, upload_taken_fn *taken, void *ctx,
                 struct diag *diag)
{
        struct write w = { .upload = u, .end = n > 0 ? off + n : 0, .n = n, .taken = taken, .ctx = ctx };
        int r;

        r = may_reach(u, off, n, diag);
        if (r == 0 && u->disk)
                r = upload_unname_disk(u);
        if (r == 0)
                r = refuse_full(diag, room_left(u, n));
        if (r == -ENOSPC && intake_give_way(u->intake))
                r = refuse_full(diag, room_left(u, n));
        if (r == 0)
                r = refuse_full(diag, intake_write(u->intake, buf, n, off, write_taken, &w));
        if (r < 0) {
                atomic_store(&u->lost, r);
                intake_spoil(u->intake);
        }
        return r;
}

int upload_truncate(struct upload *u, uint64_t size, struct diag *diag)
{
        int r;

        r = may_reach(u, size, 0, diag);
        if (r == 0 && u->disk)
                r = upload_unname_disk(u);
        if (r == 0)
                r = intake_truncate(u->intake, size);
        if (r < 0)
                return r;

        atomic_store(&u->bytes, size);
        atomic_store(&u->announced, size);
        if (size < atomic_load(&u->written))
                atomic_store(&u->written, size);
        if (size == 0) {
                atomic_store(&u->lost, 0);
                atomic_store(&u->interrupted, false);
        }
        return 0;
}

void upload_interrupt(struct upload *u)
{
        atomic_store(&u->interrupted, true);
        intake_spoil(u->intake);
}
