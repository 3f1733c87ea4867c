/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_RUNNER_H
#define MODEL_WORK_RUNNER_H

/*
 * How tasks run: what a kind of task must know how to do, what it is given while it runs, and the steps on task
 * rows that go with it. Private to model/.
 *
 * The row decides. A task ends by one transaction that moves its status away from queued or running, and with it does
 * everything that the end means: a worker that is done, one that failed, or the rmdir that cancels it, whoever commits
 * first. The others find the row no longer active (-ECANCELED), roll back, and only clean up.
 */

#include "model/work/work.h"

/* ---- rows (task.c) ---- */

#define TASK_DETAIL_MAX 256

/* A task with this detail moves no bytes: a worker is kept free for such. */
#define TASK_DETAIL_INSTANT "instant"

/* How long an ended task is shown in /tasks. */
#define TASK_SHOWN_DAYS 7

int task_load(struct db_txn *t, uint64_t id, struct task *ret); /* -ENOENT; DB_READ will do */
int task_load_detail(struct db_txn *t, uint64_t id, char *buf, size_t size); /* DB_READ will do */

/*
 * The copy of an image that is shown under the region's name; *ret as copy_find() gives it. -ENOENT; DB_READ will do.
 */
int copy_load(struct db_txn *t, uint64_t image, const char *region, struct object *ret);

/* Ends an active task in STATUS. -ECANCELED: it is not active any more. */
int task_end(struct db_txn *t, uint64_t id, enum task_status status, const char *error,
             const struct progress *progress);

/* A task that was only just submitted, and whose work, on BYTES, is done already. */
int task_finish(struct db_txn *t, uint64_t id, uint64_t bytes);

/* Who takes which tasks: those that wait for others' networks keep nobody waiting, and instant ones wait for nobody. */
enum task_lane { TASK_LANE_WORK, TASK_LANE_INSTANT, TASK_LANE_FETCH, TASK_LANE_COUNT };

/* Takes the oldest queued task of a lane and marks it running. -ENOENT: there is none. */
int task_claim(struct model *m, enum task_lane lane, struct task *ret);

/* At start: what ran when the library was closed is queued again. Gives the newest task's id. */
int task_requeue(struct model *m, uint64_t *ret_newest);

/* Is a task up to NEWEST still active? 0 or 1. */
int task_any_active(struct model *m, uint64_t newest);

/* Takes tasks that ended before a while from /tasks. *ret_due_us: when the next one is due, 0: none is. */
int task_forget_old(struct model *m, int64_t *ret_due_us);

/* Fills in what the numbers say; 100 % only where FINISHED. */
void progress_set(struct progress *p, uint64_t done_bytes, uint64_t total_bytes, bool finished);

/* ---- kinds (task_kinds.c) ---- */

struct job {
        struct model *m;
        struct task task; /* as it was when the work began */
        bool inherited; /* from an earlier run of the program: what it left may be anything */
        struct strbuf reason; /* why it failed, for the user, where the task knows better than the errno */

        struct runner *runner;
        struct job *next; /* the rest is under the runner's mutex */
        uint64_t done_bytes, total_bytes;
        bool cancelled;
};

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
int fetch_run(struct job *job);
int fetch_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch);
int convert_run(struct job *job);
int copy_run(struct job *job);
int capture_run(struct job *job);
int capture_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch);
int volume_snapshot_run(struct job *job);
int volume_snapshot_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch);

/* copy.c: accepts a copy, inside the caller's transaction; the errors of image_copy(). */
int copy_submit(struct db_txn *t, const struct caller *c, const struct image *source, const struct region *target,
                struct changes *ch, struct diag *diag, uint64_t *ret_task);

/* ---- running (runner.c) ---- */

/* Notes how far JOB is. -ECANCELED: stop now; it was cancelled, or the library is being closed. */
int job_progress(struct job *job, uint64_t done_bytes, uint64_t total_bytes);

/* Waits SECONDS. -ECANCELED, at once: as job_progress() gives it. */
int job_pause(struct job *job, unsigned seconds);

/*
 * Begins the transaction that ends JOB as done: a task row that nobody else ended. The caller does the rest and
 * commits.
 */
int job_finish(struct job *job, struct db_txn *ret);

/* Tells the worker of a task that ended otherwise to stop. */
void runner_cancel(struct model *m, uint64_t task);

/* Likewise what works on an image that is gone. */
void runner_cancel_image(struct model *m, uint64_t image);

/* Chunks were stored that nothing is going to use: the upkeep gives back their space. */
void runner_tidy(struct model *m);

/* How far a running task is; false where no worker has it. */
bool runner_get_progress(struct model *m, uint64_t task, struct progress *ret);

/* Does any task run at this moment? */
bool runner_is_busy(struct model *m);

/* Is the library being closed? */
bool runner_is_stopping(struct model *m);

/* ---- checksums (checksum.c) ---- */

/* Makes the thread that calls it the last to get a processor. */
void checksum_give_way(void);

/* Works out that of the next blob after *AFTER that has none, and moves *AFTER. -ENOENT: there is none. */
int checksum_next(struct model *m, uint64_t *after);

/* ---- upkeep (reap.c) ---- */

struct reaper {
        struct model *m;
        uint64_t inherited; /* tasks up to this one are from an earlier run */
        bool collected; /* what an earlier run, or a task that failed, left behind is gone */
        int64_t forget_us; /* when the next ended task is to be forgotten, at the earliest */
};

/*
 * One round: recycled images whose time is up, old tasks, blobs without a name, and, where *GARBAGE, the space of
 * chunks that nothing uses; *GARBAGE then says whether some may be left. Gives the time of the next round that is known
 * to be needed, 0: none.
 */
int64_t reap_run(struct reaper *reaper, bool *garbage);

#endif
