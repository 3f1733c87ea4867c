/* SPDX-License-Identifier: MIT */
/*
 * Task rows. A row is written by the transaction that accepts an operation and stays until nobody shows it any more: it
 * is shown in /tasks for some days after its end, and in the image (copies/, convert) until the user forgets it there
 * or a newer one takes its place. An import is shown in /tasks alone.
 *
 *      queued ──► running ──► done | error | cancelled          (a cancel also ends a queued one)
 *        ▲            │
 *        └────────────┘  closing the library, or a crash
 *
 * Every end is a compare-and-swap on "still active", in one transaction with all that the end means; see task_row.h.
 * How far a running task is lives in jobs.c, and comes into the row only with its end.
 *
 * A task that needs a store that is offline stays queued until that is back, and one that needs what lies with another host until that
 * serves the library.
 */

#include "model/core/task.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "model/core/clock.h"
#include "model/core/ident.h"
#include "model/core/stores.h"
#include "model/core/task_row.h"
#include "model/core/turns.h"

/* The columns of the table of kinds that matter for rows. */
static const struct kind {
        const char *word;
        unsigned of;
        enum task_shown shown;
        const char *doing, *from;
} kinds[TASK_KIND_COUNT] = {
#define KIND(kind, word, lane, disks, of, shown, doing, from, ...) [TASK_##kind] = { word, of, shown, doing, from },
        TASK_KINDS(KIND)
};

static const char *const status_names[TASK_STATUS_COUNT] = {
        [TASK_QUEUED] = "queued",
        [TASK_RUNNING] = "running",
        [TASK_DONE] = "done",
        [TASK_ERROR] = "error",
        [TASK_CANCELLED] = "cancelled",
};

enum {
        TASK_INSERT,
        TASK_BY_ID,
        TASK_DETAIL,
        TASK_SET_DETAIL,
        TASK_ACTIVE_OF_IMAGE,
        TASK_ACTIVE_OF_INSTANCE,
        TASK_ACTIVE_OF_VOLUME,
        TASK_NEXT_WORK, /* one for each lane, in their order */
        TASK_NEXT_INSTANT,
        TASK_NEXT_FETCH,
        TASK_START,
        TASK_FINISH,
        TASK_REQUEUE,
        TASK_NEWEST,
        TASK_ACTIVE_UP_TO,
        TASK_HIDE_OLDER,
};

/* With the stores that it needs: of the region that it works in, and of the image that it works on. */
#define SELECT_WORK                                                                      \
        "SELECT task.id, (SELECT store FROM region WHERE region.id = task.region),"      \
        " (SELECT region.store FROM image JOIN region ON region.id = image.region"       \
        " WHERE image.id = task.image) FROM task WHERE " TASK_IS_ACTIVE

/* The same, to choose from: whose it is, and how many of hers run. */
#define SELECT_NEXT(kinds)                                                                                        \
        "SELECT task.id, (SELECT store FROM region WHERE region.id = task.region),"                               \
        " (SELECT region.store FROM image JOIN region ON region.id = image.region WHERE image.id = task.image),"  \
        " task.uid, (SELECT count(*) FROM task AS other WHERE other.status IN ('queued', 'running')"              \
        " AND other.status = 'running' AND other.uid = task.uid AND other.kind IN " kinds ")"                     \
        " FROM task WHERE " TASK_IS_ACTIVE " AND task.status = 'queued' AND (task.place IS NULL OR task.place = ?1)"

