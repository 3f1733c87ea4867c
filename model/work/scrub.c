/* SPDX-License-Identifier: MIT */

/*
 * Scrubbing (blobstore/blobs/scrub.h) in passes. One begins half of scrub-days after the one before began, and is to be
 * through in the other half; so nothing lies unread for longer than scrub-days, wherever in a pass it comes. That gives
 * the rate, which is not below 1 MiB/s, and somewhat higher where a daemon was away. A store that is new here waits for
 * a day: whoever mounts it wants something else first.
 *
 * How far a pass is goes into its row now and then and when it is stopped. What it finds goes there at once.
 */

#include "model/work/scrub.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/strbuf.h"
#include "blobstore/blobs/blob.h"
#include "blobstore/disks/disk.h"
#include "model/core/clock.h"
#include "model/core/jobs.h"
#include "model/core/limits.h"
#include "model/core/scrub_row.h"
#include "model/core/stores.h"
#include "model/core/whose.h"

_Static_assert(SCRUB_KEY_SIZE == DISK_ID_SIZE, "the key of a disk");

#define SECOND_US INT64_C(1000000)
#define DAY_US    (86400 * SECOND_US)
#define SAVE_US   (30 * SECOND_US)
/* What went wrong is tried again after this time. */
#define RETRY_US (3600 * SECOND_US)
#define RATE_MIN (UINT64_C(1) << 20)

/* ---- a pass ---- */

struct pass {
        struct model *m;
        uint64_t store;
        struct blobstore *bs;
        const struct scrub_how *how;
        struct scrub_row row;
        uint64_t left;    /* bytes, at its beginning */
        int64_t saved_us; /* when its row was last written */
        int error;        /* of noting what was found */

        /* What was found the last time: finding it goes through all blobs. */
        bool same_is_known;
        struct blob_id same_as;
        unsigned same_nth;
        struct scrub_same same;
};

static int pass_save(struct pass *p)
{
        DB_TXN(t);
        int r;

        r = db_begin_lazy(p->m->db, &t);
        if (r == 0)
                r = scrub_row_save(&t, p->store, &p->row.pos);
        if (r == 0)
                r = db_commit(&t);
        p->saved_us = clock_now_us();
        return r;
}

/* Loads the row, and begins a pass where none is under way. */
static int pass_begin(struct pass *p)
{
        DB_TXN(t);
        int r;

        r = db_begin(p->m->db, DB_WRITE, &t);
        if (r == 0)
                r = scrub_row_see(&t, p->store, clock_now_us());
        if (r == 0)
                r = scrub_row_load(&t, p->store, &p->row);
        if (r < 0 || p->row.began_us)
                return r < 0 ? r : db_commit(&t);
        p->row.began_us = clock_now_us();
        p->row.pos = (struct scrub_position){ 0 };
        r = scrub_row_begin(&t, p->store, p->row.began_us);
        return r < 0 ? r : db_commit(&t);
}

static int pass_end(struct pass *p)
{
        DB_TXN(t);
        int r;

        r = db_begin(p->m->db, DB_WRITE, &t);
        if (r == 0)
                r = scrub_row_end(&t, p->store, p->row.began_us, clock_now_us());
        return r < 0 ? r : db_commit(&t);
}

static int pass_pace(void *ctx, uint64_t n)
{
        struct pass *p = ctx;

        return p->error < 0 ? p->error : p->how->pace(p->how->ctx, n, p->left);
}

static int pass_reached(void *ctx, const struct scrub_position *pos)
{
        struct pass *p = ctx;
        int64_t now_us = clock_now_us();

        if (p->error < 0)
                return p->error;
        p->row.pos = *pos;
        return p->saved_us <= now_us && now_us < p->saved_us + SAVE_US ? 0 : pass_save(p);
}

/* ---- what it finds ---- */

struct found {
        struct pass *pass;
        const char *text;
};

