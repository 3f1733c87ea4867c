/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_FOLLOW_TASK_H
#define MODEL_INTAKE_FOLLOW_TASK_H

/* Looking at an upstream, as a task, and who sees to it that it happens. Private to model/. */

#include "model/core/changes.h"
#include "model/core/jobs.h"

/* At start. */
int follow_recover(struct model *m);
int follow_run(struct job *job);
int follow_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch);

/*
 * Ends the runs whose image is there, or will not be, and begins those that are due. Gives when to come again, at the
 * latest; 0: when something has happened.
 */
int64_t follow_turn(struct model *m);

#endif
