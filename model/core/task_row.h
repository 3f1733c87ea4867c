/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_TASK_ROW_H
#define MODEL_CORE_TASK_ROW_H

/*
 * The rows of tasks. Private to model/.
 *
 * The row decides. A task ends by one transaction that moves its status away from queued or running, and with it does
 * everything that the end means: a worker that is done, one that failed, or the rmdir that cancels it, whoever commits
 * first. The others find the row no longer active (-ECANCELED), roll back, and only clean up.
 */

#include "model/core/state.h"
#include "model/core/task.h"

/* As the index task_active has it, or sqlite would not use the index. */
#define TASK_IS_ACTIVE "task.status IN ('queued', 'running')"

/* The columns that task_take_row() wants; a condition follows. */
#define TASK_SELECT                                                                                      \
        "SELECT task.id, task.ident, task.kind, task.status, task.image, task.image_ident, task.region," \
        " ifnull(region.handle, task.region_name), task.result, task.done_bytes, task.total_bytes,"      \
        " task.uid, task.gid, task.mode, task.created, task.started, task.finished, task.error,"         \
        " task.instance, task.volume, task.snapshot"                                                     \
        " FROM task LEFT JOIN region ON region.id = task.region "

/* A db_row_fn that fills a struct task. */
int task_take_row(void *ctx, const struct db_row *row);

struct task_new {
        enum task_kind kind;
        uint64_t image, region, result; /* 0: none, as in the next line */
        uint64_t instance, volume, snapshot;
        uint64_t place; /* where alone it can be done (core/place.h); 0: anywhere */
        const char *detail; /* may be NULL */
        const struct caller *caller;
        const struct object *heir; /* NULL: it is the caller's own; else its owner's, and open to whom it is */
};
int task_submit(struct db_txn *t, const struct task_new *n, uint64_t *ret);
/* A queued or running task that works on the image, or makes it. -ENOENT: there is none. DB_READ will do. */
int task_active_of_image(struct db_txn *t, uint64_t image, struct task *ret);
/* Likewise one that reads the disks of the instance, or the volume. */
int task_active_of_instance(struct db_txn *t, uint64_t instance, struct task *ret);
int task_active_of_volume(struct db_txn *t, uint64_t volume, struct task *ret);

#define TASK_DETAIL_MAX 256

/* A task with this detail moves no bytes: a worker is kept free for such. */
#define TASK_DETAIL_INSTANT "instant"

int task_load(struct db_txn *t, uint64_t id, struct task *ret); /* -ENOENT; DB_READ will do */
int task_load_detail(struct db_txn *t, uint64_t id, char *buf, size_t size); /* DB_READ will do */

int task_set_detail(struct db_txn *t, uint64_t id, const char *detail);

/* Ends an active task in STATUS. -ECANCELED: it is not active any more. */
int task_end(struct db_txn *t, uint64_t id, enum task_status status, const char *error,
             const struct progress *progress);

/* A task that was only just submitted, and whose work, on BYTES, is done already. */
int task_finish(struct db_txn *t, uint64_t id, uint64_t bytes);

/* Who takes which tasks: those that wait for others' networks keep nobody waiting, and instant ones wait for nobody. */
enum task_lane { TASK_LANE_WORK, TASK_LANE_INSTANT, TASK_LANE_FETCH, TASK_LANE_COUNT };

/*
 * Takes a queued task of a lane that can be worked on, users in turn and each one's oldest, and marks it running.
 * OF_ONE_USER: no more of one user's run than that, but for the administrator's. -ENOENT: there is none.
 */
int task_claim(struct model *m, enum task_lane lane, unsigned of_one_user, struct task *ret);

/* At start: what ran when the library was closed is queued again. Gives the newest task's id. */
int task_requeue(struct model *m, uint64_t *ret_newest);

/* Is a task up to NEWEST still active, but for what waits for a store that is offline, or for another host? 0 or 1. */
int task_any_active(struct model *m, uint64_t newest);

/* Fills in what the numbers say; 100 % only where FINISHED. */
void progress_set(struct progress *p, uint64_t done_bytes, uint64_t total_bytes, bool finished);

#endif
