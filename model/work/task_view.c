/* SPDX-License-Identifier: MIT */
/*
 * What others see of tasks: in /tasks, in an image's copies/ and convert, and as its progress. A row is older than what
 * runs; how far that is, is asked of jobs.c after the row was read, and without a transaction.
 */

#include <errno.h>
#include <string.h>

#include "model/core/jobs.h"
#include "model/core/object_row.h"
#include "model/intake/uploads.h"
#include "model/work/convert.h"
#include "model/work/copy_row.h"
#include "model/work/tasks.h"

enum {
        VIEW_OBJECT,
        VIEW_BY_IDENT,
        VIEW_ALL,
        VIEW_COUNT_ACTIVE,
        VIEW_ALL_ACTIVE_OF_IMAGE,
        VIEW_ALL_ACTIVE_OF_SNAPSHOT,
        VIEW_COPIES,
        VIEW_COPY_TO,
        VIEW_LAST_CONVERT,
};

/* A task's directory, as a struct object: it is called by the task's id, or by the region that a copy goes to. */
#define TASK_DIRECTORY(handle)                                                          \
        "SELECT task.id, " handle ", task.uid, task.gid, task.mode, task.created,"      \
        " coalesce(task.finished, task.started, task.created), 0, 0 FROM task "
#define SELECT_TASK TASK_DIRECTORY("task.ident")
#define REGION_NAME "ifnull(region.handle, task.region_name)"
#define SELECT_COPY TASK_DIRECTORY(REGION_NAME) "LEFT JOIN region ON region.id = task.region "      \
                    "WHERE task.image = ?1 AND task.kind = 'copy' AND task.in_image = 1 "

static const char *const task_view_sql[] = {
        [VIEW_OBJECT] = SELECT_TASK "WHERE task.id = ?1",
        [VIEW_BY_IDENT] = SELECT_TASK "WHERE task.in_tasks = ?1 AND task.ident = ?2",
        [VIEW_ALL] = SELECT_TASK "WHERE task.in_tasks = ?1 ORDER BY task.id",
        [VIEW_COUNT_ACTIVE] = "SELECT count(*), ifnull(sum(task.status = 'running'), 0) FROM task WHERE " TASK_IS_ACTIVE,
        [VIEW_ALL_ACTIVE_OF_IMAGE] = SELECT_TASK "WHERE " TASK_IS_ACTIVE " AND (task.image = ?1 OR task.result = ?1)"
                                                 " ORDER BY task.ident",
        [VIEW_ALL_ACTIVE_OF_SNAPSHOT] = SELECT_TASK "WHERE " TASK_IS_ACTIVE " AND task.snapshot = ?1"
                                                    " ORDER BY task.ident",
        [VIEW_COPIES] = SELECT_COPY "ORDER BY 2",
        [VIEW_COPY_TO] = SELECT_COPY "AND " REGION_NAME " = ?2",
        [VIEW_LAST_CONVERT] = TASK_SELECT "WHERE task.image = ?1 AND task.kind = 'convert' AND task.in_image = 1"
                                          " ORDER BY task.id DESC LIMIT 1",
};

const struct db_statements task_view_statements = DB_STATEMENTS(task_view_sql);

/*
 * Brings a task read from its row up to date. The worker may end it at this moment; then the row's next reader sees
 * that.
 */
static void task_merge_progress(struct model *m, struct task *task)
{
        if (task->status == TASK_RUNNING)
                (void)jobs_get_progress(m, task->o.id, &task->progress); /* false: the row says as much */
}

int task_get(struct model *m, uint64_t id, struct task *ret)
{
        struct task task;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r < 0)
                        return r;

                r = task_load(&t, id, &task);
                if (r < 0)
                        return r;
        }

        task_merge_progress(m, &task);
        *ret = task;
        return 0;
}

int task_get_object(struct model *m, uint64_t id, struct object *ret)
{
        return object_get(m, task_view_sql[VIEW_OBJECT], id, ret);
}

int task_find(struct model *m, const char *ident, struct object *ret)
{
        return object_find(m, task_view_sql[VIEW_BY_IDENT], true, ident, ret);
}

