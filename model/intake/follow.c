/* SPDX-License-Identifier: MIT */

/*
 * Upstreams as rows. A row that is running has a task that looks (follow_run.c) or, when that has found something new, an
 * image that is being fetched; follow_turn.c ends the run with it. Addresses are sealed, as those of fetches are.
 *
 * A run that fails forgets which version it saw, so that the next one looks at all of it. When a list was signed is never
 * forgotten for that: an older one is an older one.
 */

#include "model/intake/follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "model/core/clock.h"
#include "model/core/ident.h"
#include "model/core/jobs.h"
#include "model/core/limits_row.h"
#include "model/core/object_row.h"
#include "model/core/region_row.h"
#include "model/core/task_row.h"
#include "model/intake/follow_row.h"

#define FOLLOW_MODE 0700

/* How much later than it must a run may be: a part of the time between two. */
#define LATER_PARTS 20

/* Sums of images that are gone, of each. */
#define SUMS_KEPT "1000"

enum {
        GET,
        OF_TASK,
        KEYRING,
        GET_OBJECT,
        FIND,
        EACH,
        IMAGES,
        COUNT,
        INSERT,
        ERASE,
        RENAME,
        SUBMIT,
        FORGET_TASK,
        BEGIN_IMAGE,
        ADD_IMAGE,
        FORGET_IMAGE,
        FORGET_SUMS,
        HAS_SUM,
        SET_SIGNED,
        SET_SEEN,
        END,
        FAIL,
        TO_SETTLE,
        DUE,
        NEXT_DUE,
        BRING_NEAR,
        BEYOND,
};

#define SELECT_FOLLOW                                                                                                    \
        "SELECT " OBJECT_COLUMNS("follow") ", region, url, url_private, sums, sums_private, every, keep, family, status, "   \
        "error, ended, last_run, next_run, etag, modified, signed, task, image, keyring <> '' FROM follow "

