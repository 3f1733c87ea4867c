/* SPDX-License-Identifier: MIT */

#include "model/core/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"

struct jobs {
        pthread_mutex_t mutex;
        pthread_cond_t queued[JOBS_LANE_COUNT]; /* look[lane], or stopping */
        pthread_cond_t upkeep; /* tidy, or stopping */
        pthread_cond_t stop; /* stopping, or a job was cancelled */
        bool stopping; /* the rest is under the mutex */
        bool look[JOBS_LANE_COUNT]; /* there may be a queued task */
        bool tidy; /* there may be something for upkeep */
        struct upkeep more; /* that rows do not tell */
        struct job *first;
};

/* Requests take the mutex, too, so whoever has it goes with them, scrub and all (thread.h). */
struct held {
        struct jobs *js;
        int nice;
};

static struct held hold(struct jobs *js)
{
        const struct held h = { js, thread_hurry(THREAD_NICE_REQUESTS) };

        lock(&js->mutex);
        return h;
}

static void let_go(const struct held *h)
{
        unlock(&h->js->mutex);
        thread_calm(h->nice);
}

#define HOLD_SCOPE(js) const struct held held_ __attribute__((cleanup(let_go), unused)) = hold(js)

int jobs_new(struct jobs **ret)
{
        struct jobs *js;

        js = calloc(1, sizeof(*js));
        if (!js)
                return -ENOMEM;

        pthread_mutex_init(&js->mutex, NULL);
        for (unsigned lane = 0; lane < JOBS_LANE_COUNT; lane++) {
                pthread_cond_init(&js->queued[lane], NULL);
                js->look[lane] = true;
        }
        pthread_cond_init(&js->upkeep, NULL);
        pthread_cond_init(&js->stop, NULL);
        js->tidy = true;
        js->more.garbage = true;
        *ret = js;
        return 0;
}

void jobs_free(struct jobs *js)
{
        if (!js)
                return;

        for (unsigned lane = 0; lane < JOBS_LANE_COUNT; lane++)
                pthread_cond_destroy(&js->queued[lane]);
        pthread_cond_destroy(&js->upkeep);
        pthread_cond_destroy(&js->stop);
        pthread_mutex_destroy(&js->mutex);
        free(js);
}

/* ---- for who has work done ---- */

static struct job *find_job(struct jobs *js, uint64_t task)
{
        for (struct job *job = js->first; job; job = job->next)
                if (job->task.o.id == task)
                        return job;

        return NULL;
}

void jobs_wake(struct model *m)
{
        struct jobs *js = m->jobs;

        if (!js)
                return;

        HOLD_SCOPE(js);

        for (unsigned lane = 0; lane < JOBS_LANE_COUNT; lane++) {
                js->look[lane] = true;
                pthread_cond_signal(&js->queued[lane]);
        }
        js->tidy = true;
        pthread_cond_signal(&js->upkeep);
}

void jobs_cancel(struct model *m, uint64_t task)
{
        struct jobs *js = m->jobs;
        struct job *job;

        if (!js)
                return;

        HOLD_SCOPE(js);

        job = find_job(js, task);
        if (!job)
                return;

        job->cancelled = true;
        child_leash_pull(&job->leash);
        pthread_cond_broadcast(&js->stop);
}

void jobs_cancel_image(struct model *m, uint64_t image)
{
        struct jobs *js = m->jobs;

        if (!js)
                return;

        HOLD_SCOPE(js);

        for (struct job *job = js->first; job; job = job->next)
                if (job->task.image == image) {
                        job->cancelled = true;
                        child_leash_pull(&job->leash);
                }
        pthread_cond_broadcast(&js->stop);
}

bool jobs_is_ending(struct model *m, uint64_t image)
{
        struct jobs *js = m->jobs;
        bool ending = false;

        if (!js)
                return false;

        HOLD_SCOPE(js);

        for (const struct job *job = js->first; job; job = job->next)
                ending |= job->task.image == image && job->cancelled;
        return ending;
}

void jobs_tidy(struct model *m)
{
        if (m->jobs)
                jobs_add_upkeep(m->jobs, (struct upkeep){ .garbage = true });
}

bool jobs_get_progress(struct model *m, uint64_t task, struct progress *ret)
{
        struct jobs *js = m->jobs;
        struct job *job;

        if (!js)
                return false;

        HOLD_SCOPE(js);

        job = find_job(js, task);
        if (!job)
                return false;

        progress_set(ret, job->done_bytes, job->total_bytes, false);
        return true;
}

uint64_t jobs_next(struct model *m, uint64_t after)
{
        struct jobs *js = m->jobs;
        uint64_t next = 0;

        if (!js)
                return 0;

        HOLD_SCOPE(js);

        for (const struct job *job = js->first; job; job = job->next)
                if (job->task.o.id > after && (next == 0 || job->task.o.id < next))
                        next = job->task.o.id;
        return next;
}

bool jobs_is_busy(struct model *m)
{
        struct jobs *js = m->jobs;

        if (!js)
                return false;

        HOLD_SCOPE(js);

        return js->first != NULL;
}

