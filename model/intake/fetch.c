/* SPDX-License-Identifier: MIT */
/*
 * A fetch is a row, a task and the file of an upload (incoming.c).
 *
 *      queued ──import-url──► uploading ──all there, checksum right──► pending, with an import task
 *                   ▲             └── given up, refused, cancelled ──► error
 *                   └──────────────────── again, or another address ───────┘
 *
 * The row knows the address, login and all, sealed (secret.h): it has to be shown to the server again after a restart,
 * and so cannot be kept as a hash. It goes when the image has its bytes, or goes itself: what has failed, the import of
 * the file too, can be tried again. It also says what the bytes in the file are: those of one version of the server's
 * file, from its start. A new version empties the file before the row says so, and bytes are written after that, so that
 * the two never disagree in a way that matters. After a restart all of the file is believed if its machine and mount are
 * the same, since then the page cache is; otherwise what had been synced, which is noted every so many bytes.
 *
 * What came before a transfer failed stays in the file, and trying again goes on from there as after a restart, until
 * the image is removed. What cannot be gone on with (a checksum that is wrong, or no room) is dropped.
 *
 * Tries that bring nothing new are few, and each waits longer than the one before.
 *
 * Here is the transfer; the row is fetch_row.c's, and what is written to import-url is accepted in fetch_accept.c.
 */

#include "model/intake/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/import/file_sum.h"
#include "model/core/place.h"
#include "model/core/room.h"
#include "model/core/secret.h"
#include "model/image/making.h"
#include "model/intake/fetch_row.h"
#include "model/intake/fetch_task.h"
#include "model/intake/incoming.h"
#include "model/intake/pull.h"
#include "model/intake/upload_state.h"

#define STALL_S 60

/* Tries without something new, and how much of it is needed to begin counting again. */
#define TRIES_MAX  6
#define NEWS_BYTES (UINT64_C(1) << 20)

/* What a power cut may cost. */
#define SYNC_BYTES (UINT64_C(64) << 20)

#define CANCELLED "the import was cancelled: write `again` to import-url, or remove the image"

struct fetch {
        struct job *job;
        struct image image;
        uint64_t store;
        struct blobstore *bs;
        struct fetch_row row;
        struct url url;
        struct file_sum sum;
        int fd;
        char place[INCOMING_TOKEN_MAX];
        uint64_t have_bytes; /* that are in the file, from its start */
};

static int load_fetch(struct job *job, struct fetch *f)
{
        int r;
        DB_TXN(t);

        r = db_begin(job->m->db, DB_READ, &t);
        if (r < 0)
                return r;

        r = image_load_with_store(&t, job->task.image, &f->image, &f->store);
        if (r < 0)
                return r;

        r = fetch_row_load(job->m, &t, job->task.image, &f->row);
        if (r == -EKEYREJECTED) {
                strbuf_add(&job->reason, "the address was sealed with a key that this library has lost (its file "
                                         SECRET_FILE "): make another image, and write the address again");
                return -EPROTO;
        }
        if (r < 0)
                return r;

        r = url_parse(f->row.url, &f->url, NULL);
        if (r == 0 && f->row.sum[0])
                r = file_sum_parse(f->row.sum, &f->sum);
        return r;
}

/* It may have been begun on another host: what came there is of no use here, where it comes anew. */
static int note_place(struct fetch *f, struct db_txn *t)
{
        const uint64_t id = f->image.o.id, here = place_of_store(f->job->m, f->store);
        uint64_t place;
        int r;

        r = place_of_image(t, id, &place);
        return r < 0 || place == here ? r : place_set_of_image(t, id, here);
}

/* The image may have been removed meanwhile: then there is no row. */
static int update_row(struct fetch *f, const struct pull_version *v, uint64_t safe_bytes)
{
        const uint64_t id = f->image.o.id;
        int r;
        DB_TXN(t);

        r = db_begin(f->job->m->db, DB_WRITE, &t);
        if (r < 0)
                return r;

        r = v ? note_place(f, &t) : 0;
        if (r == 0)
                r = v ? fetch_row_begin(&t, id, v, f->place, safe_bytes) : fetch_row_safe(&t, id, safe_bytes);
        if (r < 0)
                return r == -ENOENT ? -ECANCELED : r;

        return db_commit(&t);
}

static int empty_file(struct fetch *f)
{
        if (ftruncate(f->fd, 0) < 0)
                return -errno;

        f->have_bytes = 0;
        f->row.safe_bytes = 0;
        return 0;
}