static const char *const follow_sql[] = {
        [GET] = SELECT_FOLLOW "WHERE id = ?1",
        [OF_TASK] = SELECT_FOLLOW "WHERE task = ?1",
        [KEYRING] = "SELECT keyring FROM follow WHERE id = ?1",
        [GET_OBJECT] = "SELECT " OBJECT_COLUMNS("follow") " FROM follow WHERE id = ?1",
        [FIND] = "SELECT " OBJECT_COLUMNS("follow") " FROM follow WHERE region = ?1 AND handle = ?2",
        [EACH] = "SELECT " OBJECT_COLUMNS("follow") " FROM follow WHERE region = ?1 ORDER BY handle",
        [IMAGES] = "SELECT " OBJECT_COLUMNS_IMAGE " FROM follow_image JOIN image ON image.id = follow_image.image "
                   "WHERE follow_image.follow = ?1 AND class = 'private' ORDER BY handle",
        [COUNT] = "SELECT count(*) FROM follow WHERE region = ?1 AND uid = ?2",
        [INSERT] = "INSERT INTO follow (ident, region, handle, uid, gid, mode, created, updated) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
        [ERASE] = "DELETE FROM follow WHERE id = ?1",
        [RENAME] = "UPDATE follow SET handle = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [SUBMIT] = "UPDATE follow SET status = 'running', task = ?2, image = NULL, last_run = ?3, next_run = ?4, "
                   "updated = max(?3, updated + 1) WHERE id = ?1 AND status IN ('idle', 'error')",
        [FORGET_TASK] = "DELETE FROM task WHERE id = ?1",
        [BEGIN_IMAGE] = "UPDATE follow SET image = ?2, etag = ?3, modified = ?4 WHERE id = ?1 AND status = 'running'",
        [ADD_IMAGE] = "INSERT INTO follow_image (follow, image, sum) VALUES (?1, ?2, ?3)",
        [FORGET_IMAGE] = "DELETE FROM follow_image WHERE follow = ?1 AND image = ?2",
        [FORGET_SUMS] = "DELETE FROM follow_image WHERE follow = ?1 AND image IS NULL AND id <= "
                        "(SELECT id FROM follow_image WHERE follow = ?1 AND image IS NULL "
                        "ORDER BY id DESC LIMIT 1 OFFSET " SUMS_KEPT ")",
        [HAS_SUM] = "SELECT count(*) FROM follow_image WHERE follow = ?1 AND sum = ?2",
        [SET_SIGNED] = "UPDATE follow SET signed = max(signed, ?2) WHERE id = ?1",
        [SET_SEEN] = "UPDATE follow SET etag = ?2, modified = ?3 WHERE id = ?1",
        [END] = "UPDATE follow SET status = 'idle', error = ?2, ended = ?3, image = NULL, updated = max(?3, updated + 1) "
                "WHERE id = ?1 AND status = 'running'",
        [FAIL] = "UPDATE follow SET status = 'error', error = ?2, ended = ?3, image = NULL, etag = '', modified = '', "
                 "updated = max(?3, updated + 1) WHERE id = ?1 AND status = 'running'",
        [TO_SETTLE] = "SELECT follow.id FROM follow LEFT JOIN image ON image.id = follow.image "
                      "LEFT JOIN task ON task.id = follow.task WHERE follow.status = 'running' "
                      "AND ifnull(task.status, '') NOT IN ('queued', 'running') "
                      "AND ifnull(image.status, '') NOT IN ('uploading', 'pending', 'replicating') ORDER BY follow.id",
        [DUE] = "SELECT id FROM follow WHERE status IN ('idle', 'error') AND next_run > 0 AND next_run <= ?1 "
                "ORDER BY next_run",
        [NEXT_DUE] = "SELECT next_run FROM follow WHERE status IN ('idle', 'error') AND next_run > 0 "
                     "ORDER BY next_run LIMIT 1",
        [BRING_NEAR] = "UPDATE follow SET next_run = ?1 + every, updated = max(?1, updated + 1) "
                       "WHERE next_run > ?1 + 2 * every",
        [BEYOND] = "SELECT image.id FROM follow_image JOIN image ON image.id = follow_image.image "
                   "JOIN follow ON follow.id = follow_image.follow WHERE follow.id = ?1 AND image.class = 'private' "
                   "AND image.status = 'available' AND image.uid = follow.uid "
                   "ORDER BY image.created DESC, image.id DESC LIMIT -1 OFFSET ?2",
};
const struct db_statements follow_statements = DB_STATEMENTS(follow_sql);

static const char *const status_names[FOLLOW_STATUS_COUNT] = {
        [FOLLOW_IDLE] = "idle",
        [FOLLOW_RUNNING] = "running",
        [FOLLOW_ERROR] = "error",
        [FOLLOW_PAUSED] = "paused",
};

const char *follow_status_name(enum follow_status s)
{
        return status_names[s];
}

/* ---- loading ---- */

static enum follow_status status_of_word(const char *word)
{
        enum follow_status s = FOLLOW_IDLE;

        while (s + 1 < FOLLOW_STATUS_COUNT && strcmp(status_names[s], word) != 0)
                s++;
        return s;
}

static void fill_address(struct follow_address *a, const struct db_row *row, int col)
{
        db_row_text(row, col, a->sealed, sizeof(a->sealed));
        a->reach_private = db_row_int(row, col + 1) != 0;
}

static int take_row(void *ctx, const struct db_row *row)
{
        struct follow_row *f = ctx;
        int col = OBJECT_N_COLUMNS;

        *f = (struct follow_row){ .seen = { .size = PULL_SIZE_UNKNOWN } };
        object_fill(&f->o, row);
        f->region = (uint64_t)db_row_int(row, col++);
        fill_address(&f->url, row, col);
        fill_address(&f->sums, row, col + 2);
        col += 4;
        f->every_us = db_row_int(row, col++);
        f->keep = (uint64_t)db_row_int(row, col++);
        db_row_text(row, col++, f->family, sizeof(f->family));
        f->status = status_of_word(db_row_str(row, col++));
        db_row_text(row, col++, f->error, sizeof(f->error));
        f->ended_us = db_row_int(row, col++);
        f->last_run_us = db_row_int(row, col++);
        f->next_run_us = db_row_int(row, col++);
        db_row_text(row, col++, f->seen.etag, sizeof(f->seen.etag));
        db_row_text(row, col++, f->seen.modified, sizeof(f->seen.modified));
        f->signed_s = db_row_int(row, col++);
        f->task = (uint64_t)db_row_int(row, col++);
        f->image = (uint64_t)db_row_int(row, col++);
        f->has_keyring = db_row_int(row, col) != 0;
        return 0;
}

