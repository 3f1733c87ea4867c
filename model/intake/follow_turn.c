/* SPDX-License-Identifier: MIT */

/*
 * Runs begin when they are due, and end with their image: by then it is in the family, and what is beyond the number that
 * is kept goes to the recycle bin, one by one; what cannot go (it is protected, or a machine runs from it) stays, and the
 * run says so. An image that failed is removed, in the transaction that says why.
 *
 * What was missed while nobody looked is done once. How many run at once is bounded where tasks are: a user's looks and
 * fetches are in one lane.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/clock.h"
#include "model/core/object_row.h"
#include "model/image/making.h"
#include "model/intake/follow_row.h"
#include "model/intake/follow_task.h"

/* What could not be recorded is tried again after this time. */
#define RETRY_US (INT64_C(5) * 1000000)

#define REMOVED "the image was removed before it was whole"

struct ids {
        uint64_t *id;
        size_t n, size;
};

static void ids_done(struct ids *ids)
{
        free(ids->id);
}

static int take_id(void *ctx, uint64_t id)
{
        struct ids *ids = ctx;

        if (ids->n == ids->size) {
                const size_t size = ids->size ? 2 * ids->size : 16;
                uint64_t *grown = reallocarray(ids->id, size, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                ids->id = grown;
                ids->size = size;
        }
        ids->id[ids->n++] = id;
        return 0;
}

/* ---- the end of a run ---- */

/* What a run ends with. */
struct outcome {
        struct follow_row row;
        struct image image; /* .o.id 0: it is gone */
        bool over; /* somebody else ended it */
};

static int load_outcome(struct db_txn *t, uint64_t id, struct outcome *ret)
{
        int r;

        r = follow_load(t, id, &ret->row);
        ret->over = r == -ENOENT || (r == 0 && ret->row.status != FOLLOW_RUNNING);
        if (ret->over)
                return 0;
        if (r == 0 && ret->row.image)
                r = image_load(t, ret->row.image, &ret->image);
        return r;
}

/* Those beyond the number that is kept. Gives in NOTES which stay, and why. */
static int remove_beyond(struct model *m, const struct outcome *o, struct strbuf *notes)
{
        const struct caller owner = object_owner(&o->row.o);
        CLEANUP(ids_done) struct ids ids = { 0 };
        struct object image;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = follow_each_beyond(&t, o->row.o.id, o->row.keep, take_id, &ids);
        }
        for (size_t i = 0; i < ids.n && r == 0; i++) {
                struct diag diag = { 0 };

                if (image_get_object(m, ids.id[i], &image) < 0)
                        continue;
                r = image_remove(m, &owner, ids.id[i], &diag);
                if (r < 0 && diag.error) {
                        strbuf_addf(notes, "%s%s is beyond keep, and stays: %s", notes->len ? "; " : "", image.handle,
                                    diag.text);
                        r = 0;
                }
                if (r == -ENOENT)
                        r = 0;
        }
        return r < 0 ? r : strbuf_error(notes);
}

static int end_well(struct model *m, uint64_t id, const struct outcome *o, struct changes *ch)
{
        CLEANUP_STRBUF struct strbuf notes = { 0 };
        char note[DIAG_TEXT_MAX];
        CLEANUP_FREE struct outcome *now = malloc(sizeof(*now));
        int r;

        if (!now)
                return -ENOMEM;
        r = remove_beyond(m, o, &notes);
        if (r < 0)
                return r;
        (void)snprintf(note, sizeof(note), "%.*s", (int)text_fit(strbuf_text(&notes), sizeof(note) - 1),
                       strbuf_text(&notes));

        DB_TXN(t);
        *now = (struct outcome){ .over = false };
        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = load_outcome(&t, id, now);
        if (r == 0 && !now->over)
                r = follow_end(&t, &now->row, FOLLOW_IDLE, note, ch);
        return r < 0 ? r : db_commit(&t);
}

/* *RET_GONE: the image was removed by this. */
static int end_badly(struct model *m, uint64_t id, struct outcome *now, struct changes *ch, bool *ret_gone)
{
        DB_TXN(t);
        int r;

        *now = (struct outcome){ .over = false };
        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = load_outcome(&t, id, now);
        if (r < 0 || now->over || (now->image.o.id && now->image.status != IMAGE_ERROR))
                return r; /* it is tried again */
        r = follow_end(&t, &now->row, FOLLOW_ERROR, now->image.o.id ? now->image.error : REMOVED, ch);
        if (r == 0 && now->image.o.id)
                r = making_drop(&t, now->image.o.id, ch);
        if (r == 0)
                r = db_commit(&t);
        *ret_gone = r == 0 && now->image.o.id;
        return r;
}

static int settle(struct model *m, uint64_t id)
{
        CLEANUP_FREE struct outcome *o = calloc(1, sizeof(*o));
        struct changes ch = { 0 };
        bool gone = false;
        int r;

        if (!o)
                return -ENOMEM;
        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = load_outcome(&t, id, o);
        }
        if (r < 0 || o->over)
                return r;
        if (o->image.o.id && o->image.status != IMAGE_ERROR)
                r = end_well(m, id, o, &ch);
        else
                r = end_badly(m, id, o, &ch, &gone);
        if (r < 0)
                return r;
        if (gone)
                image_tell_gone(m, o->image.o.id, o->image.region, o->image.ident);
        changes_tell(m, &ch);
        return 0;
}

/* ---- the beginning of one ---- */

static int start(struct model *m, uint64_t id, int64_t now_us)
{
        CLEANUP_FREE struct follow_row *f = malloc(sizeof(*f));
        struct changes ch = { 0 };
        DB_TXN(t);
        int r;

        if (!f)
                return -ENOMEM;
        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = follow_load(&t, id, f);
        if (r == -ENOENT)
                return 0;
        if (r < 0 || (f->status != FOLLOW_IDLE && f->status != FOLLOW_ERROR) || f->next_run_us == 0 ||
            f->next_run_us > now_us)
                return r;
        r = follow_submit(&t, f, &ch);
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                changes_tell(m, &ch);
        return r;
}

/* ---- both ---- */

static int list(struct model *m, int64_t now_us, struct ids *to_settle, struct ids *due)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = follow_each_to_settle(&t, take_id, to_settle);
        return r < 0 ? r : follow_each_due(&t, now_us, take_id, due);
}

static int next_due(struct model *m, int64_t *ret_us)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : follow_next_due(&t, ret_us);
}

int follow_recover(struct model *m)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = follow_bring_near(&t, clock_now_us());
        return r > 0 ? db_commit(&t) : r;
}

int64_t follow_turn(struct model *m)
{
        CLEANUP(ids_done) struct ids to_settle = { 0 };
        CLEANUP(ids_done) struct ids due = { 0 };
        const int64_t now_us = clock_now_us();
        int64_t due_us = 0;
        int r;

        r = list(m, now_us, &to_settle, &due);
        for (size_t i = 0; i < to_settle.n && r == 0; i++)
                r = settle(m, to_settle.id[i]);
        for (size_t i = 0; i < due.n && r == 0; i++)
                r = start(m, due.id[i], now_us);
        if (r == 0)
                r = next_due(m, &due_us);
        if (r == -EROFS)
                return 0; /* nothing can be made safe any more */
        return r < 0 ? clock_now_us() + RETRY_US : due_us;
}
