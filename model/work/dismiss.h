/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_DISMISS_H
#define MODEL_WORK_DISMISS_H

/* Tasks that ended long ago. Private to model/. */

#include <stdint.h>

struct model;

/* How long an ended task is shown in /tasks. */
#define TASK_SHOWN_DAYS 7

/* Takes tasks that ended before a while from /tasks. *ret_due_us: when the next one is due, 0: none is. */
int task_forget_old(struct model *m, int64_t *ret_due_us);
/* Likewise of each user what ended before the newest of hers that are shown. */
int task_forget_many(struct model *m);

#endif
