/* SPDX-License-Identifier: MIT */
/*
 * Import: the file of an upload becomes the image's disks. What is compressed or an archive is taken apart first; each
 * disk is read as what it is (blobstore/import/source.h), written as a blob, and one transaction names the blobs and
 * makes the image available. Until that commit nothing refers to the bytes; after a crash the work begins again at the
 * start of the file, and finds the chunks that it had stored. Further disks of an archive are charged when they are
 * found, before a byte of them is stored.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "blobstore/base/lock.h"
#include "model/core/room.h"
#include "model/core/user_name.h"
#include "model/image/guest_system.h"
#include "model/image/making.h"
#include "model/intake/data_disk_row.h"
#include "model/intake/fetch_task.h"
#include "model/intake/incoming.h"
#include "model/intake/upload_state.h"
#include "model/intake/uploads.h"
#include "model/work/task_kinds.h"

#define CANCELLED "the import was cancelled: remove the image, or upload it again as another one"
#define NOT_SAFE  "the machine stopped before the upload was safe on disk: remove the image and upload it again"

static_assert(IMAGE_DISKS_MAX <= DISKS_MAX, "an archive's disks have their devices");

struct import {
        struct image image;
        struct disk_list disks;
        uint64_t store;
        char token[TASK_DETAIL_MAX];
        struct image_probe probe; /* of the file */
        struct image_pack pack; /* what was in it, where it is packed */
        struct {
                int fd; /* borrowed from the pack, or the file itself; of a data disk its own */
                bool is_own;
                struct image_probe probe;
                struct blob *blob; /* durable, but named by nothing yet */
        } source[IMAGE_DISKS_MAX];
        size_t n; /* of the sources */
        uint64_t done_bytes, total_bytes;
        struct inside_system system; /* that is installed on the first disk */
};

static void import_done(struct import *import)
{
        for (size_t i = 0; i < import->n; i++) {
                blob_close(import->source[i].blob);
                if (import->source[i].is_own)
                        cleanup_close(&import->source[i].fd);
        }
        image_pack_done(&import->pack);
}

static int load_import(struct job *job, struct import *ret)
{
        int r;
        DB_TXN(t);

        r = db_begin(job->m->db, DB_READ, &t);
        if (r < 0)
                return r;

        r = image_load_with_store(&t, job->task.image, &ret->image, &ret->store);
        if (r < 0)
                return r;

        r = disk_list_load(&t, job->task.image, &ret->disks);
        if (r < 0)
                return r;
        if (ret->disks.n == 0)
                return -EBADMSG;

        return task_load_detail(&t, job->task.o.id, ret->token, sizeof(ret->token));
}

/* After a restart: is the file still what was uploaded? */
static int check_token(struct job *job, const struct import *import, int fd)
{
        if (incoming_is_intact(fd, import->token))
                return 0;

        strbuf_add(&job->reason, NOT_SAFE);
        return -ESTALE;
}

static int may_go_on(void *ctx)
{
        return job_progress(ctx, 0, 0);
}

/* What was streamed comes into the file first, which can be believed in after a restart from then on. */
static int settle_file(struct job *job, const struct import *import, int fd)
{
        char token[INCOMING_TOKEN_MAX];
        int r;
        DB_TXN(t);

        r = uploads_settle_file(job->m, import->image.o.id, may_go_on, job);
        if (r <= 0)
                return r;

        r = incoming_token(fd, token, sizeof(token));
        if (r < 0)
                return 0; /* as without it */

        r = db_begin(job->m->db, DB_WRITE, &t);
        if (r == 0)
                r = task_set_detail(&t, job->task.o.id, token);
        return r < 0 ? r : db_commit(&t);
}

/* ---- what is in the file ---- */

struct unpacking {
        struct job *job;
        struct blobstore *bs;
};

static int note_unpacking(void *ctx)
{
        const struct unpacking *u = ctx;
        int r;

        r = room_check(u->bs, 0, ROOM_LEFT_BY_UPLOADS);
        if (r < 0)
                return r;

        return job_progress(u->job, 0, 0);
}

static int unpack(struct job *job, struct import *import, int fd)
{
        struct unpacking u = { .job = job };
        int r;

        r = stores_get(job->m, import->store, NULL, &u.bs);
        if (r < 0)
                return r;

        return image_unpack(fd, &import->probe, blobstore_incoming_dir(u.bs), note_unpacking, &u, &import->pack,
                            &job->reason);
}

