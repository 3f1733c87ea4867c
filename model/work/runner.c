/* SPDX-License-Identifier: MIT */
/*
 * The threads that do the work: some workers that run tasks, of users in turn, each one's oldest first, and one of them
 * for whoever has none running; one more worker that takes only tasks that
 * move no bytes, so that those do not wait behind long imports; some that take only fetches, which mostly wait
 * themselves; one that works out checksums (checksum.c); one that scrubs (scrub.c);
 * one that sees to what is followed (follow_turn.c); and one for upkeep (reap.c). Rows say what is to be done,
 * core/jobs.c when to look: whoever commits something that needs work wakes it, and nothing polls. At the end the jobs
 * stop at their next progress, and their rows stay as they are: the next start queues them again.
 *
 * A task that was cut off from the catalogue, which is on a server, begins again when that is back, as it would after a crash.
 *
 * A failure that cannot be recorded (no space for the database) is tried again until it can be; a library that may not
 * write any more leaves its tasks to the next start.
 */

#include "model/work/runner.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "blobstore/base/log.h"
#include "blobstore/base/thread.h"
#include "model/core/catalogue.h"
#include "model/core/clock.h"
#include "model/core/library.h"
#include "model/core/store_ask.h"
#include "model/core/stores.h"
#include "model/intake/follow_task.h"
#include "model/work/checksum.h"
#include "model/work/history.h"
#include "model/work/reap.h"
#include "model/work/scrub.h"
#include "model/work/task_kinds.h"
#include "model/work/tidy.h"

/* What a thread is called that has no task; else by the task's id. */
#define WORKER "worker"

#define WORKERS_DEFAULT 2
#define WORKERS_MAX     64

/* What could not be recorded is tried again after this time. */
#define RETRY_S 5
/* Likewise what was cut off from the catalogue. */
#define AWAY_S 1

#define FETCHERS 8
/* A server may take as long as it likes to send a file that is large: three of one user's leave room for others'. */
#define FETCHERS_OF_ONE_USER 3

struct worker {
        SLIST_ENTRY(worker) link;
        struct runner *r;
        unsigned lane;
        unsigned of_one_user; /* of a user's tasks in this lane, so many at once */
        pthread_t thread;
};

struct runner {
        struct model *m;
        uint64_t inherited; /* tasks up to this one are from an earlier run */
        struct jobs *jobs; /* the model's */

        SLIST_HEAD(, worker) workers;
        unsigned n_workers; /* of those that take any task */
        unsigned reinforced; /* how often there are as many more */
        uint64_t quiet_us; /* see tidy.h */
        pthread_t keeper;
        bool has_keeper;
        size_t copied; /* so many stores were there when the catalogue was copied into them; the keeper's */
};

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

