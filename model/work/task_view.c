/* SPDX-License-Identifier: MIT */
/*
 * What others see of tasks: in /tasks, in an image's copies/ and convert, and as its progress. A row is older than what
 * runs; how far that is, is asked of the runner after the row was read, and without a transaction.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/core/jobs.h"
#include "model/intake/uploads.h"
#include "model/work/convert.h"
#include "model/work/copy_row.h"
#include "model/work/tasks.h"

enum {
        VIEW_BY_IDENT,
        VIEW_ALL,
        VIEW_ALL_ACTIVE_OF_IMAGE,
        VIEW_COPIES,
        VIEW_COPY_TO,
        VIEW_LAST_CONVERT,
};

static const char *const task_view_sql[] = {
        [VIEW_BY_IDENT] = TASK_SELECT "WHERE task.ident = ?1 AND task.in_tasks = 1",
        [VIEW_ALL] = TASK_SELECT "WHERE task.in_tasks = 1 ORDER BY task.ident",
        [VIEW_ALL_ACTIVE_OF_IMAGE] = TASK_SELECT "WHERE " TASK_IS_ACTIVE " AND (task.image = ?1 OR task.result = ?1)"
                                                 " ORDER BY task.ident",
        [VIEW_COPIES] = TASK_SELECT "WHERE task.image = ?1 AND task.kind = 'copy' AND task.in_image = 1 ORDER BY 8",
        [VIEW_COPY_TO] = TASK_SELECT "WHERE task.image = ?1 AND task.kind = 'copy' AND task.in_image = 1"
                                     " AND ifnull(region.handle, task.region_name) = ?2",
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
        struct task task;
        int r;

        r = task_get(m, id, &task);
        if (r < 0)
                return r;

        *ret = task.o;
        return 0;
}

int task_find(struct model *m, const char *ident, struct object *ret)
{
        struct task task;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        r = db_one(&t, task_view_sql[VIEW_BY_IDENT], task_take_row, &task, DB_TEXT(ident));
        if (r < 0)
                return r;

        *ret = task.o;
        return 0;
}

struct each {
        object_fn *fn;
        void *ctx;
};

static int each_task(void *ctx, const struct db_row *row)
{
        const struct each *each = ctx;
        struct task task;
        int r;

        r = task_from_row(row, &task);
        if (r < 0)
                return r;

        return each->fn(each->ctx, &task.o);
}

int task_each(struct model *m, object_fn *fn, void *ctx)
{
        struct each each = { .fn = fn, .ctx = ctx };
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        return db_each(&t, task_view_sql[VIEW_ALL], each_task, &each);
}

int image_used_by(struct model *m, uint64_t id, object_fn *fn, void *ctx)
{
        struct each each = { .fn = fn, .ctx = ctx };
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        return db_each(&t, task_view_sql[VIEW_ALL_ACTIVE_OF_IMAGE], each_task, &each, DB_INT(id));
}

int image_get_progress(struct model *m, uint64_t id, struct progress *ret)
{
        struct progress progress = { 0 };
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
                progress_set(&progress, image.size_bytes, image.size_bytes, true);
                break;
        case IMAGE_UPLOADING:
                if (r < 0) { /* no fetch: how much will come is not known */
                        progress_set(&progress, upload_bytes(m, id), 0, false);
                        break;
                }
                /* fall through */
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

/* The copy's directory is named after the region. */
static void copy_object(const struct task *task, struct object *ret)
{
        *ret = task->o;
        (void)snprintf(ret->handle, sizeof(ret->handle), "%s", task->region_name);
}

int copy_load(struct db_txn *t, uint64_t image, const char *region, struct object *ret)
{
        struct task task;
        int r;

        r = db_one(t, task_view_sql[VIEW_COPY_TO], task_take_row, &task, DB_INT(image), DB_TEXT(region));
        if (r < 0)
                return r;

        copy_object(&task, ret);
        return 0;
}

int copy_find(struct model *m, uint64_t image, const char *region, struct object *ret)
{
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        return copy_load(&t, image, region, ret);
}

static int each_copy(void *ctx, const struct db_row *row)
{
        const struct each *each = ctx;
        struct object o;
        struct task task;
        int r;

        r = task_from_row(row, &task);
        if (r < 0)
                return r;

        copy_object(&task, &o);
        return each->fn(each->ctx, &o);
}

int copy_each(struct model *m, uint64_t image, object_fn *fn, void *ctx)
{
        struct each each = { .fn = fn, .ctx = ctx };
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        return db_each(&t, task_view_sql[VIEW_COPIES], each_copy, &each, DB_INT(image));
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