int task_each(struct model *m, object_fn *fn, void *ctx)
{
        return object_each(m, task_view_sql[VIEW_ALL], true, fn, ctx);
}

struct active {
        uint64_t all, running;
};

static int take_active(void *ctx, const struct db_row *row)
{
        struct active *a = ctx;

        a->all = (uint64_t)db_row_int(row, 0);
        a->running = (uint64_t)db_row_int(row, 1);
        return 0;
}

int task_count_active(struct model *m, uint64_t *ret_queued, uint64_t *ret_running)
{
        struct active a;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_one(&t, task_view_sql[VIEW_COUNT_ACTIVE], take_active, &a);
        if (r < 0)
                return r;
        *ret_queued = a.all - a.running;
        *ret_running = a.running;
        return 0;
}

int image_used_by(struct model *m, uint64_t id, object_fn *fn, void *ctx)
{
        return object_each(m, task_view_sql[VIEW_ALL_ACTIVE_OF_IMAGE], id, fn, ctx);
}

int snapshot_used_by(struct model *m, uint64_t id, object_fn *fn, void *ctx)
{
        return object_each(m, task_view_sql[VIEW_ALL_ACTIVE_OF_SNAPSHOT], id, fn, ctx);
}

int image_get_progress(struct model *m, uint64_t id, struct progress *ret)
{
        struct progress progress = { 0 };
        uint64_t done, total;
        struct image image;
        struct task task;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r < 0)
                        return r;

                r = image_load(&t, id, &image);
                if (r < 0)
                        return r;

                r = task_active_of_image(&t, id, &task);
                if (r < 0 && r != -ENOENT)
                        return r;
        }

        switch (image.status) {
        case IMAGE_AVAILABLE:
        case IMAGE_DELETED:
                progress_set(&progress, image.o.size_bytes, image.o.size_bytes, true);
                break;
        case IMAGE_UPLOADING:
                if (r < 0) { /* no fetch */
                        upload_progress(m, id, &done, &total);
                        progress_set(&progress, done, total, false);
                        break;
                }
                __attribute__((fallthrough));
        default:
                if (r == 0) {
                        task_merge_progress(m, &task);
                        progress = task.progress;
                }
                break;
        }

        *ret = progress;
        return 0;
}

int copy_load(struct db_txn *t, uint64_t image, const char *region, struct object *ret)
{
        return db_one(t, task_view_sql[VIEW_COPY_TO], object_load_row, ret, DB_INT(image), DB_TEXT(region));
}

int copy_find(struct model *m, uint64_t image, const char *region, struct object *ret)
{
        return object_find(m, task_view_sql[VIEW_COPY_TO], image, region, ret);
}

int copy_each(struct model *m, uint64_t image, object_fn *fn, void *ctx)
{
        return object_each(m, task_view_sql[VIEW_COPIES], image, fn, ctx);
}

int image_get_conversion(struct model *m, uint64_t id, struct conversion *ret)
{
        struct conversion conversion = { 0 };
        struct image image;
        struct task task;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r < 0)
                        return r;

                r = db_one(&t, task_view_sql[VIEW_LAST_CONVERT], task_take_row, &task, DB_INT(id));
                if (r == -ENOENT) {
                        *ret = conversion;
                        return 0;
                }
                if (r < 0)
                        return r;

                if (task.result != 0) {
                        r = image_load(&t, task.result, &image);
                        if (r < 0)
                                return r;

                        memcpy(conversion.image, image.ident, sizeof(conversion.image));
                        conversion.image_id = image.o.id;
                }
        }

        task_merge_progress(m, &task);
        conversion.percent = task.progress.percent;

        switch (task.status) {
        case TASK_QUEUED:
        case TASK_RUNNING:
                conversion.status = CONVERT_RUNNING;
                break;
        case TASK_DONE:
                conversion.status = CONVERT_DONE;
                break;
        case TASK_ERROR:
                conversion.status = CONVERT_FAILED;
                break;
        default:
                conversion.status = CONVERT_IDLE; /* cancelled: as if it had never been */
                break;
        }

        *ret = conversion;
        return 0;
}