int follow_load(struct db_txn *t, uint64_t id, struct follow_row *ret)
{
        return db_one(t, follow_sql[GET], take_row, ret, DB_INT(id));
}

int follow_load_of_task(struct db_txn *t, uint64_t task, struct follow_row *ret)
{
        return db_one(t, follow_sql[OF_TASK], take_row, ret, DB_INT(task));
}

static int take_text(void *ctx, const struct db_row *row)
{
        strbuf_add(ctx, db_row_str(row, 0));
        return 0;
}

int follow_load_keyring(struct db_txn *t, uint64_t id, struct strbuf *ret)
{
        return db_one(t, follow_sql[KEYRING], take_text, ret, DB_INT(id));
}

static int load_alone(struct model *m, uint64_t id, struct follow_row *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : follow_load(&t, id, ret);
}

/* What was sealed with a key that is lost cannot be shown; a run says so. */
static void show_address(struct model *m, const struct follow_address *a, char *ret, size_t size)
{
        char text[URL_MAX + 1];
        struct url url;

        ret[0] = '\0';
        if (a->sealed[0] && secret_unseal(m, a->sealed, text, sizeof(text)) == 0 && url_parse(text, &url, NULL) == 0)
                (void)snprintf(ret, size, "%s", url.shown);
}

int follow_get(struct model *m, uint64_t id, struct follow *ret)
{
        struct follow_row f;
        int r;

        r = load_alone(m, id, &f);
        if (r < 0)
                return r;
        *ret = (struct follow){
                .o = f.o,
                .region = f.region,
                .every_hours = (uint64_t)(f.every_us / 3600000000),
                .keep = f.keep,
                .status = f.status,
                .ended_us = f.ended_us,
                .last_run_us = f.last_run_us,
                .next_run_us = f.status == FOLLOW_PAUSED ? 0 : f.next_run_us,
        };
        memcpy(ret->family, f.family, sizeof(ret->family));
        memcpy(ret->error, f.error, sizeof(ret->error));
        show_address(m, &f.url, ret->url, sizeof(ret->url));
        show_address(m, &f.sums, ret->sums, sizeof(ret->sums));
        return 0;
}

int follow_add_keyring(struct model *m, uint64_t id, struct strbuf *out)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : follow_load_keyring(&t, id, out);
}

int follow_get_object(struct model *m, uint64_t id, struct object *ret)
{
        return object_get(m, follow_sql[GET_OBJECT], id, ret);
}

int follow_find(struct model *m, uint64_t region, const char *handle, struct object *ret)
{
        return object_find(m, follow_sql[FIND], region, handle, ret);
}

int follow_each(struct model *m, uint64_t region, object_fn *fn, void *ctx)
{
        return object_each(m, follow_sql[EACH], region, fn, ctx);
}

int follow_each_image(struct model *m, uint64_t id, object_fn *fn, void *ctx)
{
        return object_each(m, follow_sql[IMAGES], id, fn, ctx);
}

/* ---- making and removing ---- */

static int refuse_taken(int r, const char *handle, struct diag *diag)
{
        return r == -EEXIST ? object_refuse_taken("follows", handle, "an upstream", diag) : r;
}

