/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_TASKS_H
#define MODEL_WORK_TASKS_H

/* Tasks, as users see them in /tasks and at what they work on. */

#include "model/core/task.h"

int task_get(struct model *m, uint64_t id, struct task *ret); /* -ENOENT */
int task_get_object(struct model *m, uint64_t id, struct object *ret);
int task_find(struct model *m, const char *ident, struct object *ret); /* of those shown in /tasks */
int task_each(struct model *m, object_fn *fn, void *ctx);
/* How many there are that wait for a worker, or have one. */
int task_count_active(struct model *m, uint64_t *ret_queued, uint64_t *ret_running);
/* rmdir in /tasks: cancels what runs (and what it was making disappears), forgets what has ended. */
int task_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag);

/* What keeps the image from being deleted: calls FN with tasks of it that run. */
int image_used_by(struct model *m, uint64_t id, object_fn *fn, void *ctx);
/* Likewise a snapshot. */
int snapshot_used_by(struct model *m, uint64_t id, object_fn *fn, void *ctx);

/* How far the work on the image is; 100 % of its size when it is available. */
int image_get_progress(struct model *m, uint64_t id, struct progress *ret);

#endif
