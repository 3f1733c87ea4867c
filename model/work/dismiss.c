/* SPDX-License-Identifier: MIT */
/*
 * Tasks that leave the views: dismissed by users, in /tasks and in an image's copies/, or because they ended long ago
 * or too many ended since.
 * A row that is shown nowhere any more is gone.
 */

#include "model/work/dismiss.h"

#include <assert.h>
#include <errno.h>

#include "model/core/clock.h"
#include "model/core/limits_row.h"
#include "model/core/object_row.h"
#include "model/work/copy.h"
#include "model/work/task_kinds.h"
#include "model/work/tasks.h"

#define DAY_US (INT64_C(86400) * 1000000)

/* Rows that one transaction takes from /tasks. */
#define FORGET_AT_ONCE 50

enum { HIDE_IN_TASKS, HIDE_IN_IMAGE, DELETE_UNSHOWN, DELETE_ORPHANS, OLD, OLDEST_END, MANY };

static const char *const dismiss_sql[] = {
        [HIDE_IN_TASKS] = "UPDATE task SET in_tasks = 0 WHERE id = ?1",
        [HIDE_IN_IMAGE] = "UPDATE task SET in_image = 0 WHERE id = ?1",
        [DELETE_UNSHOWN] = "DELETE FROM task WHERE id = ?1 AND in_tasks = 0 AND in_image = 0",
        /* What is shown in an image alone goes with the image. */
        [DELETE_ORPHANS] = "DELETE FROM task WHERE image IS NULL AND in_tasks = 0",
        [OLD] = "SELECT id FROM task WHERE finished <= ?1 AND in_tasks = 1 LIMIT ?2",
        [MANY] = "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY uid ORDER BY finished DESC, id DESC) AS n"
                 " FROM task WHERE finished IS NOT NULL AND in_tasks = 1) WHERE n > ?1 LIMIT ?2",
        [OLDEST_END] = "SELECT ifnull(min(finished), 0) FROM task WHERE finished IS NOT NULL AND in_tasks = 1",
};

const struct db_statements dismiss_statements = DB_STATEMENTS(dismiss_sql);

static bool task_is_active(const struct task *task)
{
        return task->status == TASK_QUEUED || task->status == TASK_RUNNING;
}

/* Removes a task from the view that HIDE stands for: an active one is cancelled, one that is shown nowhere is gone. */
static int task_dismiss(struct model *m, const struct caller *c, uint64_t id, const char *hide, struct diag *diag)
{
        struct changes changes = { 0 };
        struct progress progress = { 0 };
        struct task task;
        bool cancel;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_WRITE, &t);
                if (r < 0)
                        return r;

                r = task_load(&t, id, &task);
                if (r < 0)
                        return r;

                /* In copies/ the modes of the image's directory say who may; they were asked already. */
                if (hide == dismiss_sql[HIDE_IN_TASKS] && !c->admin && c->uid != task.o.uid &&
                    !object_is_groups(&task.o, c))
                        return diag_set(diag, -EPERM, "%s is somebody else's: only its owner may cancel or forget it",
                                        task.o.handle);

                cancel = task_is_active(&task);
                if (cancel) {
                        (void)jobs_get_progress(m, id, &progress);

                        r = task_end(&t, id, TASK_CANCELLED, "", &progress);
                        if (r < 0)
                                return r;

                        r = task_kinds[task.kind].undo(&t, &task, NULL, &changes);
                        if (r < 0)
                                return r;
                }

                r = db_run(&t, hide, DB_INT(id));
                if (r < 0)
                        return r;

                r = db_run(&t, dismiss_sql[DELETE_UNSHOWN], DB_INT(id));
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        if (cancel) {
                jobs_cancel(m, id);
                if (task_kinds[task.kind].clear)
                        task_kinds[task.kind].clear(m, &task);
        }

        changes_add(&changes, OBJECT_TASK, id);
        changes_add(&changes, OBJECT_IMAGE, task.image);
        changes_tell(m, &changes);
        return 0;
}

int task_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        return task_dismiss(m, c, id, dismiss_sql[HIDE_IN_TASKS], diag);
}

int copy_remove(struct model *m, const struct caller *c, uint64_t task, struct diag *diag)
{
        return task_dismiss(m, c, task, dismiss_sql[HIDE_IN_IMAGE], diag);
}

struct id_list {
        size_t n;
        uint64_t id[FORGET_AT_ONCE];
};

static int collect_id(void *ctx, const struct db_row *row)
{
        struct id_list *list = ctx;

        assert(list->n < FORGET_AT_ONCE);
        list->id[list->n++] = (uint64_t)db_row_int(row, 0);
        return 0;
}

/* One transaction's worth of those that the statement WHICH gives for ARG; gives how many there were. */
static int forget_some(struct model *m, const char *which, int64_t arg, int64_t *ret_oldest_us)
{
        struct id_list list = { 0 };
        int64_t oldest_us;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_WRITE, &t);
                if (r < 0)
                        return r;

                r = db_each(&t, which, collect_id, &list, DB_INT(arg), DB_INT(FORGET_AT_ONCE));
                if (r < 0)
                        return r;

                for (size_t i = 0; i < list.n; i++) {
                        r = db_run(&t, dismiss_sql[HIDE_IN_TASKS], DB_INT(list.id[i]));
                        if (r < 0)
                                return r;

                        r = db_run(&t, dismiss_sql[DELETE_UNSHOWN], DB_INT(list.id[i]));
                        if (r < 0)
                                return r;
                }

                r = db_run(&t, dismiss_sql[DELETE_ORPHANS]);
                if (r < 0)
                        return r;

                r = db_int(&t, dismiss_sql[OLDEST_END], &oldest_us);
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < list.n; i++)
                changes_send(m, OBJECT_TASK, list.id[i]);

        *ret_oldest_us = oldest_us;
        return (int)list.n;
}

int task_forget_old(struct model *m, int64_t *ret_due_us)
{
        const int64_t shown_us = TASK_SHOWN_DAYS * DAY_US;
        int64_t oldest_us;
        int r;

        do {
                r = forget_some(m, dismiss_sql[OLD], clock_now_us() - shown_us, &oldest_us);
                if (r < 0)
                        return r;
        } while (r == FORGET_AT_ONCE);

        *ret_due_us = oldest_us ? oldest_us + shown_us : 0;
        return 0;
}

/* Looks before it writes: this is asked after each task. */
static int any_too_many(struct model *m, uint64_t *ret_limit)
{
        struct id_list list = { 0 };
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        r = limit_read(&t, LIMIT_ENDED_TASKS, ret_limit);
        if (r < 0)
                return r;

        r = db_each(&t, dismiss_sql[MANY], collect_id, &list, DB_INT(*ret_limit), DB_INT(1));
        return r < 0 ? r : list.n > 0;
}

int task_forget_many(struct model *m)
{
        int64_t oldest_us;
        uint64_t limit;
        int r;

        do {
                r = any_too_many(m, &limit);
                if (r > 0)
                        r = forget_some(m, dismiss_sql[MANY], (int64_t)limit, &oldest_us);
        } while (r > 0);

        return r;
}