static const char *const task_sql[] = {
        [TASK_INSERT] = "INSERT INTO task (ident, kind, status, image, image_ident, region, region_name, result,"
                        " detail, in_image, uid, gid, mode, created, instance, volume, snapshot, place)"
                        " VALUES (?1, ?2, 'queued', ?3, ifnull((SELECT ident FROM image WHERE id = ?3), ''), ?4,"
                        " (SELECT handle FROM region WHERE id = ?4), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        [TASK_BY_ID] = TASK_SELECT "WHERE task.id = ?1",
        [TASK_DETAIL] = "SELECT detail FROM task WHERE id = ?1",
        [TASK_SET_DETAIL] = "UPDATE task SET detail = ?2 WHERE id = ?1",
        [TASK_ACTIVE_OF_IMAGE] = TASK_SELECT "WHERE " TASK_IS_ACTIVE " AND (task.image = ?1 OR task.result = ?1)"
                                             " LIMIT 1",
        [TASK_ACTIVE_OF_INSTANCE] = TASK_SELECT "WHERE " TASK_IS_ACTIVE " AND task.instance = ?1 LIMIT 1",
        [TASK_ACTIVE_OF_VOLUME] = TASK_SELECT "WHERE " TASK_IS_ACTIVE " AND task.volume = ?1 LIMIT 1",
        [TASK_NEXT_WORK] = SELECT_NEXT(TASK_IN_LANE_WORK) " AND kind IN " TASK_IN_LANE_WORK " ORDER BY task.id",
        [TASK_NEXT_INSTANT] = SELECT_NEXT(TASK_IN_LANE_WORK) " AND detail = '" TASK_DETAIL_INSTANT "'"
                              " ORDER BY task.id",
        [TASK_NEXT_FETCH] = SELECT_NEXT(TASK_IN_LANE_FETCH) " AND kind IN " TASK_IN_LANE_FETCH " ORDER BY task.id",
        [TASK_START] = "UPDATE task SET status = 'running', started = ifnull(started, ?2) WHERE id = ?1"
                       " AND status = 'queued'",
        [TASK_FINISH] = "UPDATE task SET status = ?2, error = ?3, done_bytes = ?4, total_bytes = ?5, finished = ?6"
                        " WHERE id = ?1 AND " TASK_IS_ACTIVE,
        [TASK_REQUEUE] = "UPDATE task SET status = 'queued' WHERE " TASK_IS_ACTIVE " AND status = 'running'",
        [TASK_NEWEST] = "SELECT ifnull(max(id), 0) FROM task",
        [TASK_ACTIVE_UP_TO] = SELECT_WORK " AND (task.place IS NULL OR task.place = ?2) AND task.id <= ?1",
        [TASK_HIDE_OLDER] = "UPDATE task SET in_image = 0 WHERE image = ?1 AND kind = ?2",
};

const struct db_statements task_statements = DB_STATEMENTS(task_sql);

const char *task_kind_name(enum task_kind k)
{
        assert(k < TASK_KIND_COUNT);
        return kinds[k].word;
}

int task_refuse(const struct task *task, uint64_t image, const char *whose, struct diag *diag)
{
        const struct kind *kind = &kinds[task->kind];
        const char *doing = image && task->result == image ? kind->doing : kind->from;
        const size_t n = strlen(doing);

        return diag_set(diag, -EBUSY, "%s %s%s: wait for it%s, or cancel it with rmdir /tasks/%s", whose, doing,
                        n && doing[n - 1] == ' ' ? task->region_name : "", image ? " (cat wait)" : "", task->o.handle);
}

const char *task_status_name(enum task_status s)
{
        assert(s < TASK_STATUS_COUNT);
        return status_names[s];
}

void progress_set(struct progress *p, uint64_t done_bytes, uint64_t total_bytes, bool finished)
{
        p->done_bytes = done_bytes;
        p->total_bytes = total_bytes;

        if (finished)
                p->percent = 100;
        else if (total_bytes == 0)
                p->percent = 0;
        else if (done_bytes >= total_bytes)
                p->percent = 99;
        else
                p->percent = (unsigned)((double)done_bytes * 100.0 / (double)total_bytes);
        if (!finished && p->percent > 99)
                p->percent = 99;
}

static int kind_of_word(const char *word)
{
        for (int i = 0; i < TASK_KIND_COUNT; i++)
                if (strcmp(kinds[i].word, word) == 0)
                        return i;

        return -EBADMSG;
}

static int status_of_word(const char *word)
{
        for (int i = 0; i < TASK_STATUS_COUNT; i++)
                if (strcmp(status_names[i], word) == 0)
                        return i;

        return -EBADMSG;
}

static int task_from_row(const struct db_row *row, struct task *ret)
{
        struct task task = { 0 };
        int kind, status;

        kind = kind_of_word(db_row_str(row, 2));
        if (kind < 0)
                return kind;

        status = status_of_word(db_row_str(row, 3));
        if (status < 0)
                return status;

        task.o.id = (uint64_t)db_row_int(row, 0);
        db_row_text(row, 1, task.o.handle, sizeof(task.o.handle));
        task.kind = (enum task_kind)kind;
        task.status = (enum task_status)status;
        task.image = (uint64_t)db_row_int(row, 4);
        db_row_text(row, 5, task.image_ident, sizeof(task.image_ident));
        task.region = (uint64_t)db_row_int(row, 6);
        db_row_text(row, 7, task.region_name, sizeof(task.region_name));
        task.result = (uint64_t)db_row_int(row, 8);
        progress_set(&task.progress, (uint64_t)db_row_int(row, 9), (uint64_t)db_row_int(row, 10),
                     task.status == TASK_DONE);
        task.o.uid = (uid_t)db_row_int(row, 11);
        task.o.gid = (gid_t)db_row_int(row, 12);
        task.o.mode = (mode_t)db_row_int(row, 13);
        task.o.created_us = db_row_int(row, 14);
        task.started_us = db_row_int(row, 15);
        task.finished_us = db_row_int(row, 16);
        db_row_text(row, 17, task.error, sizeof(task.error));
        task.instance = (uint64_t)db_row_int(row, 18);
        task.volume = (uint64_t)db_row_int(row, 19);
        task.snapshot = (uint64_t)db_row_int(row, 20);

        task.o.updated_us = task.o.created_us;
        if (task.started_us)
                task.o.updated_us = task.started_us;
        if (task.finished_us)
                task.o.updated_us = task.finished_us;

        *ret = task;
        return 0;
}

