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

#endif