static int tell_whose(void *ctx, const struct db_row *row)
{
        CLEANUP_STRBUF struct strbuf line = { 0 };
        const struct found *f = ctx;

        strbuf_addf(&line, "%s: %s", db_row_str(row, 0), f->text);
        if (strbuf_error(&line) == 0)
                f->pass->how->found(f->pass->how->ctx, strbuf_text(&line));
        return strbuf_error(&line);
}

static int note(struct pass *p, const struct blob_id *id, const char *text, uint64_t *ret_blob)
{
        DB_TXN(t);
        int r;

        r = db_begin(p->m->db, DB_WRITE, &t);
        if (r == 0)
                r = scrub_row_note(&t, p->store, id, text, p->row.began_us, ret_blob);
        return r < 0 ? r : db_commit(&t);
}

static int tell(struct pass *p, const struct blob_id *id, const char *text, uint64_t blob)
{
        struct found f = { .pass = p, .text = text };
        DB_TXN(t);
        int r;

        if (!id) {
                p->how->found(p->how->ctx, text);
                return 0;
        }
        r = db_begin(p->m->db, DB_READ, &t);
        return r < 0 ? r : whose_blob(&t, blob, tell_whose, &f);
}

static void pass_problem(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        struct pass *p = ctx;
        uint64_t blob = 0;
        int r;

        (void)kind; /* the text says it */
        r = note(p, id, text, &blob);
        if (r == 0 && p->how->found && (!id || blob))
                r = tell(p, id, text, blob);
        if (p->error == 0)
                p->error = r;
}

/* ---- healing: any store of the library may have the bytes; its own, too, of what was imported since ---- */

struct search {
        const struct chunk_name *name;
        void *buf;
        size_t n;
        bool found;
};

static int search_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct search *s = ctx;
        int r;

        (void)id;
        if (s->found)
                return 0;
        r = blob_find_chunk(bs, s->name, s->buf, s->n);
        s->found = r > 0;
        return r == -ENOMEM ? r : 0; /* what one store cannot do now keeps no other from it */
}

static int pass_find(void *ctx, const struct chunk_name *name, void *buf, size_t n)
{
        struct search s = { .name = name, .buf = buf, .n = n };
        const struct pass *p = ctx;
        int r = stores_each(p->m, search_store, &s);

        return r < 0 ? r : s.found;
}

/* The disk that a snapshot was taken of may still have what was written before: in a file of its own, where it was in the blob. */
static int pass_find_in(void *ctx, const struct blob_id *blob, uint64_t off, unsigned nth, void *buf, size_t n)
{
        const struct pass *p = ctx;
        struct disk_id id;
        struct disk *disk;
        ssize_t got;
        int r;

        {
                DB_TXN(t);

                r = db_begin(p->m->db, DB_READ, &t);
                if (r == 0)
                        r = scrub_row_made_of(&t, p->store, blob, nth, id.bytes);
                if (r < 0)
                        return r;
        }
        r = disk_open(p->bs, &id, &disk);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        got = disk_pread(disk, buf, n, off);
        disk_close(disk);
        return got == (ssize_t)n;
}

/* Nobody has to be believed that it is the same: what is made of it proves itself. */
static int pass_find_same(void *ctx, const struct blob_id *blob, uint64_t off, unsigned nth, void *buf, size_t n)
{
        struct pass *p = ctx;
        struct diag diag = { 0 };
        struct scrub_same same;
        struct blobstore *bs;
        struct blob *b;
        ssize_t got;
        int r;

        if (!p->same_is_known || p->same_nth != nth || memcmp(&p->same_as, blob, sizeof(*blob)) != 0) {
                DB_TXN(t);

                r = db_begin(p->m->db, DB_READ, &t);
                if (r == 0)
                        r = scrub_row_same(&t, p->store, blob, nth, &p->same);
                if (r < 0)
                        return r;
                p->same_as = *blob;
                p->same_nth = nth;
                p->same_is_known = true;
        }
        same = p->same;
        if (stores_get(p->m, same.store, &diag, &bs) < 0)
                return 0;
        r = blob_open(bs, &same.blob, &b);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        got = blob_pread(b, buf, n, off);
        blob_close(b);
        return got == (ssize_t)n;
}