int task_take_row(void *ctx, const struct db_row *row)
{
        return task_from_row(row, ctx);
}

int task_load(struct db_txn *t, uint64_t id, struct task *ret)
{
        return db_one(t, task_sql[TASK_BY_ID], task_take_row, ret, DB_INT(id));
}

struct detail {
        char *buf;
        size_t size;
};

static int take_detail(void *ctx, const struct db_row *row)
{
        struct detail *d = ctx;

        db_row_text(row, 0, d->buf, d->size);
        return 0;
}

int task_load_detail(struct db_txn *t, uint64_t id, char *buf, size_t size)
{
        struct detail d = { .buf = buf, .size = size };

        return db_one(t, task_sql[TASK_DETAIL], take_detail, &d, DB_INT(id));
}

int task_set_detail(struct db_txn *t, uint64_t id, const char *detail)
{
        return db_run_one(t, task_sql[TASK_SET_DETAIL], DB_INT(id), DB_TEXT(detail));
}

int task_active_of_image(struct db_txn *t, uint64_t image, struct task *ret)
{
        return db_one(t, task_sql[TASK_ACTIVE_OF_IMAGE], task_take_row, ret, DB_INT(image));
}

int task_active_of_instance(struct db_txn *t, uint64_t instance, struct task *ret)
{
        return db_one(t, task_sql[TASK_ACTIVE_OF_INSTANCE], task_take_row, ret, DB_INT(instance));
}

int task_active_of_volume(struct db_txn *t, uint64_t volume, struct task *ret)
{
        return db_one(t, task_sql[TASK_ACTIVE_OF_VOLUME], task_take_row, ret, DB_INT(volume));
}

/* ---- lives ---- */

__attribute__((unused)) /* without assertions */
static unsigned named_objects(const struct task_new *n)
{
        return (n->image ? TASK_OF_IMAGE : 0) | (n->result ? TASK_OF_RESULT : 0) |
               (n->instance ? TASK_OF_INSTANCE : 0) | (n->volume ? TASK_OF_VOLUME : 0) |
               (n->snapshot ? TASK_OF_SNAPSHOT : 0);
}

int task_submit(struct db_txn *t, const struct task_new *n, uint64_t *ret)
{
        const struct kind *kind = &kinds[n->kind];
        char ident[NAME_LEN_MAX + 1];
        int r;

        assert((named_objects(n) & ~kind->of) == 0);

        r = ident_new("task", ident, sizeof(ident));
        if (r < 0)
                return r;

        if (kind->shown == TASK_SHOWN_NEWEST) {
                r = db_run(t, task_sql[TASK_HIDE_OLDER], DB_INT(n->image), DB_TEXT(kind->word));
                if (r < 0)
                        return r;
        }

        r = db_run(t, task_sql[TASK_INSERT], DB_TEXT(ident), DB_TEXT(kind->word), DB_ID(n->image),
                   DB_INT(n->region), DB_ID(n->result), DB_TEXT(n->detail ? n->detail : ""),
                   DB_INT(kind->shown != TASK_SHOWN_ALONE), DB_INT(n->heir ? n->heir->uid : n->caller->uid),
                   DB_INT(n->heir ? n->heir->gid : n->caller->gid), DB_INT(n->heir ? n->heir->mode : 0700), DB_INT(clock_now_us()), DB_ID(n->instance),
                   DB_ID(n->volume), DB_ID(n->snapshot), DB_ID(n->place));
        if (r < 0)
                return r;

        *ret = db_last_id(t);
        return 0;
}

struct pick {
        struct model *m;
        int64_t id;
};