/* What may be inside: in a compressed file a raw disk or a qcow2, in a machine any disk. */
static int judge_unpacked(const struct image_probe *outer, const struct image_probe *inner, struct strbuf *reason)
{
        const bool machine = outer->packing == IMAGE_PACKING_OVA;

        if (!inner->packing && inner->format != IMAGE_FORMAT_ISO &&
            (machine || inner->format == IMAGE_FORMAT_RAW || inner->format == IMAGE_FORMAT_QCOW2))
                return 0;

        strbuf_add(reason, machine ? "a disk in this OVA is no disk image"
                                   : "what is compressed here is neither a raw disk nor a qcow2: unpack it first");
        return -EINVAL;
}

/*
 * Those that were uploaded (data_disk.h), in the order of their devices. A disk without a file came out of the archive,
 * at the first try.
 */
static int find_data_disks(struct job *job, struct import *import)
{
        char name[INCOMING_NAME_MAX];
        size_t without = 0;
        int r, fd;

        for (size_t i = 0; i < import->disks.n; i++) {
                const struct disk_ref *disk = &import->disks.disk[i];

                if (disk->system)
                        continue;
                incoming_disk_name(import->image.ident, disk->device, false, name);
                fd = incoming_open(job->m, import->store, name, O_RDONLY);
                if (fd < 0 && fd != -ENOENT)
                        return fd;
                without += fd < 0;
                if (fd < 0)
                        continue;
                if (import->probe.packing == IMAGE_PACKING_OVA || import->n == IMAGE_DISKS_MAX) {
                        (void)close(fd);
                        strbuf_addf(&job->reason, "an OVA brings its own data disks: import it without disks/%s",
                                    disk->device);
                        return -EINVAL;
                }
                import->source[import->n].fd = fd;
                import->source[import->n].is_own = true;
                r = data_disk_probe(fd, &import->source[import->n++].probe, &job->reason);
                if (r < 0)
                        return r;
        }
        if (import->n > 1 && without > 0 && import->probe.packing != IMAGE_PACKING_OVA) {
                strbuf_add(&job->reason, NOT_SAFE);
                return -ESTALE;
        }
        return 0;
}

static int find_sources(struct job *job, struct import *import, int fd)
{
        int r;

        import->source[0].fd = fd;
        import->source[0].probe = import->probe;
        import->n = 1;

        if (import->probe.packing) {
                r = unpack(job, import, fd);
                if (r < 0)
                        return r;

                import->n = import->pack.n_disks;
        }

        for (size_t i = 0; i < import->pack.n_disks; i++) {
                const enum image_format wanted =
                        import->probe.packing == IMAGE_PACKING_OVA ? IMAGE_FORMAT_AUTO : import->probe.format;

                import->source[i].fd = import->pack.disk_fd[i];

                r = image_probe(import->source[i].fd, wanted, &import->source[i].probe, &job->reason);
                if (r == 0)
                        r = image_check_end(&import->source[i].probe, import->source[i].probe.size_bytes, &job->reason);
                if (r < 0)
                        return r;

                r = judge_unpacked(&import->probe, &import->source[i].probe, &job->reason);
                if (r < 0)
                        return r;
        }

        r = find_data_disks(job, import);
        if (r < 0)
                return r;

        for (size_t i = 0; i < import->n; i++)
                import->total_bytes += import->source[i].probe.size_bytes;
        return 0;
}

