/* SPDX-License-Identifier: MIT */
/*
 * Import: the file of an upload becomes the image's disk. The file is read as what it is (formats/source.h), written
 * as a blob, and one transaction names the blob and makes the image available. Until that commit nothing refers to
 * the bytes; after a crash the work begins again at the start of the file, and finds the chunks that it had stored.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "blobstore/formats/source.h"
#include "model/incoming.h"
#include "model/runner.h"

#define CANCELLED "the import was cancelled: remove the image, or upload it again as another one"
#define NOT_SAFE  "the machine stopped before the upload was safe on disk: remove the image and upload it again"

struct import {
        struct image image;
        struct disk_ref disk;
        uint64_t store;
        char token[TASK_DETAIL_MAX];
};

static int load_import(struct job *job, struct import *ret)
{
        struct disk_list disks;
        struct region region;
        int r;
        DB_TXN(t);

        r = db_begin(job->m->db, DB_READ, &t);
        if (r < 0)
                return r;

        r = image_load(&t, job->task.image, &ret->image);
        if (r < 0)
                return r;

        r = region_load(&t, ret->image.region, &region);
        if (r < 0)
                return r;

        r = disk_list_load(&t, job->task.image, &disks);
        if (r < 0)
                return r;
        if (disks.n != 1)
                return -EBADMSG;

        ret->store = region.store;
        ret->disk = disks.disk[0];
        return task_load_detail(&t, job->task.o.id, ret->token, sizeof(ret->token));
}

/* After a restart: is the file still what was uploaded? */
static int check_token(struct job *job, const struct import *import, int fd)
{
        char token[TASK_DETAIL_MAX];
        int r;

        r = incoming_token(fd, token, sizeof(token));
        if (r == 0 && import->token[0] != '\0' && strcmp(token, import->token) == 0)
                return 0;

        strbuf_add(&job->reason, NOT_SAFE);
        return -ESTALE;
}

/* Reads the image from its start to its end into the writer; notes what its first bytes say. */
static int carry(struct job *job, struct image_source *source, struct image_probe *probe, struct blob_writer *writer)
{
        uint64_t done_bytes = 0, len;
        const void *buf;
        int r;

        for (;;) {
                r = job_progress(job, done_bytes, probe->size_bytes);
                if (r < 0)
                        return r;

                r = image_source_next(source, &buf, &len, &job->reason);
                if (r <= 0)
                        return r;

                if (done_bytes == 0 && buf && image_is_encrypted(buf, len))
                        probe->encrypted = true;

                r = buf ? blob_writer_append(writer, buf, len) : blob_writer_hole(writer, len);
                if (r < 0)
                        return r;

                done_bytes += len;
        }
}

DEFINE_CLEANUP(struct image_source *, image_source_closep, image_source_close)
DEFINE_CLEANUP(struct blob_writer *, blob_writer_freep, blob_writer_free)
DEFINE_CLEANUP(struct blob *, blob_closep, blob_close)

/* The bytes, durable but named by nothing yet. */
static int store_image(struct job *job, const struct import *import, int fd, struct image_probe *probe,
                       struct blob **ret)
{
        CLEANUP(image_source_closep) struct image_source *source = NULL;
        CLEANUP(blob_writer_freep) struct blob_writer *writer = NULL;
        struct blobstore *bs;
        int r;

        r = stores_get(job->m, import->store, &bs);
        if (r < 0)
                return r;

        r = image_source_open(fd, probe, &source, &job->reason);
        if (r < 0)
                return r;

        r = blob_writer_new(bs, &writer);
        if (r < 0)
                return r;

        r = carry(job, source, probe, writer);
        if (r < 0)
                return r;

        return blob_writer_commit(writer, ret);
}

static int finish(struct job *job, const struct import *import, const struct image_probe *probe,
                  const struct blob *blob)
{
        const uint64_t id = job->task.image;
        struct image image;
        uint64_t row;
        int r;
        DB_TXN(t);

        r = job_finish(job, &t);
        if (r < 0)
                return r;

        r = blob_row_insert(&t, import->store, blob, &row);
        if (r < 0)
                return r;

        if (import->disk.snapshot)
                r = snapshot_set_blob(&t, import->disk.snapshot, row);
        else
                r = image_disk_set(&t, import->disk.id, 0, row);
        if (r < 0)
                return r;

        r = image_set_found(&t, id, image_format_name(probe->format), probe->encrypted);
        if (r < 0)
                return r;

        r = image_load(&t, id, &image);
        if (r < 0)
                return r;

        r = lifecycle_apply(&t, &image, VERB_FINISH, NULL);
        if (r < 0)
                return r;

        return db_commit(&t);
}

int import_run(struct job *job)
{
        CLEANUP(blob_closep) struct blob *blob = NULL;
        CLEANUP_CLOSE int fd = -1;
        struct image_probe probe;
        struct import import;
        int r;

        r = load_import(job, &import);
        if (r < 0)
                return r;

        fd = incoming_open(job->m, import.store, import.image.ident, O_RDONLY);
        if (fd == -ENOENT)
                strbuf_add(&job->reason, NOT_SAFE);
        if (fd < 0)
                return fd;

        if (job->inherited) {
                r = check_token(job, &import, fd);
                if (r < 0)
                        return r;
        }

        r = work_probe(&import.image, fd, &probe, &job->reason);
        if (r < 0)
                return r;

        r = store_image(job, &import, fd, &probe, &blob);
        if (r < 0)
                return r;

        r = finish(job, &import, &probe, blob);
        if (r < 0)
                return r;

        if (import.disk.snapshot)
                model_changed(job->m, OBJECT_SNAPSHOT, import.disk.snapshot);
        incoming_discard(job->m, import.store, import.image.ident);
        return 0;
}

int import_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch)
{
        return work_fail_image(t, task->image, sentence ? sentence : CANCELLED, ch);
}

void import_clear(struct model *m, const struct task *task)
{
        struct region region;

        if (region_get(m, task->region, &region) == 0) /* else the next start removes it */
                incoming_discard(m, region.store, task->image_ident);
}