/* Finds out how much of the file can be believed. */
static int open_file(struct fetch *f)
{
        struct stat st;
        int r;

        r = stores_get(f->job->m, f->store, NULL, &f->bs);
        if (r < 0)
                return r;

        f->fd = incoming_open(f->job->m, f->store, f->image.ident, O_RDWR | O_CREAT);
        if (f->fd < 0)
                return f->fd;

        r = incoming_place(f->fd, f->place, sizeof(f->place));
        if (r < 0)
                return r;
        if (fstat(f->fd, &st) < 0)
                return -errno;

        f->have_bytes = (uint64_t)st.st_size;
        if (strcmp(f->place, f->row.place) != 0 && f->have_bytes > f->row.safe_bytes)
                f->have_bytes = f->row.safe_bytes;
        return ftruncate(f->fd, (off_t)f->have_bytes) < 0 ? -errno : 0;
}

/* Could another file be told from the one whose bytes are there? */
static bool can_go_on(const struct fetch *f)
{
        return f->row.version.etag[0] || f->row.version.modified[0] || f->row.sum[0];
}

static int make_safe(struct fetch *f)
{
        int r;

        if (fdatasync(f->fd) < 0)
                return -errno;

        r = update_row(f, NULL, f->have_bytes);
        if (r < 0)
                return r;

        f->row.safe_bytes = f->have_bytes;
        return 0;
}

static int check_room(struct fetch *f, uint64_t more_bytes)
{
        int r;

        r = room_check(f->bs, more_bytes, ROOM_LEFT_BY_UPLOADS);
        if (r == -ENOSPC)
                strbuf_add(&f->job->reason,
                           "the store's disk has not enough room for the file: delete something, or have it enlarged");
        return r;
}

static int on_begin(void *ctx, uint64_t off, const struct pull_version *v)
{
        struct fetch *f = ctx;
        int r;

        r = off == 0 ? empty_file(f) : 0;
        if (r < 0)
                return r;

        r = check_room(f, v->size == PULL_SIZE_UNKNOWN ? 0 : v->size - off);
        if (r < 0)
                return r;

        /* What goes on keeps what was known of it: a reply may say less. */
        if (off == 0)
                f->row.version = *v;
        else if (v->size != PULL_SIZE_UNKNOWN)
                f->row.version.size = v->size;

        r = fsync_dir(blobstore_incoming_dir(f->bs));
        if (r < 0)
                return r;

        return update_row(f, &f->row.version, f->row.safe_bytes);
}

static int on_poll(void *ctx)
{
        const struct fetch *f = ctx;
        const uint64_t size = f->row.version.size;

        return job_progress(f->job, f->have_bytes, size == PULL_SIZE_UNKNOWN ? 0 : size);
}

static int on_write(void *ctx, const void *bytes, size_t n)
{
        struct fetch *f = ctx;
        int r;

        r = pwrite_full(f->fd, bytes, n, f->have_bytes);
        if (r < 0)
                return r;
        f->have_bytes += n;

        if (f->have_bytes - f->row.safe_bytes < SYNC_BYTES)
                return 0;

        r = check_room(f, SYNC_BYTES);
        if (r < 0)
                return r;

        return make_safe(f);
}

static int try_once(struct fetch *f)
{
        struct pull pull = {
                .url = &f->url,
                .has_sum = f->row.sum[0] != '\0',
                .reach_private = f->row.reach_private,
                .stall_s = STALL_S,
                .version = f->row.version,
                .begin = on_begin,
                .write = on_write,
                .poll = on_poll,
                .ctx = f,
        };

        if (can_go_on(f))
                pull.have = f->have_bytes;
        if (pull.have > 0 && pull.have == f->row.version.size)
                return 0; /* only the end was not recorded */

        strbuf_reset(&f->job->reason);
        return pull_run(&pull, &f->job->reason);
}

