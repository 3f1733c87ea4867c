/* SPDX-License-Identifier: MIT */
/*
 * Uploads over the death of the process that served them. Who writes keeps the file open, in the kernel, and notices
 * nothing; that it is open the next process is told by the numbers of open files, which outlive the one before
 * (fs/ops/handles.h). The bytes are in the file of incoming.c, if its mode says so (intake.h): then the entry is made again
 * from the row and the file. All other uploads are cut off.
 *
 * What is forgotten: how long the file was announced to become, once a byte of it was written; and whether it is to be
 * stored while it comes: from here on it is kept in the file.
 *
 * At its start, or when it has gone on with what is open, a process ends all others that the rows tell of; what came to another host
 * is that one's to end, or to be removed.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/lock.h"
#include "model/core/task_row.h"
#include "model/image/making.h"
#include "model/intake/draft.h"
#include "model/intake/upload.h"
#include "model/intake/uploads.h"
#include "model/intake/uploads_priv.h"

#define SECTOR_BYTES 512

#define CUT_OFF "the upload was cut off before its end: remove the image and upload it again"

enum { RESUME_NEXT_CUT_OFF, RESUME_IS_PENDING, RESUME_DISK_IS_WANTED };

static const char *const upload_resume_sql[] = {
        /* The first condition is that of the index image_by_status; the signs keep from going through the rows by number. */
        [RESUME_NEXT_CUT_OFF] = "SELECT id FROM image WHERE status NOT IN ('available', 'queued', 'error')"
                                " AND status = 'uploading' AND +id > ?1 AND (place IS NULL OR place = ?2)"
                                " AND NOT EXISTS (SELECT 1 FROM fetch WHERE fetch.image = image.id) ORDER BY +id LIMIT 1",
        [RESUME_IS_PENDING] = "SELECT count(*) FROM image JOIN region ON region.id = image.region"
                              " WHERE image.ident = ?1 AND region.store = ?2"
                              " AND (image.place IS NULL OR image.place = ?3) AND (image.status = 'pending'"
                              " OR image.status <> 'deleted' AND EXISTS (SELECT 1 FROM fetch WHERE fetch.image = image.id))",
        [RESUME_DISK_IS_WANTED] = "SELECT count(*) FROM image JOIN region ON region.id = image.region"
                                  " JOIN image_disk ON image_disk.image = image.id"
                                  " WHERE image.ident = ?1 AND region.store = ?2"
                                  " AND (image.place IS NULL OR image.place = ?3) AND device = ?4 AND role = 'data'"
                                  " AND (image.status IN ('queued', 'pending') OR image.status IN ('uploading', 'error', 'deleted')"
                                  " AND EXISTS (SELECT 1 FROM fetch WHERE fetch.image = image.id))",
};

const struct db_statements upload_resume_statements = DB_STATEMENTS(upload_resume_sql);

DEFINE_CLEANUP(struct upload *, upload_freep, upload_free)

/* A data disk's may have its name already. */
static int open_file(struct upload *u)
{
        char named[INCOMING_NAME_MAX];

        u->fd = incoming_open(u->m, u->store, u->name, O_RDWR);
        if (u->fd == -ENOENT && u->disk) {
                incoming_disk_name(u->ident, u->device, false, named);
                u->fd = incoming_open(u->m, u->store, named, O_RDWR);
                atomic_store(&u->named, u->fd >= 0);
        }
        return u->fd < 0 ? -ESTALE : 0;
}

/* As if all had come at once. */
static int recall_bytes(struct upload *u)
{
        uint64_t size, written = 0;
        struct stat st;

        if (fstat(u->fd, &st) < 0)
                return -errno;
        size = (uint64_t)st.st_size;
        if (lseek(u->fd, 0, SEEK_DATA) >= 0) {
                written = (uint64_t)st.st_blocks * SECTOR_BYTES;
                written = written == 0 ? 1 : written < size ? written : size;
        }
        atomic_store(&u->bytes, size);
        atomic_store(&u->written, written);
        atomic_store(&u->announced, written == 0 ? size : 0);
        return 0;
}

static int refuse_other_work(struct upload *u, const struct image *image)
{
        struct task task;
        int r;
        DB_TXN(t);

        if (u->disk)
                return 0; /* the image's state was looked at */
        if (image->status != IMAGE_UPLOADING)
                return -ESTALE;
        r = db_begin(u->m->db, DB_READ, &t);
        if (r == 0)
                r = task_active_of_image(&t, image->o.id, &task);
        return r == -ENOENT ? 0 : r < 0 ? r : -ESTALE;
}

