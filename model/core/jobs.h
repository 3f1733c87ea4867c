/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_JOBS_H
#define MODEL_CORE_JOBS_H

/*
 * The tasks at work at this moment, how far they are, and the signals between who has work done and who does it: the
 * rows say what is to be done, this only when to look. It is a leaf: its mutex is taken under transactions too, and
 * nothing is called while it is held. Where nothing is worked on, model.jobs is NULL, and the functions that take a
 * model accept that. Private to model/.
 */

#include "blobstore/base/child_leash.h"
#include "blobstore/base/strbuf.h"
#include "model/core/task_row.h"

/* The lanes of tasks, and three more. */
enum { JOBS_LANE_CHECKSUM = TASK_LANE_COUNT, JOBS_LANE_SCRUB, JOBS_LANE_FOLLOW, JOBS_LANE_COUNT };

struct job {
        struct model *m;
        struct task task; /* as it was when the work began */
        bool inherited; /* from an earlier run of the program: what it left may be anything */
        struct strbuf reason; /* why it failed, for the user, where the task knows better than the errno */

        struct job *next; /* the rest is under the mutex of jobs */
        uint64_t done_bytes, total_bytes;
        bool cancelled;
        struct child_leash leash; /* of its children: pulled when it is to stop */
};

struct jobs;
int jobs_new(struct jobs **ret);
void jobs_free(struct jobs *js); /* accepts NULL; nobody works any more */

/* ---- for who has work done ---- */

/* There may be new tasks, blobs to reap or recycled images to expire: look. Call after the commit. */
void jobs_wake(struct model *m);

/* Tells the worker of a task that ended otherwise to stop. */
void jobs_cancel(struct model *m, uint64_t task);

/* Likewise what works on an image that is gone. */
void jobs_cancel_image(struct model *m, uint64_t image);

/* Does a worker still have a task of the image that was cancelled? */
bool jobs_is_ending(struct model *m, uint64_t image);

/* Chunks were stored that nothing is going to use: the upkeep gives back their space. */
void jobs_tidy(struct model *m);

/* How far a running task is; false where no worker has it. */
bool jobs_get_progress(struct model *m, uint64_t task, struct progress *ret);

/* The task of the lowest number above AFTER that a worker has; 0: none. */
uint64_t jobs_next(struct model *m, uint64_t after);

/* Does any task run at this moment? */
bool jobs_is_busy(struct model *m);

/* Is the library being closed? */
bool jobs_is_stopping(struct model *m);

/* Is it, or is there something for the upkeep to look at? */
bool jobs_has_upkeep(struct model *m);

/* Has something been committed since this, or the last look for work in the lane, that may be work for it? */
bool jobs_has_news(struct model *m, unsigned lane);

/* ---- for a job ---- */

/* Notes how far JOB is. -ECANCELED: stop now; it was cancelled, or the library is being closed. */
int job_progress(struct job *job, uint64_t done_bytes, uint64_t total_bytes);

/* Waits SECONDS. -ECANCELED, at once: as job_progress() gives it. */
int job_pause(struct job *job, unsigned seconds);

/*
 * Begins the transaction that ends JOB as done: a task row that nobody else ended. The caller does the rest and
 * commits.
 */
int job_finish(struct job *job, struct db_txn *ret);

/* How far it is, as a row keeps it. */
void job_get_progress(struct job *job, bool finished, struct progress *ret);
bool job_must_stop(struct job *job);

/* ---- for the runner ---- */

/* The library is being closed: all that waits here returns, and jobs are told to stop. */
void jobs_stop(struct jobs *js);

/* Waits until there may be a task in the lane; false: the library is being closed. */
bool jobs_wait(struct jobs *js, unsigned lane);
/* At the latest until DUE_US (0: no such time). */
bool jobs_wait_until(struct jobs *js, unsigned lane, int64_t due_us);
/* One task was found, so there may be another: for another worker of the lane, if one is free. */
void jobs_look_again(struct jobs *js, unsigned lane);
/* Waits SECONDS; false: the library is being closed. */
bool jobs_pause(struct jobs *js, unsigned seconds);

void jobs_link(struct jobs *js, struct job *job);
/* LEFT: the job did not bring in the bytes that it stored. */
void jobs_unlink(struct jobs *js, struct job *job, bool left);

/* What there is for upkeep beside what rows say. */
struct upkeep {
        bool garbage; /* there may be bytes that nothing uses */
        bool left; /* … and blobs without a name, of a task that did not come to its end */
};
/* There is more of it. */
void jobs_add_upkeep(struct jobs *js, struct upkeep more);
/* The same, to be looked at in the next round and not at once. */
void jobs_defer_upkeep(struct jobs *js, struct upkeep more);
/* Waits for some, or a wake, at the latest until DUE_US (0: no such time); false: the library is being closed. */
bool jobs_wait_for_upkeep(struct jobs *js, int64_t due_us, struct upkeep *ret);

#endif
