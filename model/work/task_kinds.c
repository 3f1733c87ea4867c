/* SPDX-License-Identifier: MIT */
/* The kinds of tasks, a row each. */

#include "model/work/task_kinds.h"

#include "model/image/making.h"
#include "model/intake/fetch_task.h"
#include "model/machine/volume_snapshot.h"

/*
 * What a conversion or copy was making: nobody asked for a half of it, so a cancelled one was never there, and a failed
 * one says why until it is deleted.
 */
static int undo_result(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch)
{
        if (task->result == 0)
                return 0;

        if (sentence)
                return making_fail(t, task->result, sentence, ch);

        return making_drop(t, task->result, ch);
}

const struct task_ops task_kinds[TASK_KIND_COUNT] = {
        [TASK_FETCH] = { .run = fetch_run, .undo = fetch_undo, .clear = import_clear },
        [TASK_IMPORT] = { .run = import_run, .undo = import_undo, .clear = import_clear },
        [TASK_CONVERT] = { .run = convert_run, .undo = undo_result },
        [TASK_COPY] = { .run = copy_run, .undo = undo_result },
        [TASK_CAPTURE] = { .run = capture_run, .undo = capture_undo },
        [TASK_DISK_SNAPSHOT] = { .run = volume_snapshot_run, .undo = volume_snapshot_undo },
};
