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
 * the file too, can be tried again. It also says what the bytes in the
 * file are: those of one version of the server's file, from its start. A new version empties the file before the row
 * says so, and bytes are written after that, so that the two never disagree in a way that matters. After a restart all
 * of the file is believed if its machine and mount are the same, since then the page cache is; otherwise what had been
 * synced, which is noted every so many bytes.
 *
 * What came before a transfer failed stays in the file, and trying again goes on from there as after a restart, until
 * the image is removed. What cannot be gone on with (a checksum that is wrong, or no room) is dropped.
 *
 * Tries that bring nothing new are few, and each waits longer than the one before.
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
#include "model/core/region_row.h"
#include "model/core/room.h"
#include "model/core/secret.h"
#include "model/image/making.h"
#include "model/intake/data_disk_row.h"
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

#define AGAIN "again"

enum {
        FETCH_INSERT,
        FETCH_GET,
        FETCH_BEGIN,
        FETCH_SAFE,
        FETCH_RESET,
        FETCH_DELETE,
        FETCH_OPEN,
        FETCH_SEAL,
};

static const char *const fetch_sql[] = {
        [FETCH_INSERT] = "INSERT INTO fetch (image, url, sum, private) VALUES (?1, ?2, ?3, ?4)",
        [FETCH_GET] = "SELECT url, sum, private, etag, modified, size, place, safe FROM fetch WHERE image = ?1",
        [FETCH_BEGIN] = "UPDATE fetch SET etag = ?2, modified = ?3, size = ?4, place = ?5, safe = ?6 WHERE image = ?1",
        [FETCH_SAFE] = "UPDATE fetch SET safe = ?2 WHERE image = ?1",
        [FETCH_RESET] = "UPDATE fetch SET etag = '', modified = '', size = -1, place = '', safe = 0 WHERE image = ?1",
        [FETCH_OPEN] = "SELECT image, url FROM fetch WHERE url NOT LIKE 'sealed:%' LIMIT 1",
        [FETCH_SEAL] = "UPDATE fetch SET url = ?2 WHERE image = ?1",
        [FETCH_DELETE] = "DELETE FROM fetch WHERE image = ?1",
};

const struct db_statements fetch_statements = DB_STATEMENTS(fetch_sql);

struct fetch_row {
        char url[URL_MAX + 1];
        char sealed[SECRET_SEALED_SIZE(URL_MAX)];
        char sum[FILE_SUM_TEXT_MAX]; /* "" without one */
        bool reach_private;
        struct pull_version version;
        char place[INCOMING_TOKEN_MAX]; /* "" while nothing has come */
        uint64_t safe_bytes;
};

static int take_row(void *ctx, const struct db_row *row)
{
        struct fetch_row *f = ctx;

        db_row_text(row, 0, f->sealed, sizeof(f->sealed));
        db_row_text(row, 1, f->sum, sizeof(f->sum));
        f->reach_private = db_row_int(row, 2);
        db_row_text(row, 3, f->version.etag, sizeof(f->version.etag));
        db_row_text(row, 4, f->version.modified, sizeof(f->version.modified));
        f->version.size = db_row_int(row, 5) < 0 ? PULL_SIZE_UNKNOWN : (uint64_t)db_row_int(row, 5);
        db_row_text(row, 6, f->place, sizeof(f->place));
        f->safe_bytes = (uint64_t)db_row_int(row, 7);
        return 0;
}

/* ---- accepting ---- */

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
                return diag_set(diag, -EINVAL, "after the address there may be sha256=, md5= or xxh128= with all of "
                                               "its hex digits, and nothing else");
        if (*sum)
                file_sum_print(&parsed, row.sum, sizeof(row.sum));

        *ret = row;
        return 0;
}

static int load_fetch_row(struct model *m, struct db_txn *t, uint64_t image, struct fetch_row *ret)
{
        int r = db_one(t, fetch_sql[FETCH_GET], take_row, ret, DB_INT(image));

        return r < 0 ? r : secret_unseal(m, ret->sealed, ret->url, sizeof(ret->url));
}

/* What a failed import has left makes room for the next. ROW: of another address; NULL: the same one again. */
static int prepare_again(struct model *m, struct db_txn *t, const struct image *image, const struct fetch_row *row,
                         struct changes *ch, struct diag *diag)
{
        int r = 0;

