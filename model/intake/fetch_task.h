/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_FETCH_TASK_H
#define MODEL_INTAKE_FETCH_TASK_H

/* Fetching as a task. Private to model/. */

#include "model/core/changes.h"
#include "model/core/jobs.h"

/* Seals what an earlier version left open. At start. */
int fetch_recover(struct model *m);
int fetch_run(struct job *job);
int fetch_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch);
/* Keeps what came, where trying again may go on from there. */
void fetch_clear(struct model *m, const struct task *task);

/* Removes the file of a task that has ended, unless another try has it by now. */
void fetch_discard(struct model *m, const struct task *task);

/* The image has its bytes: the address is not needed any more. */
int fetch_forget(struct db_txn *t, uint64_t image);

#endif
