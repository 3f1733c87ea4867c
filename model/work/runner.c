/* SPDX-License-Identifier: MIT */
/*
 * The threads that do the work: some workers that run tasks, oldest first; one more worker that takes only tasks that
 * move no bytes, so that those do not wait behind long imports; some that take only fetches, which mostly wait
 * themselves; one that works out checksums (checksum.c); and one for upkeep (reap.c). Rows say what is to be done, the
 * runner only when to look: whoever commits something that needs work wakes it, and nothing polls.
 *
 * The mutex covers the flags and the list of running jobs; it is a leaf, taken under transactions too, and
 * nothing is called while it is held. At the end the jobs stop at their next progress, and their rows stay as they
 * are: the next start queues them again.
 *
 * A failure that cannot be recorded (no space for the database) is tried again until it can be; a library that may not
 * write any more leaves its tasks to the next start.
 */

#include "model/work/runner.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/log.h"

#define WORKERS_DEFAULT 2
#define WORKERS_MAX     64

/* What could not be recorded is tried again after this time. */
#define RETRY_S 5

#define FETCHERS 8

/* The lanes of tasks, and one more. */
enum { LANE_CHECKSUM = TASK_LANE_COUNT, LANE_COUNT };

struct worker {
        struct runner *r;
        unsigned lane;
        pthread_t thread;
};

struct runner {
        struct model *m;
        uint64_t inherited; /* tasks up to this one are from an earlier run */

        pthread_mutex_t mutex;
        pthread_cond_t queued[LANE_COUNT]; /* look[lane], or stopping */
        pthread_cond_t upkeep; /* tidy, or stopping */
        pthread_cond_t stop; /* stopping, or a job was cancelled */
        bool stopping; /* the rest is under the mutex */
        bool look[LANE_COUNT]; /* there may be a queued task */
        bool tidy; /* there may be something for upkeep */
        bool garbage; /* there may be bytes that nothing uses */
        bool left; /* … and blobs without a name, of a task that did not come to its end */
        struct job *jobs;

        struct worker *workers;
        size_t n_workers;
        pthread_t keeper;
        bool has_keeper;
};

/* ---- jobs ---- */

int job_progress(struct job *job, uint64_t done_bytes, uint64_t total_bytes)
{
        struct runner *r = job->runner;
        LOCK_SCOPE(&r->mutex);

        job->done_bytes = done_bytes;
        job->total_bytes = total_bytes;
        return job->cancelled || r->stopping ? -ECANCELED : 0;
}

static bool job_must_stop(struct job *job)
{
        LOCK_SCOPE(&job->runner->mutex);

        return job->cancelled || job->runner->stopping;
}

static void job_get_progress(struct job *job, bool finished, struct progress *ret)
{
        LOCK_SCOPE(&job->runner->mutex);

        progress_set(ret, job->done_bytes, job->total_bytes, finished);
}

int job_finish(struct job *job, struct db_txn *ret)
{
        struct progress progress;
        int r;
        DB_TXN(t);

        r = db_begin(job->m->db, DB_WRITE, &t);
        if (r < 0)
                return r;

        job_get_progress(job, true, &progress);

        r = task_end(&t, job->task.o.id, TASK_DONE, "", &progress);
        if (r < 0)
                return r;

        *ret = t;
        t.db = NULL;
        return 0;
}

static struct job *find_job(struct runner *r, uint64_t task)
{
        for (struct job *job = r->jobs; job; job = job->next)
                if (job->task.o.id == task)
                        return job;

        return NULL;
}

void runner_cancel(struct model *m, uint64_t task)
{
        struct runner *r = m->runner;
        struct job *job;

        if (!r)
                return;

        LOCK_SCOPE(&r->mutex);

        job = find_job(r, task);
        if (!job)
                return;

        job->cancelled = true;
        pthread_cond_broadcast(&r->stop);
}

void runner_cancel_image(struct model *m, uint64_t image)
{
        struct runner *r = m->runner;

        if (!r)
                return;

        LOCK_SCOPE(&r->mutex);

        for (struct job *job = r->jobs; job; job = job->next)
                job->cancelled |= job->task.image == image;
        pthread_cond_broadcast(&r->stop);
}