        if (row)
                r = db_run(t, fetch_sql[FETCH_DELETE], DB_INT(image->o.id));
        if (r >= 0)
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
                r = db_one(t, fetch_sql[FETCH_GET], take_row, &before, DB_INT(image->o.id));
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

/* ROW as above. */
static int accept(struct model *m, const struct caller *c, uint64_t id, const struct fetch_row *row, struct changes *ch,
                  struct diag *diag)
{
        struct image image;
        uint64_t task;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_WRITE, &t);
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

        r = region_refuse_offline(m, &t, image.region, diag);
        if (r < 0)
                return r;

        if (row) {
                r = db_run(&t, fetch_sql[FETCH_INSERT], DB_INT(id), DB_TEXT(row->sealed), DB_TEXT(row->sum),
                           DB_INT(c->admin || m->import_private));
                if (r < 0)
                        return r;
        }

        r = task_submit(&t,
                        &(struct task_new){
                                .kind = image_life_task(VERB_FETCH),
                                .image = id,
                                .region = image.region,
                                .caller = &(struct caller){ .uid = image.o.uid, .gid = image.o.gid },
                        },
                        &task);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_TASK, task);
        changes_add(ch, OBJECT_IMAGE, id);
        return db_commit(&t);
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
        }

        {
                /* A writer that is opening the upload has its file already. */
                LOCK_SCOPE(uploads_mutex(m));

                r = accept(m, c, image, again ? NULL : &row, &changes, diag);
                if (r < 0)
                        return r;
        }

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

        return load_fetch_row(m, &t, image, ret);
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

/* ---- fetching ---- */

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

        r = load_fetch_row(job->m, &t, job->task.image, &f->row);
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

/* What is in the file is not to be gone on with. */
static int reset_row(struct db_txn *t, uint64_t image)
{
        int r = db_run(t, fetch_sql[FETCH_RESET], DB_INT(image));

        return r < 0 ? r : 0;
}

/* The image may have been removed meanwhile: then there is no row. */
static int update_row(struct fetch *f, const char *sql, const struct pull_version *v, uint64_t safe_bytes)
{
        const uint64_t id = f->image.o.id;
        int r;
        DB_TXN(t);

        r = db_begin(f->job->m->db, DB_WRITE, &t);
        if (r < 0)
                return r;

        if (v)
                r = db_run(&t, sql, DB_INT(id), DB_TEXT(v->etag), DB_TEXT(v->modified),
                           DB_INT(v->size == PULL_SIZE_UNKNOWN ? -1 : (int64_t)v->size), DB_TEXT(f->place),
                           DB_INT(safe_bytes));
        else
                r = db_run(&t, sql, DB_INT(id), DB_INT(safe_bytes));
        if (r < 0)
                return r;
        if (r == 0)
                return -ECANCELED;

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

        r = update_row(f, fetch_sql[FETCH_SAFE], NULL, f->have_bytes);
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

        return update_row(f, fetch_sql[FETCH_BEGIN], &f->row.version, f->row.safe_bytes);
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

                r = reset_row(&t, image.o.id);
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
        if (db_begin(f->job->m->db, DB_WRITE, &t) == 0 && reset_row(&t, f->image.o.id) == 0)
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

int fetch_forget(struct db_txn *t, uint64_t image)
{
        int r = db_run(t, fetch_sql[FETCH_DELETE], DB_INT(image));

        return r < 0 ? r : 0;
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
        if (begun && db_one(&t, fetch_sql[FETCH_GET], take_row, &row, DB_INT(task->image)) == 0 && row.place[0])
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

/* ---- at start ---- */

struct open_row {
        uint64_t image;
        char url[URL_MAX + 1];
};

static int take_open_row(void *ctx, const struct db_row *row)
{
        struct open_row *open = ctx;

        open->image = (uint64_t)db_row_int(row, 0);
        db_row_text(row, 1, open->url, sizeof(open->url));
        return 0;
}

static int seal_one(struct model *m)
{
        char sealed[SECRET_SEALED_SIZE(URL_MAX)];
        struct open_row open;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_WRITE, &t);
        if (r < 0)
                return r;

        r = db_one(&t, fetch_sql[FETCH_OPEN], take_open_row, &open);
        if (r < 0)
                return r;

        r = secret_seal(m, open.url, sealed, sizeof(sealed));
        if (r < 0)
                return r;

        r = db_run(&t, fetch_sql[FETCH_SEAL], DB_INT(open.image), DB_TEXT(sealed));
        return r < 0 ? r : db_commit(&t);
}

int fetch_recover(struct model *m)
{
        int r;

        do
                r = seal_one(m);
        while (r == 0);

        return r == -ENOENT ? 0 : r;
}
