/* SPDX-License-Identifier: MIT */
/* The functions of the table of kinds (core/task_kinds.h). */

#include "model/work/task_kinds.h"

#include "model/image/making.h"
#include "model/intake/fetch_task.h"
#include "model/intake/follow_task.h"
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
#define OPS(kind, word, lane, disks, of, shown, doing, from, makes, checked, ...) [TASK_##kind] = { __VA_ARGS__ },
        TASK_KINDS(OPS)
};