static int check_limit(struct db_txn *t, const struct region *region, uid_t uid, struct diag *diag)
{
        uint64_t limit;
        int64_t used;
        int r;

        r = limit_read(t, LIMIT_FOLLOWS, &limit);
        if (r == 0)
                r = db_int(t, follow_sql[COUNT], &used, DB_INT(region->o.id), DB_INT(uid));
        if (r < 0 || (uint64_t)used < limit)
                return r;
        return diag_set_user(diag, -EDQUOT, uid, ": remove one of follows/, or have the limit raised (follows in info/limits)",
                             "%s has %lld of %llu upstreams followed for ", region->o.handle, (long long)used,
                             (unsigned long long)limit);
}

int follow_create(struct model *m, const struct caller *c, uint64_t region, const char *handle, struct diag *diag,
                  uint64_t *ret)
{
        char ident[IDENT_MAX];
        struct region place;
        DB_TXN(t);
        int r;

        r = object_check_name(handle, "follow", diag);
        if (r == 0)
                r = ident_new("follow", ident, sizeof(ident));
        if (r == 0)
                r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = region_load(&t, region, &place);
        if (r == 0)
                r = check_limit(&t, &place, c->uid, diag);
        if (r == 0)
                r = db_run(&t, follow_sql[INSERT], DB_TEXT(ident), DB_INT(region), DB_TEXT(handle), DB_INT(c->uid),
                           DB_INT(c->gid), DB_INT(FOLLOW_MODE), DB_INT(clock_now_us()));
        if (r < 0)
                return refuse_taken(r, handle, diag);
        *ret = db_last_id(&t);
        r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_FOLLOW, *ret);
        return r;
}

int follow_refuse_running(struct db_txn *t, const struct follow_row *f, struct diag *diag)
{
        struct task task;
        int r;

        if (f->status != FOLLOW_RUNNING)
                return 0;
        r = f->image ? task_active_of_image(t, f->image, &task) : f->task ? task_load(t, f->task, &task) : -ENOENT;
        if (r < 0 && r != -ENOENT)
                return r;
        return diag_set(diag, -EBUSY, "%s is running: wait for it (cat wait)%s%s", f->o.handle,
                        r == 0 ? ", or cancel it with rmdir /tasks/" : "", r == 0 ? task.o.handle : "");
}

int follow_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        struct follow_row f;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = follow_load(&t, id, &f);
        if (r == 0)
                r = object_refuse_other(&f.o, c, "remove it", diag);
        if (r == 0)
                r = follow_refuse_running(&t, &f, diag);
        if (r == 0)
                r = db_run_one(&t, follow_sql[ERASE], DB_INT(id));
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_FOLLOW, id);
        return r;
}

int follow_hand(struct db_txn *t, uint64_t id, uid_t uid, struct diag *diag)
{
        struct region place;
        struct follow_row f;
        int r;

        r = follow_load(t, id, &f);
        if (r == 0)
                r = follow_refuse_running(t, &f, diag);
        if (r == 0)
                r = region_load(t, f.region, &place);
        return r < 0 ? r : check_limit(t, &place, uid, diag);
}

int follow_rename(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag)
{
        int r;

        r = object_check_name(handle, "follow", diag);
        if (r == 0)
                r = object_rename(m, OBJECT_FOLLOW, follow_sql[GET_OBJECT], follow_sql[RENAME], c, id, handle, diag);
        return refuse_taken(r, handle, diag);
}

/* ---- runs ---- */

int64_t follow_next(int64_t from_us, int64_t every_us)
{
        uint64_t chance = 0;

        (void)!getrandom(&chance, sizeof(chance), 0); /* without it, at the same time as the others */
        return from_us + every_us + (int64_t)(chance % (uint64_t)(every_us / LATER_PARTS));
}

int follow_submit(struct db_txn *t, const struct follow_row *f, struct changes *ch)
{
        const struct caller owner = object_owner(&f->o);
        const int64_t now_us = clock_now_us();
        uint64_t task;
        int r;

        r = task_submit(t, &(struct task_new){ .kind = TASK_FOLLOW, .region = f->region, .caller = &owner, .heir = &f->o },
                        &task);
        if (r == 0)
                r = db_run_one(t, follow_sql[SUBMIT], DB_INT(f->o.id), DB_INT(task), DB_INT(now_us),
                               DB_INT(follow_next(now_us, f->every_us)));
        if (r < 0)
                return r;
        changes_add(ch, OBJECT_TASK, task);
        changes_add(ch, OBJECT_FOLLOW, f->o.id);
        return 0;
}