/* An entry in the list, which is the caller's share; the list's mutex is held. */
static int make_entry(struct model *m, const struct caller *c, uint64_t image_id, uint64_t disk, struct upload **ret)
{
        CLEANUP(upload_freep) struct upload *u = upload_new(m, disk);
        struct blobstore *bs;
        struct image image;
        int r;

        if (!u)
                return -ENOMEM;
        r = upload_load_subject(u, image_id, c, &image, NULL);
        if (r == 0)
                r = refuse_other_work(u, &image);
        if (r == 0)
                r = stores_get(m, u->store, NULL, &bs);
        if (r == 0)
                r = open_file(u);
        if (r == 0)
                r = intake_new(bs, u->fd, &upload_intake_ops, u, &u->intake);
        if (r == 0)
                r = intake_resume(u->intake);
        if (r == 0)
                r = recall_bytes(u);
        if (r < 0)
                return r;

        u->users = 1;
        u->next = m->uploads->open;
        m->uploads->open = u;
        *ret = TAKE_PTR(u);
        return 0;
}

int upload_resume(struct model *m, const struct caller *c, uint64_t image, uint64_t disk, struct upload **ret)
{
        struct upload *u;
        int r;
        LOCK_SCOPE(&m->uploads->mutex);

        u = disk ? uploads_find_disk(m->uploads, disk) : uploads_find(m->uploads, image);
        if (!u) {
                r = make_entry(m, c, image, disk, &u);
                if (r < 0)
                        return r;
        }
        upload_add_writer(u);
        *ret = u;
        return 0;
}

/* ---- what nobody goes on with ---- */

/* The first after *ID; -ENOENT: there is none. */
static int next_cut_off(struct model *m, uint64_t *id)
{
        int64_t next;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, upload_resume_sql[RESUME_NEXT_CUT_OFF], &next, DB_INT(*id), DB_INT(m->place));
        if (r == 0)
                *id = (uint64_t)next;
        return r;
}

static int each_cut_off(struct model *m, int (*fn)(struct model *m, uint64_t image))
{
        uint64_t image = 0;
        int r;

        while ((r = next_cut_off(m, &image)) == 0) {
                LOCK_SCOPE(&m->uploads->mutex);

                if (uploads_find(m->uploads, image))
                        continue;
                r = fn(m, image);
                if (r < 0)
                        break;
        }
        return r == -ENOENT ? 0 : r;
}

/* Its one writer has closed it, and another may be about to open it; else it has ended. */
static int wait_for_writer(struct model *m, uint64_t image)
{
        const struct caller any = { .admin = true };
        struct upload *u;

        if (make_entry(m, &any, image, 0, &u) < 0)
                return 0; /* it is cut off */
        upload_add_writer(u);
        upload_wait_again(u);
        return 0;
}

static int fail(struct model *m, uint64_t image)
{
        struct changes ignored = { 0 }; /* nobody listens yet */
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = making_fail(&t, image, CUT_OFF, &ignored);
        return r < 0 ? r : db_commit(&t);
}

struct sweep {
        struct model *m;
        struct blobstore *bs;
        uint64_t store;
        bool goes_on;
};

static bool is_open(struct uploads *us, const char *name)
{
        LOCK_SCOPE(&us->mutex);

        for (const struct upload *u = us->open; u; u = u->next)
                if (strcmp(u->name, name) == 0)
                        return true;
        return false;
}

/* Removes a file that nobody writes, no import is going to read, and no fetch to go on with. */
static int sweep_file(void *ctx, const char *name)
{
        const struct sweep *sweep = ctx;
        const char *device = strchr(name, '.');
        char ident[IDENT_MAX];
        int64_t wanted;
        int r;

        if (is_open(sweep->m->uploads, name) || (sweep->goes_on && draft_is_noted(blobstore_incoming_dir(sweep->bs), name)))
                return 0;
        (void)snprintf(ident, sizeof(ident), "%.*s", (int)strcspn(name, "."), name);

        {
                DB_TXN(t);

                r = db_begin(sweep->m->db, DB_READ, &t);
                if (r < 0)
                        return r;

                if (device) /* of vdb.part there is none */
                        r = db_int(&t, upload_resume_sql[RESUME_DISK_IS_WANTED], &wanted, DB_TEXT(ident),
                                   DB_INT(sweep->store), DB_INT(sweep->m->place), DB_TEXT(device + 1));
                else
                        r = db_int(&t, upload_resume_sql[RESUME_IS_PENDING], &wanted, DB_TEXT(ident),
                                   DB_INT(sweep->store), DB_INT(sweep->m->place));
                if (r < 0)
                        return r;
        }

        if (!wanted)
                (void)unlinkat(blobstore_incoming_dir(sweep->bs), name, 0); /* the next start tries again */
        return 0;
}

static int sweep_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct sweep *sweep = ctx;

        sweep->bs = bs;
        sweep->store = id;
        if (!stores_are_ours(sweep->m, id))
                return 0;
        return incoming_each(bs, sweep_file, sweep);
}

int uploads_recover(struct model *m, bool goes_on)
{
        int r = 0;

        if (goes_on)
                r = each_cut_off(m, wait_for_writer);
        /* Before the rest, since recording needs space. */
        if (r == 0)
                r = stores_each(m, sweep_store, &(struct sweep){ .m = m, .goes_on = goes_on });
        return r < 0 ? r : each_cut_off(m, fail);
}