bool jobs_is_stopping(struct model *m)
{
        struct jobs *js = m->jobs;

        if (!js)
                return false;

        HOLD_SCOPE(js);

        return js->stopping;
}

bool jobs_has_upkeep(struct model *m)
{
        struct jobs *js = m->jobs;

        if (!js)
                return false;
        HOLD_SCOPE(js);
        return js->stopping || js->tidy;
}

bool jobs_has_news(struct model *m, unsigned lane)
{
        struct jobs *js = m->jobs;
        bool news;

        if (!js)
                return false;

        HOLD_SCOPE(js);

        news = js->look[lane];
        js->look[lane] = false;
        return news;
}

/* ---- for a job ---- */

int job_progress(struct job *job, uint64_t done_bytes, uint64_t total_bytes)
{
        struct jobs *js = job->m->jobs;
        HOLD_SCOPE(js);

        job->done_bytes = done_bytes;
        job->total_bytes = total_bytes;
        return job->cancelled || js->stopping ? -ECANCELED : 0;
}

bool job_must_stop(struct job *job)
{
        struct jobs *js = job->m->jobs;
        HOLD_SCOPE(js);

        return job->cancelled || js->stopping;
}

void job_get_progress(struct job *job, bool finished, struct progress *ret)
{
        HOLD_SCOPE(job->m->jobs);

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

/* Waits SECONDS, or until *CANCELLED; false: the library is being closed. */
static bool pause_for(struct jobs *js, unsigned seconds, const bool *cancelled)
{
        struct timespec until;
        HOLD_SCOPE(js);

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += seconds;

        while (!js->stopping && !*cancelled)
                if (pthread_cond_clockwait(&js->stop, &js->mutex, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
                        break;

        return !js->stopping;
}

int job_pause(struct job *job, unsigned seconds)
{
        (void)pause_for(job->m->jobs, seconds, &job->cancelled);
        return job_must_stop(job) ? -ECANCELED : 0;
}

/* ---- for the runner ---- */

void jobs_stop(struct jobs *js)
{
        HOLD_SCOPE(js);

        js->stopping = true;
        for (struct job *job = js->first; job; job = job->next)
                child_leash_pull(&job->leash);
        for (unsigned lane = 0; lane < JOBS_LANE_COUNT; lane++)
                pthread_cond_broadcast(&js->queued[lane]);
        pthread_cond_broadcast(&js->upkeep);
        pthread_cond_broadcast(&js->stop);
}

bool jobs_wait(struct jobs *js, unsigned lane)
{
        return jobs_wait_until(js, lane, 0);
}

/* Call with the mutex held. ETIMEDOUT; DUE_US 0: never. */
static int wait_until(struct jobs *js, pthread_cond_t *cond, int64_t due_us)
{
        const struct timespec until = { .tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000 };

        return due_us ? pthread_cond_timedwait(cond, &js->mutex, &until) : pthread_cond_wait(cond, &js->mutex);
}

bool jobs_wait_until(struct jobs *js, unsigned lane, int64_t due_us)
{
        int k = 0;
        HOLD_SCOPE(js);

        while (!js->stopping && !js->look[lane] && k != ETIMEDOUT)
                k = wait_until(js, &js->queued[lane], due_us);
        js->look[lane] = false;

        return !js->stopping;
}

void jobs_look_again(struct jobs *js, unsigned lane)
{
        HOLD_SCOPE(js);

        js->look[lane] = true;
        pthread_cond_signal(&js->queued[lane]);
}

bool jobs_pause(struct jobs *js, unsigned seconds)
{
        return pause_for(js, seconds, &(bool){ false });
}

void jobs_link(struct jobs *js, struct job *job)
{
        HOLD_SCOPE(js);

        job->next = js->first;
        js->first = job;
        if (js->stopping)
                child_leash_pull(&job->leash);
}

/* Call with the mutex held. */
static void add_upkeep(struct jobs *js, struct upkeep more)
{
        js->more.garbage |= more.garbage;
        js->more.left |= more.left;
}

void jobs_unlink(struct jobs *js, struct job *job, bool left)
{
        HOLD_SCOPE(js);

        for (struct job **p = &js->first; *p; p = &(*p)->next)
                if (*p == job) {
                        *p = job->next;
                        break;
                }

        add_upkeep(js, (struct upkeep){ .garbage = left, .left = left });
        js->tidy = true;
        pthread_cond_signal(&js->upkeep);
}

void jobs_add_upkeep(struct jobs *js, struct upkeep more)
{
        HOLD_SCOPE(js);

        add_upkeep(js, more);
        js->tidy = true;
        pthread_cond_signal(&js->upkeep);
}

void jobs_defer_upkeep(struct jobs *js, struct upkeep more)
{
        HOLD_SCOPE(js);

        add_upkeep(js, more);
}

bool jobs_wait_for_upkeep(struct jobs *js, int64_t due_us, struct upkeep *ret)
{
        int k = 0;
        HOLD_SCOPE(js);

        while (!js->stopping && !js->tidy && k != ETIMEDOUT)
                k = wait_until(js, &js->upkeep, due_us);

        *ret = js->more;
        js->tidy = false;
        js->more = (struct upkeep){ 0 };
        return !js->stopping;
}