static const struct {
        const char *one, *many;
} healed_words[] = {
        [SCRUB_HEALED_CHUNKS] = { " chunk was", " chunks were" },
        [SCRUB_HEALED_MAPS] = { " page of a map was", " pages of maps were" },
        [SCRUB_HEALED_TABLES] = { " table of moved chunks was", " tables of moved chunks were" },
};

static int note_healed(struct pass *p, const char *text)
{
        DB_TXN(t);
        int r;

        r = db_begin(p->m->db, DB_WRITE, &t);
        if (r == 0)
                r = scrub_row_note_healed(&t, p->store, text);
        return r < 0 ? r : db_commit(&t);
}

static void pass_healed(void *ctx, enum scrub_healed what, uint64_t n)
{
        CLEANUP_STRBUF struct strbuf line = { 0 };
        struct pass *p = ctx;
        char path[PATH_MAX];
        int r;

        jobs_tidy(p->m); /* what lies at the damaged places can go */
        if (stores_get_path(p->m, p->store, path, sizeof(path)) < 0)
                return;
        strbuf_addf(&line, "%s: %llu%s damaged on the disk, and healed with what another copy has: see to the disk", path,
                    (unsigned long long)n, n == 1 ? healed_words[what].one : healed_words[what].many);
        r = strbuf_error(&line);
        if (r == 0)
                r = note_healed(p, strbuf_text(&line));
        if (p->error == 0)
                p->error = r;
        if (strbuf_error(&line) == 0)
                p->how->healed(p->how->ctx, strbuf_text(&line));
}

int scrub_pass(struct model *m, uint64_t store, struct blobstore *bs, const struct scrub_how *how)
{
        struct pass p = { .m = m, .store = store, .bs = bs, .how = how };
        const struct scrub_ops ops = {
                .pace = pass_pace,
                .reached = pass_reached,
                .problem = pass_problem,
                .find = pass_find,
                .find_in = pass_find_in,
                .find_same = pass_find_same,
                .healed = pass_healed,
                .ctx = &p,
        };
        struct scrub_position from;
        int r, saved;

        r = pass_begin(&p);
        if (r == 0)
                r = blob_scrub_left(bs, &p.row.pos, &p.left);
        if (r < 0)
                return r;
        p.saved_us = clock_now_us();
        from = p.row.pos;
        r = blob_scrub(bs, &from, &ops);
        if (r == 0)
                r = p.error;
        if (r == 0)
                return pass_end(&p);
        saved = pass_save(&p);
        return saved < 0 && r == -ECANCELED ? saved : r;
}

/* ---- the daemon's ---- */

struct turn {
        struct model *m;
        int64_t half_us;         /* of scrub-days */
        int64_t due_us;          /* of all stores, the next */
        uint64_t rate, read;     /* bytes a second, and read so far */
        struct timespec started; /* of the pass, or since it was behind */
};

static int64_t elapsed_us(const struct timespec *since)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return (now.tv_sec - since->tv_sec) * SECOND_US + (now.tv_nsec - since->tv_nsec) / 1000;
}

/* Half of scrub-days; 0: there is to be no scrubbing. */
static int64_t get_half_us(struct model *m)
{
        uint64_t days;

        return limit_get(m, LIMIT_SCRUB_DAYS, &days) < 0 ? 0 : (int64_t)days * DAY_US / 2;
}