/* The image has its first disk from the start, and after a crash perhaps all of them. */
static int charge_disks(struct job *job, struct import *import)
{
        struct changes changes = { 0 };
        struct diag diag = { 0 };
        int r;

        if (import->n == import->disks.n)
                return 0;
        if (import->n < import->disks.n)
                return -EBADMSG;

        {
                DB_TXN(t);

                r = db_begin(job->m->db, DB_WRITE, &t);
                if (r < 0)
                        return r;

                r = making_add_disks(&t, &import->image, import->disks.n, import->n, &changes, &diag);
                if (r < 0) {
                        db_end(&t); /* to look a name up may take long */
                        user_name_in(job->m, &diag);
                        strbuf_add(&job->reason, diag.text);
                        return r;
                }

                r = disk_list_load(&t, job->task.image, &import->disks);
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        changes_tell(job->m, &changes);
        return 0;
}

/* ---- the bytes ---- */

/* Reads a disk from its start to its end into the writer; notes what its first bytes say. */
static int carry(struct job *job, struct import *import, struct blobstore *bs, struct image_source *source,
                 struct image_probe *probe, struct blob_writer *writer)
{
        uint64_t at = 0, len;
        const void *buf;
        int r;

        for (;;) {
                r = job_progress(job, import->done_bytes + at, import->total_bytes);
                if (r < 0)
                        return r;

                r = image_source_next(source, &buf, &len, &job->reason);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;

                if (at == 0 && buf && image_is_encrypted(buf, len))
                        probe->encrypted = true;

                r = room_check(bs, buf ? len : 0, ROOM_LEFT_BY_TASKS);
                if (r < 0)
                        return r;

                r = buf ? blob_writer_append(writer, buf, len) : blob_writer_hole(writer, len);
                if (r < 0)
                        return r;

                at += len;
        }

        import->done_bytes += at;
        return 0;
}

DEFINE_CLEANUP(struct image_source *, image_source_closep, image_source_close)
DEFINE_CLEANUP(struct blob_writer *, blob_writer_freep, blob_writer_free)

static int store_disk(struct job *job, struct import *import, size_t i)
{
        CLEANUP(image_source_closep) struct image_source *source = NULL;
        CLEANUP(blob_writer_freep) struct blob_writer *writer = NULL;
        struct image_probe *probe = &import->source[i].probe;
        struct blobstore *bs;
        int r;

        r = stores_get(job->m, import->store, NULL, &bs);
        if (r < 0)
                return r;

        r = image_source_open(import->source[i].fd, probe, &source, &job->reason);
        if (r < 0)
                return r;

        r = blob_writer_new(bs, &writer);
        if (r < 0)
                return r;

        r = carry(job, import, bs, source, probe, writer);
        if (r < 0)
                return r;

        return blob_writer_commit(writer, &import->source[i].blob);
}

static int is_wanted(void *ctx)
{
        return job_must_stop(ctx) ? -ECANCELED : 0;
}

/* A CD holds what it would install. */
static int look_inside(struct job *job, struct import *import)
{
        const struct guest_look look = { .m = job->m, .uid = import->image.o.uid, .go_on = is_wanted, .ctx = job };

        if (import->source[0].probe.format == IMAGE_FORMAT_ISO || !guest_system_is_wanted(&import->image))
                return 0;
        return guest_system_find(import->source[0].blob, &look, &import->system);
}

static int finish(struct job *job, const struct import *import)
{
        struct changes changes = { 0 };
        const struct image_pack *pack = &import->pack;
        const uint64_t id = job->task.image;
        const enum image_format format =
                import->probe.packing == IMAGE_PACKING_OVA ? IMAGE_FORMAT_OVA : import->source[0].probe.format;
        bool encrypted = false;
        struct image image;
        int r;
        DB_TXN(t);

        r = job_finish(job, &t);
        if (r < 0)
                return r;

        for (size_t i = 0; i < import->n; i++) {
                r = making_fill_disk(&t, &import->disks.disk[i], import->store, import->source[i].blob, &changes);
                if (r < 0)
                        return r;

                encrypted |= import->source[i].probe.encrypted;
        }

        r = image_set_found(&t, id, image_format_name(format), encrypted);
        if (r < 0)
                return r;

        r = incoming_warn(&t, id, &import->source[0].probe, import->source[0].probe.size_bytes);
        if (r < 0)
                return r;

        r = image_set_system(&t, id, &import->system);
        if (r < 0)
                return r;

        r = image_set_hints(&t, id, pack->os, pack->platform, pack->description);
        if (r < 0)
                return r;

        r = image_load(&t, id, &image);
        if (r < 0)
                return r;

        r = image_life_apply(&t, &image, VERB_FINISH, NULL);
        if (r < 0)
                return r;

        r = fetch_forget(&t, id);
        if (r < 0)
                return r;

        r = db_commit(&t);
        if (r < 0)
                return r;

        changes_tell(job->m, &changes);
        return 0;
}

static int import_file(struct job *job, struct import *import, int fd)
{
        int r;

        r = incoming_probe(&import->image, fd, 0, 0, &import->probe, &job->reason);
        if (r < 0)
                return r;

        r = find_sources(job, import, fd);
        if (r < 0)
                return r;

        r = charge_disks(job, import);
        if (r < 0)
                return r;

        for (size_t i = 0; i < import->n; i++) {
                r = store_disk(job, import, i);
                if (r < 0)
                        return r;
        }

        r = look_inside(job, import);
        return r < 0 ? r : finish(job, import);
}

int import_run(struct job *job)
{
        CLEANUP(import_done) struct import import = { 0 };
        CLEANUP_CLOSE int fd = -1;
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

        r = settle_file(job, &import, fd);
        if (r == 0)
                r = import_file(job, &import, fd);
        if (r < 0)
                return r;

        incoming_discard(job->m, import.store, import.image.ident);
        incoming_discard_disks(job->m, import.store, import.image.ident);
        return 0;
}

int import_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch)
{
        return making_fail(t, task->image, sentence ? sentence : CANCELLED, ch);
}

void import_clear(struct model *m, const struct task *task)
{
        uploads_drop_file(m, task->image);
        fetch_discard(m, task);

        LOCK_SCOPE(uploads_mutex(m));

        data_disks_clear(m, task->image);
}
