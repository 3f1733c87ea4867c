/* SPDX-License-Identifier: MIT */

/* How many may be between their two requests, of a user and of all: the rest are answered in one, as ever. */

#include "fs/ops/split.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/ops/process.h"
#include "tests/lib/expect.h"

/* In place of the library's. */
struct fuse_req {
        struct fuse_ctx ctx;
        int error;
};

const struct fuse_ctx *fuse_req_ctx(fuse_req_t req)
{
        return &req->ctx;
}

int fuse_reply_err(fuse_req_t req, int error)
{
        req->error = error;
        return 0;
}

int fuse_lowlevel_notify_inval_inode(struct fuse_session *session, fuse_ino_t ino, off_t off, off_t len)
{
        (void)session;
        (void)ino;
        (void)off;
        (void)len;
        return 0;
}

#define PARENT node_ino((struct node){ .kind = KIND_INSTANCES, .oid = 1 })

/* Begins one, and commits it. Was its first request answered? */
static bool commit(struct req *rq, struct fuse_req *fuse)
{
        rq->fuse = fuse;
        split_begin(rq, &(struct split_change){ .kind = SPLIT_MADE, .parent = PARENT, .name = "vm" });
        split_committed();
        assert_int_equal(fuse->error, rq->fuse ? 0 : ESTALE);
        return !rq->fuse;
}

/* One from its beginning to its end, of that thread. */
static bool whole(struct fs *fs, uid_t uid, pid_t pid)
{
        struct fuse_req fuse = { .ctx = { .uid = uid, .pid = pid } };
        struct req rq = { .fs = fs };
        const bool answered = commit(&rq, &fuse);

        assert_int_equal(split_end(&rq, 0, 7), answered);
        return answered;
}

/* ---- at work ---- */

#define USERS 3
#define THREADS (USERS * (SPLITS_AT_WORK_OF_A_USER + 2))

struct at_work {
        struct fs fs;
        pthread_barrier_t turn;
        pthread_mutex_t mutex;
        unsigned answered[USERS];
};

struct worker {
        struct at_work *all;
        unsigned number;
        pthread_t thread;
};

/* One after the other commits; all are at work until the last has. */
static void *be_at_work(void *arg)
{
        const struct worker *w = arg;
        const unsigned user = w->number / (THREADS / USERS);
        struct fuse_req fuse = { .ctx = { .uid = 1000 + user, .pid = gettid() } };
        struct req rq = { .fs = &w->all->fs };
        bool answered = false;

        for (unsigned i = 0; i < THREADS; i++) {
                if (i == w->number) {
                        answered = commit(&rq, &fuse);
                        (void)pthread_mutex_lock(&w->all->mutex);
                        w->all->answered[user] += answered;
                        (void)pthread_mutex_unlock(&w->all->mutex);
                }
                (void)pthread_barrier_wait(&w->all->turn);
        }
        return (void *)(uintptr_t)(split_end(&rq, 0, 7) == answered);
}

static void test_of_those_that_wait_for_a_sync_most_threads_are_left_to_others(void **state)
{
        struct at_work all = { .mutex = PTHREAD_MUTEX_INITIALIZER };
        struct worker workers[THREADS];
        void *ended_as_begun;

        (void)state;
        assert_ok(splits_new(NULL, &all.fs.splits));
        assert_int_equal(pthread_barrier_init(&all.turn, NULL, THREADS), 0);
        for (unsigned i = 0; i < THREADS; i++) {
                workers[i] = (struct worker){ .all = &all, .number = i };
                assert_int_equal(pthread_create(&workers[i].thread, NULL, be_at_work, &workers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
                assert_int_equal(pthread_join(workers[i].thread, &ended_as_begun), 0);
                assert_true(ended_as_begun);
        }
        assert_int_equal(all.answered[0], SPLITS_AT_WORK_OF_A_USER);
        assert_int_equal(all.answered[1], SPLITS_AT_WORK_OF_A_USER);
        assert_int_equal(all.answered[2], SPLITS_AT_WORK - 2 * SPLITS_AT_WORK_OF_A_USER);
        assert_true(whole(&all.fs, 1002, getpid())); /* nobody is any more */
        (void)pthread_barrier_destroy(&all.turn);
        splits_free(all.fs.splits);
}

/* ---- between their requests ---- */

/* Processes that stay in a system call. */
struct processes {
        pid_t pid[SPLITS_OF_A_USER + 1];
        int held; /* closed: they end */
};

static void processes_begin(struct processes *p)
{
        int pipe_fds[2];
        char byte;

        assert_int_equal(pipe(pipe_fds), 0);
        for (size_t i = 0; i < sizeof(p->pid) / sizeof(p->pid[0]); i++) {
                p->pid[i] = fork();
                assert_true(p->pid[i] >= 0);
                if (p->pid[i] == 0) {
                        (void)close(pipe_fds[1]);
                        _exit((int)read(pipe_fds[0], &byte, 1));
                }
        }
        (void)close(pipe_fds[0]);
        p->held = pipe_fds[1];
        for (size_t i = 0; i < sizeof(p->pid) / sizeof(p->pid[0]); i++) {
                char call[256];

                while (process_call(p->pid[i], call, sizeof(call)) < 0) /* it is on its way there */
                        (void)sched_yield();
        }
}

static void processes_end(struct processes *p)
{
        (void)close(p->held);
        for (size_t i = 0; i < sizeof(p->pid) / sizeof(p->pid[0]); i++)
                (void)waitpid(p->pid[i], NULL, 0);
}

static void test_a_user_has_so_many_until_one_of_their_threads_is_gone(void **state)
{
        struct processes p;
        struct fs fs = { 0 };

        (void)state;
        processes_begin(&p);
        for (int gone = 0; gone < 2; gone++) {
                assert_ok(splits_new(NULL, &fs.splits));
                for (size_t i = 0; i < SPLITS_OF_A_USER; i++)
                        assert_true(whole(&fs, 1000, p.pid[i]));
                if (gone) {
                        assert_int_equal(kill(p.pid[0], SIGKILL), 0);
                        assert_int_equal(waitpid(p.pid[0], NULL, 0), p.pid[0]);
                }
                assert_int_equal(whole(&fs, 1000, p.pid[SPLITS_OF_A_USER]), gone);
                assert_true(whole(&fs, 1001, p.pid[1]));
                splits_free(fs.splits);
        }
        processes_end(&p);
}

static void test_all_users_have_so_many(void **state)
{
        const uid_t users = SPLITS_MAX / SPLITS_OF_A_USER;
        struct processes p;
        struct fs fs = { 0 };

        (void)state;
        processes_begin(&p);
        assert_ok(splits_new(NULL, &fs.splits));
        for (uid_t user = 0; user < users; user++)
                for (size_t i = 0; i < SPLITS_OF_A_USER; i++)
                        assert_true(whole(&fs, 1000 + user, p.pid[i]));
        assert_false(whole(&fs, 1000 + users, p.pid[0]));
        /* what a thread has is done with when the same asks for something else */
        assert_true(whole(&fs, 1000, p.pid[0]));
        splits_free(fs.splits);
        processes_end(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_of_those_that_wait_for_a_sync_most_threads_are_left_to_others),
                cmocka_unit_test(test_a_user_has_so_many_until_one_of_their_threads_is_gone),
                cmocka_unit_test(test_all_users_have_so_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