/* Waits until so much may have been read. */
static int turn_pace(void *ctx, uint64_t n, uint64_t left)
{
        struct turn *turn = ctx;
        int64_t ahead_us;

        (void)left;
        turn->read += n;
        ahead_us = (int64_t)(turn->read * SECOND_US / turn->rate) - elapsed_us(&turn->started);
        if (ahead_us < SECOND_US)
                return jobs_is_stopping(turn->m) ? -ECANCELED : 0;
        if (!jobs_pause(turn->m->jobs, (unsigned)(ahead_us / SECOND_US)))
                return -ECANCELED;
        turn->read = 0;
        (void)clock_gettime(CLOCK_MONOTONIC, &turn->started);
        return get_half_us(turn->m) > 0 ? 0 : -ECANCELED;
}

/* A new store gets its row, from which on it waits. */
static int load(struct model *m, uint64_t store, struct scrub_row *ret)
{
        DB_TXN(t);
        DB_TXN(w);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = scrub_row_load(&t, store, ret);
        if (r != -ENOENT)
                return r;
        db_end(&t);
        r = db_begin(m->db, DB_WRITE, &w);
        if (r == 0)
                r = scrub_row_see(&w, store, clock_now_us());
        if (r == 0)
                r = scrub_row_load(&w, store, ret);
        return r < 0 ? r : db_commit(&w);
}

/* When the store's next pass is due; one that is under way was. */
static int64_t store_due_us(const struct turn *turn, const struct scrub_row *row, int64_t now_us)
{
        int64_t wait_us = row->ever || turn->half_us < DAY_US ? turn->half_us : DAY_US;

        if (row->began_us)
                return now_us;
        return (row->since_us < now_us ? row->since_us : now_us) + wait_us; /* the clock may have been set back */
}

/*
 * What is left is to be read in the time that is left, of which each store has its part; but not in less than a quarter
 * of all of it.
 */
static uint64_t store_rate(const struct turn *turn, const struct scrub_row *row, uint64_t left, int64_t now_us)
{
        int64_t time_us = (row->began_us ? row->began_us : now_us) + turn->half_us - now_us;

        if (time_us < turn->half_us / 4)
                time_us = turn->half_us / 4;
        time_us /= (int64_t)stores_count(turn->m);
        left /= (uint64_t)(time_us / SECOND_US);
        return left > RATE_MIN ? left : RATE_MIN;
}

static void turn_notice(void *ctx, const char *line)
{
        const struct turn *turn = ctx;

        if (turn->m->notice)
                turn->m->notice(turn->m->listener_ctx, line);
}

static int turn_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct turn *turn = ctx;
        const struct scrub_how how = { .pace = turn_pace, .found = turn_notice, .healed = turn_notice, .ctx = turn };
        int64_t now_us = clock_now_us(), due_us;
        struct scrub_row row;
        uint64_t left = 0;
        int r;

        r = load(turn->m, id, &row);
        if (r < 0)
                return r;
        due_us = store_due_us(turn, &row, now_us);
        if (due_us <= now_us) {
                r = blob_scrub_left(bs, &row.pos, &left);
                turn->rate = store_rate(turn, &row, left, now_us);
                turn->read = 0;
                (void)clock_gettime(CLOCK_MONOTONIC, &turn->started);
                if (r == 0)
                        r = scrub_pass(turn->m, id, bs, &how);
                if (r == -ECANCELED)
                        return r;
                if (r == 0)
                        r = load(turn->m, id, &row);
                /* What one store cannot do now keeps no other from it. */
                due_us = r < 0 ? clock_now_us() + RETRY_US : store_due_us(turn, &row, clock_now_us());
        }
        if (turn->due_us == 0 || turn->due_us > due_us)
                turn->due_us = due_us;
        return 0;
}

int64_t scrub_turn(struct model *m)
{
        struct turn turn = { .m = m, .half_us = get_half_us(m) };
        int r;

        if (turn.half_us == 0)
                return 0;
        r = stores_each(m, turn_store, &turn);
        return r == -ECANCELED ? 0 : r < 0 ? clock_now_us() + RETRY_US : turn.due_us;
}