static void fail_job(struct job *job, int error)
{
        void (*clear)(struct model *m, const struct task *task) = task_kinds[job->task.kind].clear;
        int r;

        log_debug("model: %s %s: %s", task_kind_name(job->task.kind), job->task.o.handle, strerror(-error));

        if (strbuf_text(&job->reason)[0] == '\0')
                diag_add_error(&job->reason, error);

        for (;;) {
                r = record_failure(job, strbuf_text(&job->reason));
                if (r == 0 || r == -ECANCELED || r == -EROFS || model_is_degraded(job->m))
                        return;

                /* It has failed for good: what it holds may be the space that is missing. */
                if (clear)
                        clear(job->m, &job->task);
                jobs_add_upkeep(job->m->jobs, (struct upkeep){ .garbage = true, .left = true });
                if (!jobs_pause(job->m->jobs, RETRY_S))
                        return;
        }
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

static int try_job(struct job *job)
{
        const int r = job_is_wanted(job);

        return r < 0 ? r : task_kinds[job->task.kind].run(job);
}

static void run_job(struct runner *r, struct job *job)
{
        int k;

        jobs_link(r->jobs, job);
        changes_send(r->m, OBJECT_TASK, job->task.o.id);

        thread_set_name(job->task.o.handle);
        child_leash_take(&job->leash);
        k = try_job(job);
        while (k == -EIO && db_was_away(r->m->db) && job_pause(job, AWAY_S) == 0) {
                strbuf_reset(&job->reason);
                jobs_add_upkeep(r->jobs, (struct upkeep){ .left = true });
                k = try_job(job);
        }
        /* -EROFS: nothing can be made safe any more; the next start takes it up again. */
        if (k < 0 && k != -ECANCELED && k != -EROFS && !job_must_stop(job))
                fail_job(job, k);

        child_leash_take(NULL);
        thread_set_name(WORKER);
        jobs_unlink(r->jobs, job, k < 0);
        changes_send_end(r->m, job->task.o.id);

        changes_send(r->m, OBJECT_TASK, job->task.o.id);
        changes_send(r->m, OBJECT_IMAGE, job->task.image);
        if (job->task.result)
                changes_send(r->m, OBJECT_IMAGE, job->task.result);
}

static void *worker_main(void *arg)
{
        struct worker *w = arg;
        struct runner *r = w->r;
        struct job *job = NULL;
        int k;

        thread_set_name(WORKER);
        store_ask_never();
        thread_set_nice(THREAD_NICE_LONG);
        while (jobs_wait(r->jobs, w->lane)) {
                if (!job)
                        job = malloc(sizeof(*job));
                if (job) {
                        *job = (struct job){ .m = r->m, .leash = CHILD_LEASH_INIT };
                        k = task_claim(r->m, (enum task_lane)w->lane, w->of_one_user, &job->task);
                } else {
                        k = -ENOMEM;
                }

                if (k == -ENOENT)
                        continue;
                jobs_look_again(r->jobs, w->lane);

                if (k < 0) {
                        if (k == -EROFS || !jobs_pause(r->jobs, RETRY_S))
                                break;
                        continue;
                }

                job->inherited = job->task.o.id <= r->inherited;
                run_job(r, job);
                strbuf_done(&job->reason);
                jobs_look_again(r->jobs, w->lane); /* the same user may have another one now */
        }

        free(job);
        return NULL;
}

static void *checksum_main(void *arg)
{
        struct worker *w = arg;
        struct checksum_turns turns = { 0 };
        size_t online = 0, before;

        thread_set_name("checksums");
        store_ask_never();
        thread_set_nice(THREAD_NICE_IDLE);
        while (jobs_wait(w->r->jobs, w->lane)) {
                before = online;
                online = stores_count(w->r->m);
                if (online != before)
                        turns = (struct checksum_turns){ 0 }; /* those of a store that has come back had none */
                while (checksum_next(w->r->m, &turns) == 0)
                        ;
        }

        return NULL;
}

static void *scrub_main(void *arg)
{
        const struct worker *w = arg;
        int64_t due_us = 0;

        thread_set_name("scrub");
        store_ask_never();
        thread_set_idle();
        while (jobs_wait_until(w->r->jobs, w->lane, due_us))
                due_us = scrub_turn(w->r->m);
        return NULL;
}

static void *follow_main(void *arg)
{
        const struct worker *w = arg;
        int64_t due_us = 0;

        thread_set_name("follows");
        store_ask_never();
        while (jobs_wait_until(w->r->jobs, w->lane, due_us))
                due_us = follow_turn(w->r->m);
        return NULL;
}

/* ---- upkeep ---- */

static bool is_stopping(void *ctx)
{
        return jobs_is_stopping(ctx);
}

/*
 * *DUE_US: when the catalogue is to be copied next; further away than any copy is, the clock was set back. A store that was added, or
 * is back, gets one at once: it may be a bucket, and all there is when this host is lost.
 */
static void copy_catalogue(struct runner *r, int64_t *due_us)
{
        const int64_t now_us = clock_now_us();

        const size_t stores = stores_count(r->m);

        if (*due_us <= now_us || *due_us > now_us + CATALOGUE_APART_US || stores > r->copied)
                *due_us = catalogue_renew(r->m, is_stopping, r->m);
        r->copied = stores;
}

static void *keeper_main(void *arg)
{
        struct runner *r = arg;
        struct reaper reaper = { .m = r->m, .inherited = r->inherited };
        struct upkeep more;
        struct tidier tidier = { .m = r->m, .quiet_us = r->quiet_us };
        int64_t due_us = 0, copy_us = 0, day_us, tidy_us;
        bool woken;

        thread_set_name("upkeep");
        store_ask_never();
        while (jobs_wait_for_upkeep(r->jobs, due_us, &more)) {
                woken = due_us == 0 || clock_now_us() < due_us;
                if (more.left)
                        reaper.collected = false;
                due_us = reap_run(&reaper, &more.garbage);
                copy_catalogue(r, &copy_us);
                if (due_us == 0 || due_us > copy_us)
                        due_us = copy_us;
                day_us = history_turn(r->m);
                if (due_us > day_us)
                        due_us = day_us;
                tidy_us = tidy_run(&tidier, woken, &more.garbage);
                if (tidy_us && due_us > tidy_us)
                        due_us = tidy_us;

                /* Not at once, or it would spin: the next round looks again. */
                jobs_defer_upkeep(r->jobs, (struct upkeep){ .garbage = more.garbage });
        }

        return NULL;
}

/* ---- start and stop ---- */

void runner_stop(struct runner *r)
{
        struct worker *w;

        if (!r)
                return;

        jobs_stop(r->jobs);
        while ((w = SLIST_FIRST(&r->workers))) {
                SLIST_REMOVE_HEAD(&r->workers, link);
                (void)pthread_join(w->thread, NULL);
                free(w);
        }
        if (r->has_keeper)
                (void)pthread_join(r->keeper, NULL);
        free(r);
}

static int start_worker(struct runner *r, unsigned lane, unsigned of_one_user)
{
        static void *(*const mains[JOBS_LANE_COUNT])(void *) = {
                [JOBS_LANE_CHECKSUM] = checksum_main,
                [JOBS_LANE_SCRUB] = scrub_main,
                [JOBS_LANE_FOLLOW] = follow_main,
        };
        struct worker *w = malloc(sizeof(*w));
        int k;

        if (!w)
                return -ENOMEM;
        *w = (struct worker){ .r = r, .lane = lane, .of_one_user = of_one_user };

        k = pthread_create(&w->thread, NULL, mains[lane] ? mains[lane] : worker_main, w);
        if (k != 0) {
                free(w);
                return -k;
        }

        SLIST_INSERT_HEAD(&r->workers, w, link);
        return 0;
}

static int start_task_workers(struct runner *r)
{
        int k;

        k = start_worker(r, TASK_LANE_INSTANT, UINT_MAX);
        for (unsigned i = 0; i < r->n_workers && k == 0; i++)
                k = start_worker(r, TASK_LANE_WORK, r->n_workers > 1 ? r->n_workers - 1 : 1);
        for (unsigned i = 0; i < FETCHERS && k == 0; i++)
                k = start_worker(r, TASK_LANE_FETCH, FETCHERS_OF_ONE_USER);
        return k;
}

void runner_reinforce(struct runner *r, unsigned hanging)
{
        while (r->reinforced < hanging && start_task_workers(r) == 0) /* with fewer, others wait longer */
                r->reinforced++;
        jobs_wake(r->m);
}

int runner_start(struct model *m, unsigned workers, uint64_t quiet_us, struct runner **ret)
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
        r->jobs = m->jobs;
        r->quiet_us = quiet_us;

        k = task_requeue(m, &r->inherited);
        if (k < 0)
                goto fail;

        r->n_workers = workers;
        k = start_task_workers(r);
        if (k == 0)
                k = start_worker(r, JOBS_LANE_CHECKSUM, 0);
        if (k == 0)
                k = start_worker(r, JOBS_LANE_SCRUB, 0);
        if (k == 0)
                k = start_worker(r, JOBS_LANE_FOLLOW, 0);
        if (k == 0) {
                k = -pthread_create(&r->keeper, NULL, keeper_main, r);
                r->has_keeper = k == 0;
        }
        if (k < 0)
                goto fail;

        *ret = r;
        return 0;

fail:
        runner_stop(r);
        return k;
}