/* Until all is there. */
static int fetch_all(struct fetch *f)
{
        uint64_t most_bytes = f->have_bytes;
        unsigned tries = 0;
        int r;

        for (;;) {
                r = try_once(f);
                if (r != -EAGAIN && r != -ESTALE)
                        return r;

                if (f->have_bytes >= most_bytes + NEWS_BYTES) {
                        most_bytes = f->have_bytes;
                        tries = 0;
                }
                if (++tries == TRIES_MAX) {
                        if (r == -ESTALE)
                                strbuf_add(&f->job->reason,
                                           "the file changes on the server faster than it can be fetched");
                        else
                                strbuf_addf(&f->job->reason, " (tried %d times)", TRIES_MAX);
                        return -EPROTO;
                }

                if (r == -ESTALE) {
                        r = empty_file(f);
                        if (r < 0)
                                return r;
                }

                r = job_pause(f->job, 1u << (tries - 1));
                if (r < 0)
                        return r;
        }
}

static int check_sum(struct fetch *f)
{
        char wanted[FILE_SUM_TEXT_MAX], found[FILE_SUM_TEXT_MAX];
        struct file_sum sum;
        int r;

        if (!f->row.sum[0])
                return 0;

        r = file_sum_of(f->fd, f->sum.kind, on_poll, f, &sum);
        if (r < 0 || file_sum_equal(&sum, &f->sum))
                return r;

        file_sum_print(&f->sum, wanted, sizeof(wanted));
        file_sum_print(&sum, found, sizeof(found));
        strbuf_addf(&f->job->reason,
                    "the file has %s, but was to have %s: it is another one, or was changed on its way", found, wanted);
        return -EPROTO;
}

/* All is there: the rest is an import's. */
static int hand_over(struct fetch *f)
{
        struct changes changes = { 0 };
        char token[INCOMING_TOKEN_MAX];
        struct image image;
        uint64_t task;
        int r;

        r = incoming_sync(f->fd, token, sizeof(token));
        if (r < 0)
                return r;

        {
                DB_TXN(t);

                r = job_finish(f->job, &t);
                if (r < 0)
                        return r;

                r = image_load(&t, f->image.o.id, &image);
                if (r < 0)
                        return r;

                r = upload_accept_import(&t, &image, token, &changes, &task);
                if (r < 0)
                        return r;

                r = fetch_row_reset(&t, image.o.id);
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        changes_tell(f->job->m, &changes);
        return 0;
}

/* Of a file that is wrong, or has no room: fetch_clear() removes it then. */
static void give_up(struct fetch *f)
{
        DB_TXN(t);

        /* Where that cannot be noted, the next try finds what is there, and judges it again. */
        if (db_begin(f->job->m->db, DB_WRITE, &t) == 0 && fetch_row_reset(&t, f->image.o.id) == 0)
                (void)db_commit(&t);
}

static void fetch_done(struct fetch *f)
{
        cleanup_close(&f->fd);
}

int fetch_run(struct job *job)
{
        CLEANUP(fetch_done) struct fetch f = { .job = job, .fd = -1 };
        int r;

        r = load_fetch(job, &f);
        if (r < 0)
                return r;

        r = open_file(&f);
        if (r == 0)
                r = fetch_all(&f);
        if (r == 0) {
                r = check_sum(&f);
                if (r == -EPROTO)
                        give_up(&f);
        }
        if (r == 0)
                r = hand_over(&f);
        if (r == -ENOSPC)
                give_up(&f);

        /* Stopped, or cancelled: whoever did that may have been there before the file was. */
        if (r == -ECANCELED && f.fd >= 0 && make_safe(&f) == -ECANCELED)
                incoming_discard(job->m, f.store, f.image.ident);
        return r;
}

/* Is the file of use: to another try, or with BEGUN to one that may come? */
static bool is_wanted(struct model *m, const struct task *task, bool begun)
{
        struct fetch_row row;
        struct task active;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return false;

        if (task_active_of_image(&t, task->image, &active) == 0 && active.o.id != task->o.id)
                return true;
        if (begun && fetch_row_find(&t, task->image, &row) == 0 && row.place[0])
                return true;
        db_end(&t);
        return db_settle(m->db) < 0; /* what says that it is not may be undone yet */
}

static void discard(struct model *m, const struct task *task, bool begun)
{
        LOCK_SCOPE(uploads_mutex(m)); /* nobody tries again meanwhile */

        if (!is_wanted(m, task, begun))
                incoming_discard_in(m, task->region, task->image_ident);
}

void fetch_discard(struct model *m, const struct task *task)
{
        discard(m, task, false);
}

void fetch_clear(struct model *m, const struct task *task)
{
        discard(m, task, true);
}

int fetch_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch)
{
        return making_fail(t, task->image, sentence ? sentence : CANCELLED, ch);
}