bool runner_get_progress(struct model *m, uint64_t task, struct progress *ret)
{
        struct runner *r = m->runner;
        struct job *job;

        if (!r)
                return false;

        LOCK_SCOPE(&r->mutex);

        job = find_job(r, task);
        if (!job)
                return false;

        progress_set(ret, job->done_bytes, job->total_bytes, false);
        return true;
}

bool runner_is_busy(struct model *m)
{
        struct runner *r = m->runner;

        if (!r)
                return false;

        LOCK_SCOPE(&r->mutex);

        return r->jobs != NULL;
}

bool runner_is_stopping(struct model *m)
{
        struct runner *r = m->runner;

        if (!r)
                return false;

        LOCK_SCOPE(&r->mutex);

        return r->stopping;
}

void runner_wake(struct model *m)
{
        struct runner *r = m->runner;

        if (!r)
                return;

        LOCK_SCOPE(&r->mutex);

        for (unsigned lane = 0; lane < LANE_COUNT; lane++) {
                r->look[lane] = true;
                pthread_cond_signal(&r->queued[lane]);
        }
        r->tidy = true;
        pthread_cond_signal(&r->upkeep);
}

/* Waits SECONDS, or until *CANCELLED; false: the library is being closed. */
static bool pause_for(struct runner *r, unsigned seconds, const bool *cancelled)
{
        struct timespec until;
        LOCK_SCOPE(&r->mutex);

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += seconds;

        while (!r->stopping && !*cancelled)
                if (pthread_cond_clockwait(&r->stop, &r->mutex, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
                        break;

        return !r->stopping;
}

static bool pause_for_retry(struct runner *r)
{
        return pause_for(r, RETRY_S, &(bool){ false });
}

int job_pause(struct job *job, unsigned seconds)
{
        (void)pause_for(job->runner, seconds, &job->cancelled);
        return job_must_stop(job) ? -ECANCELED : 0;
}

/* ---- workers ---- */

static int record_failure(struct job *job, const char *sentence)
{
        struct changes changes = { 0 };
        struct progress progress;
        int r;

        job_get_progress(job, false, &progress);

        {
                DB_TXN(t);

                r = db_begin(job->m->db, DB_WRITE, &t);
                if (r < 0)
                        return r;

                r = task_end(&t, job->task.o.id, TASK_ERROR, sentence, &progress);
                if (r < 0)
                        return r;

                r = task_kinds[job->task.kind].undo(&t, &job->task, sentence, &changes);
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        if (task_kinds[job->task.kind].clear)
                task_kinds[job->task.kind].clear(job->m, &job->task);

        changes_tell(job->m, &changes);
        return 0;
}

static void tidy_garbage(struct runner *r, bool left)
{
        LOCK_SCOPE(&r->mutex);

        r->garbage = true;
        r->left |= left;
        r->tidy = true;
        pthread_cond_signal(&r->upkeep);
}

void runner_tidy(struct model *m)
{
        if (m->runner)
                tidy_garbage(m->runner, false);
}

static void fail_job(struct job *job, int error)
{
        void (*clear)(struct model *m, const struct task *task) = task_kinds[job->task.kind].clear;
        int r;

        log_debug("model: %s %s: %s", task_kind_name(job->task.kind), job->task.o.handle, strerror(-error));

        if (strbuf_text(&job->reason)[0] == '\0')
                work_add_sentence(&job->reason, error);

        for (;;) {
                r = record_failure(job, strbuf_text(&job->reason));
                if (r == 0 || r == -ECANCELED || r == -EROFS || model_is_degraded(job->m))
                        return;

                /* It has failed for good: what it holds may be the space that is missing. */
                if (clear)
                        clear(job->m, &job->task);
                tidy_garbage(job->runner, true);
                if (!pause_for_retry(job->runner))
                        return;
        }
}

static void link_job(struct runner *r, struct job *job)
{
        LOCK_SCOPE(&r->mutex);

        job->next = r->jobs;
        r->jobs = job;
}

/* LEFT: bytes that it did not bring in. */
static void unlink_job(struct runner *r, struct job *job, bool left)
{
        LOCK_SCOPE(&r->mutex);

        for (struct job **p = &r->jobs; *p; p = &(*p)->next)
                if (*p == job) {
                        *p = job->next;
                        break;
                }

        r->garbage |= left;
        r->left |= left;
        r->tidy = true;
        pthread_cond_signal(&r->upkeep);
}

/* Is the task still to be done? It may have been cancelled before a cancel could find the job. */
static int job_is_wanted(struct job *job)
{
        struct task task;
        int r;
        DB_TXN(t);

        r = db_begin(job->m->db, DB_READ, &t);
        if (r < 0)
                return r;

        r = task_load(&t, job->task.o.id, &task);
        if (r == -ENOENT || (r == 0 && task.status != TASK_RUNNING))
                return -ECANCELED;

        return r;
}

static void run_job(struct runner *r, struct job *job)
{
        int k;

        link_job(r, job);
        model_changed(r->m, OBJECT_TASK, job->task.o.id);

        k = job_is_wanted(job);
        if (k == 0)
                k = task_kinds[job->task.kind].run(job);
        /* -EROFS: nothing can be made safe any more; the next start takes it up again. */
        if (k < 0 && k != -ECANCELED && k != -EROFS && !job_must_stop(job))
                fail_job(job, k);

        unlink_job(r, job, k < 0);

        model_changed(r->m, OBJECT_TASK, job->task.o.id);
        model_changed(r->m, OBJECT_IMAGE, job->task.image);
        if (job->task.result)
                model_changed(r->m, OBJECT_IMAGE, job->task.result);
}

/* Waits until there may be a task; false: the library is being closed. */
static bool wait_for_work(struct runner *r, unsigned lane)
{
        LOCK_SCOPE(&r->mutex);

        while (!r->stopping && !r->look[lane])
                pthread_cond_wait(&r->queued[lane], &r->mutex);
        r->look[lane] = false;

        return !r->stopping;
}

/* One task was found, so there may be another: for another worker of the lane, if one is free. */
static void look_again(struct runner *r, unsigned lane)
{
        LOCK_SCOPE(&r->mutex);

        r->look[lane] = true;
        pthread_cond_signal(&r->queued[lane]);
}

static void *worker_main(void *arg)
{
        struct worker *w = arg;
        struct runner *r = w->r;
        struct job *job = NULL;
        int k;

        while (wait_for_work(r, w->lane)) {
                if (!job)
                        job = malloc(sizeof(*job));
                if (job) {
                        *job = (struct job){ .m = r->m, .runner = r };
                        k = task_claim(r->m, (enum task_lane)w->lane, &job->task);
                } else {
                        k = -ENOMEM;
                }

                if (k == -ENOENT)
                        continue;
                look_again(r, w->lane);

                if (k < 0) {
                        if (k == -EROFS || !pause_for_retry(r))
                                break;
                        continue;
                }

                job->inherited = job->task.o.id <= r->inherited;
                run_job(r, job);
                strbuf_done(&job->reason);
        }

        free(job);
        return NULL;
}

static void *checksum_main(void *arg)
{
        struct worker *w = arg;
        uint64_t after = 0; /* blobs up to this one have had their turn */

        checksum_give_way();
        while (wait_for_work(w->r, w->lane))
                while (checksum_next(w->r->m, &after) == 0)
                        ;

        return NULL;
}

/* ---- upkeep ---- */

/*
 * Waits until there is something to tidy, at the latest until DUE_US (0: no such time); false: the library is being
 * closed.
 */
static bool wait_for_upkeep(struct runner *r, int64_t due_us, struct reaper *reaper, bool *ret_garbage)
{
        struct timespec until = { .tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000 };
        int k = 0;
        LOCK_SCOPE(&r->mutex);

        while (!r->stopping && !r->tidy && k != ETIMEDOUT) {
                if (due_us)
                        k = pthread_cond_timedwait(&r->upkeep, &r->mutex, &until);
                else
                        k = pthread_cond_wait(&r->upkeep, &r->mutex);
        }

        *ret_garbage = r->garbage;
        if (r->left)
                reaper->collected = false;
        r->tidy = false;
        r->garbage = false;
        r->left = false;
        return !r->stopping;
}

static void *keeper_main(void *arg)
{
        struct runner *r = arg;
        struct reaper reaper = { .m = r->m, .inherited = r->inherited };
        int64_t due_us = 0;
        bool garbage;

        while (wait_for_upkeep(r, due_us, &reaper, &garbage)) {
                due_us = reap_run(&reaper, &garbage);

                /* Not at once, or it would spin: the next round looks again. */
                LOCK_SCOPE(&r->mutex);
                r->garbage |= garbage;
        }

        return NULL;
}

/* ---- start and stop ---- */

static void runner_free(struct runner *r)
{
        for (unsigned lane = 0; lane < LANE_COUNT; lane++)
                pthread_cond_destroy(&r->queued[lane]);
        pthread_cond_destroy(&r->upkeep);
        pthread_cond_destroy(&r->stop);
        pthread_mutex_destroy(&r->mutex);
        free(r->workers);
        free(r);
}

void runner_stop(struct runner *r)
{
        if (!r)
                return;

        {
                LOCK_SCOPE(&r->mutex);

                r->stopping = true;
                for (unsigned lane = 0; lane < LANE_COUNT; lane++)
                        pthread_cond_broadcast(&r->queued[lane]);
                pthread_cond_broadcast(&r->upkeep);
                pthread_cond_broadcast(&r->stop);
        }

        for (size_t i = 0; i < r->n_workers; i++)
                (void)pthread_join(r->workers[i].thread, NULL);
        if (r->has_keeper)
                (void)pthread_join(r->keeper, NULL);

        runner_free(r);
}

static int start_worker(struct runner *r, unsigned lane)
{
        struct worker *w = &r->workers[r->n_workers];
        int k;

        *w = (struct worker){ .r = r, .lane = lane };

        k = pthread_create(&w->thread, NULL, lane == LANE_CHECKSUM ? checksum_main : worker_main, w);
        if (k != 0)
                return -k;

        r->n_workers++;
        return 0;
}

int runner_start(struct model *m, unsigned workers, struct runner **ret)
{
        struct runner *r;
        int k;

        if (workers == 0)
                workers = WORKERS_DEFAULT;
        if (workers > WORKERS_MAX)
                workers = WORKERS_MAX;

        r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;

        r->m = m;
        pthread_mutex_init(&r->mutex, NULL);
        for (unsigned lane = 0; lane < LANE_COUNT; lane++) {
                pthread_cond_init(&r->queued[lane], NULL);
                r->look[lane] = true;
        }
        pthread_cond_init(&r->upkeep, NULL);
        pthread_cond_init(&r->stop, NULL);
        r->tidy = true;
        r->garbage = true;

        k = task_requeue(m, &r->inherited);
        if (k < 0)
                goto fail;

        r->workers = calloc(workers + FETCHERS + 2, sizeof(*r->workers));
        if (!r->workers) {
                k = -ENOMEM;
                goto fail;
        }

        /* The threads reach the runner through the model: none gets past the mutex before it is there. */
        lock(&r->mutex);

        k = start_worker(r, TASK_LANE_INSTANT);
        if (k == 0)
                k = start_worker(r, LANE_CHECKSUM);
        for (unsigned i = 0; i < workers && k == 0; i++)
                k = start_worker(r, TASK_LANE_WORK);
        for (unsigned i = 0; i < FETCHERS && k == 0; i++)
                k = start_worker(r, TASK_LANE_FETCH);
        if (k == 0) {
                k = -pthread_create(&r->keeper, NULL, keeper_main, r);
                r->has_keeper = k == 0;
        }
        if (k == 0)
                *ret = r;
        else
                r->stopping = true;

        unlock(&r->mutex);
        if (k == 0)
                return 0;

fail:
        runner_stop(r);
        return k;
}