/* Ends the walk at a task that can be worked on. */
static int pick_row(void *ctx, const struct db_row *row)
{
        struct pick *pick = ctx;

        if (stores_is_offline(pick->m, (uint64_t)db_row_int(row, 1)) ||
            stores_is_offline(pick->m, (uint64_t)db_row_int(row, 2)))
                return 0;
        pick->id = db_row_int(row, 0);
        return 1;
}

struct choice {
        struct model *m;
        enum task_lane lane;
        unsigned of_one_user;
        int64_t id; /* 0: none yet; else of a user of whom so many run, and whose turn was then */
        int64_t running;
        uint64_t turn;
};

/*
 * Of those that can be worked on the oldest of the user of whom the fewest run, and among such users whose last turn was
 * the longest ago; who has submitted a hundred has them done when nobody else wants anything. The administrator is
 * everybody, and not bounded.
 */
static int choose_row(void *ctx, const struct db_row *row)
{
        struct choice *c = ctx;
        const uid_t uid = (uid_t)db_row_int(row, 3);
        const int64_t running = db_row_int(row, 4);
        uint64_t turn;

        if (stores_is_offline(c->m, (uint64_t)db_row_int(row, 1)) ||
            stores_is_offline(c->m, (uint64_t)db_row_int(row, 2)))
                return 0;
        if (running >= c->of_one_user && uid != 0 && uid != getuid())
                return 0;
        turn = turns_last(c->m->turns, c->lane, uid);
        if (c->id && (running > c->running || (running == c->running && turn >= c->turn)))
                return 0;
        c->id = db_row_int(row, 0);
        c->running = running;
        c->turn = turn;
        return 0;
}

static int pick_next(struct choice *c, struct db_txn *t)
{
        int r;

        c->id = 0;
        r = db_each(t, task_sql[TASK_NEXT_WORK + (int)c->lane], choose_row, c, DB_INT(c->m->place));
        return r < 0 ? r : c->id ? 0 : -ENOENT;
}

int task_claim(struct model *m, enum task_lane lane, unsigned of_one_user, struct task *ret)
{
        struct choice choice = { .m = m, .lane = lane, .of_one_user = of_one_user };
        struct task task;
        int r;

        {
                /* Mostly there is nothing, and a look must not make the writers wait. */
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r < 0)
                        return r;

                r = pick_next(&choice, &t);
                if (r < 0)
                        return r;
        }

        DB_TXN(t);

        r = db_begin_lazy(m->db, &t); /* forgotten, it is claimed once more */
        if (r < 0)
                return r;

        r = pick_next(&choice, &t);
        if (r < 0)
                return r;

        r = db_run(&t, task_sql[TASK_START], DB_INT(choice.id), DB_INT(clock_now_us()));
        if (r < 0)
                return r;

        r = task_load(&t, (uint64_t)choice.id, &task);
        if (r < 0)
                return r;

        r = db_commit(&t);
        if (r < 0)
                return r;

        turns_take(m->turns, lane, task.o.uid);
        *ret = task;
        return 0;
}

int task_end(struct db_txn *t, uint64_t id, enum task_status status, const char *error, const struct progress *progress)
{
        int r;

        r = db_run(t, task_sql[TASK_FINISH], DB_INT(id), DB_TEXT(task_status_name(status)), DB_TEXT(error),
                   DB_INT(progress->done_bytes), DB_INT(progress->total_bytes), DB_INT(clock_now_us()));
        if (r < 0)
                return r;

        return r == 0 ? -ECANCELED : 0;
}

int task_finish(struct db_txn *t, uint64_t id, uint64_t bytes)
{
        const struct progress progress = { .done_bytes = bytes, .total_bytes = bytes };
        int r;

        r = db_run(t, task_sql[TASK_START], DB_INT(id), DB_INT(clock_now_us()));
        return r < 0 ? r : task_end(t, id, TASK_DONE, "", &progress);
}

int task_requeue(struct model *m, uint64_t *ret_newest)
{
        int64_t newest;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_WRITE, &t);
        if (r < 0)
                return r;

        r = db_run(&t, task_sql[TASK_REQUEUE]);
        if (r < 0)
                return r;

        r = db_int(&t, task_sql[TASK_NEWEST], &newest);
        if (r < 0)
                return r;

        r = db_commit(&t);
        if (r < 0)
                return r;

        *ret_newest = (uint64_t)newest;
        return 0;
}

int task_any_active(struct model *m, uint64_t newest)
{
        struct pick pick = { .m = m };
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        return db_each(&t, task_sql[TASK_ACTIVE_UP_TO], pick_row, &pick, DB_INT(newest), DB_INT(m->place));
}