int follow_forget_task(struct db_txn *t, uint64_t task)
{
        return db_run_one(t, follow_sql[FORGET_TASK], DB_INT(task));
}

int follow_begin_image(struct db_txn *t, const struct follow_row *f, uint64_t image, const char *sum,
                       const struct pull_version *seen)
{
        int r;

        r = db_run_one(t, follow_sql[BEGIN_IMAGE], DB_INT(f->o.id), DB_INT(image), DB_TEXT(seen->etag),
                       DB_TEXT(seen->modified));
        if (r == 0)
                r = db_run_one(t, follow_sql[ADD_IMAGE], DB_INT(f->o.id), DB_INT(image), DB_TEXT(sum));
        if (r == 0)
                r = db_run(t, follow_sql[FORGET_SUMS], DB_INT(f->o.id));
        return r < 0 ? r : 0;
}

int follow_set_signed(struct db_txn *t, uint64_t id, int64_t signed_s)
{
        return db_run_one(t, follow_sql[SET_SIGNED], DB_INT(id), DB_INT(signed_s));
}

int follow_set_seen(struct db_txn *t, uint64_t id, const struct pull_version *seen)
{
        return db_run_one(t, follow_sql[SET_SEEN], DB_INT(id), DB_TEXT(seen->etag), DB_TEXT(seen->modified));
}

int follow_has_imported(struct db_txn *t, uint64_t id, const char *sum)
{
        int64_t n;
        int r;

        r = db_int(t, follow_sql[HAS_SUM], &n, DB_INT(id), DB_TEXT(sum));
        return r < 0 ? r : n > 0;
}

int follow_end(struct db_txn *t, const struct follow_row *f, enum follow_status status, const char *note,
               struct changes *ch)
{
        int r = 0;

        if (status == FOLLOW_ERROR && f->image)
                r = db_run(t, follow_sql[FORGET_IMAGE], DB_INT(f->o.id), DB_INT(f->image));
        if (r >= 0)
                r = db_run_one(t, follow_sql[status == FOLLOW_ERROR ? FAIL : END], DB_INT(f->o.id), DB_TEXT(note),
                               DB_INT(clock_now_us()));
        changes_add(ch, OBJECT_FOLLOW, f->o.id);
        return r;
}

struct id_walk {
        follow_id_fn *fn;
        void *ctx;
};

static int id_row(void *ctx, const struct db_row *row)
{
        const struct id_walk *walk = ctx;

        return walk->fn(walk->ctx, (uint64_t)db_row_int(row, 0));
}

int follow_each_to_settle(struct db_txn *t, follow_id_fn *fn, void *ctx)
{
        struct id_walk walk = { fn, ctx };

        return db_each(t, follow_sql[TO_SETTLE], id_row, &walk);
}

int follow_each_due(struct db_txn *t, int64_t now_us, follow_id_fn *fn, void *ctx)
{
        struct id_walk walk = { fn, ctx };

        return db_each(t, follow_sql[DUE], id_row, &walk, DB_INT(now_us));
}

int follow_next_due(struct db_txn *t, int64_t *ret_us)
{
        int64_t due_us = 0;
        int r;

        r = db_int(t, follow_sql[NEXT_DUE], &due_us);
        if (r < 0 && r != -ENOENT)
                return r;
        *ret_us = due_us;
        return 0;
}

int follow_bring_near(struct db_txn *t, int64_t now_us)
{
        return db_run(t, follow_sql[BRING_NEAR], DB_INT(now_us));
}

int follow_each_beyond(struct db_txn *t, uint64_t id, uint64_t keep, follow_id_fn *fn, void *ctx)
{
        struct id_walk walk = { fn, ctx };

        return db_each(t, follow_sql[BEYOND], id_row, &walk, DB_INT(id), DB_INT(keep));
}
