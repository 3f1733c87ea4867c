/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_TASK_ROW_H
#define MODEL_WORK_TASK_ROW_H

/* Reading task rows: for task.c and task_view.c. Private to model/. */

#include "model/db/db.h"
#include "model/work/task.h"

/* As the index task_active has it, or sqlite would not use the index. */
#define TASK_IS_ACTIVE "task.status IN ('queued', 'running')"

/* The columns that task_from_row() wants; a condition follows. */
#define TASK_SELECT                                                                                      \
        "SELECT task.id, task.ident, task.kind, task.status, task.image, task.image_ident, task.region," \
        " ifnull(region.handle, task.region_name), task.result, task.done_bytes, task.total_bytes,"      \
        " task.uid, task.gid, task.mode, task.created, task.started, task.finished, task.error,"         \
        " task.instance, task.volume, task.snapshot"                                                     \
        " FROM task LEFT JOIN region ON region.id = task.region "

int task_from_row(const struct db_row *row, struct task *ret);

/* A db_row_fn that fills a struct task. */
int task_take_row(void *ctx, const struct db_row *row);

#endif
