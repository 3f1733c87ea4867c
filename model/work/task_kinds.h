/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_TASK_KINDS_H
#define MODEL_WORK_TASK_KINDS_H

/* What each kind of task must know how to do. Private to model/. */

#include "model/core/changes.h"
#include "model/core/jobs.h"

struct task_ops {
        /* Does the work from its start and ends the task as done in the transaction that brings the result. */
        int (*run)(struct job *job);
        /* Gives up what TASK was making, in the transaction that ends it. SENTENCE is why, NULL: it was cancelled. */
        int (*undo)(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch);
        /* After that commit: clears away what lies outside the database. May be NULL. */
        void (*clear)(struct model *m, const struct task *task);
};

extern const struct task_ops task_kinds[TASK_KIND_COUNT];

int import_run(struct job *job);
int import_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch);
void import_clear(struct model *m, const struct task *task);
int convert_run(struct job *job);
int copy_run(struct job *job);
int capture_run(struct job *job);
int capture_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch);

#endif
