/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_THREAD_H
#define BLOBSTORE_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Starts a thread that gets no signals: they are for threads of the layers above. A negative errno. */
static inline int thread_start(pthread_t *ret, void *(*run)(void *), void *arg)
{
        sigset_t all, old;
        int r;

        sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &old); /* cannot fail with these */
        r = -pthread_create(ret, NULL, run, arg);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        return r;
}

/*
 * Who has the processor when there is not enough of it. Nothing here goes before the programs of those who ask: they hold what
 * others wait for in the kernel, a directory in which all users make things, until they themselves have a processor again.
 * And the scheduler takes all that is runnable into account by its weight: with a few threads of high priority that wait again
 * and again, those that were just behind stay so for a tenth of a second and more. Three users doing their worst on two cores,
 * a fourth's `cat quota` (p99): 55 to 70 ms with requests at -10 and whoever holds the catalogue at -20, 15 ms like this.
 * What takes long goes a little after the rest. Not by more: what it holds for an instant it must come to give back.
 */
enum thread_nice {
        THREAD_NICE_REQUESTS = 0,
        THREAD_NICE_LONG = 2, /* what somebody waits for, but not at once */
        THREAD_NICE_IDLE = 19, /* what nobody waits for */
};

/* Of the calling thread, and those that it starts. A hint. */
static inline void thread_set_nice(enum thread_nice nice)
{
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), (int)nice); /* of this thread alone, on Linux */
}

/*
 * Who holds what requests wait for goes with them until it gives that back, whatever it does otherwise. A hint, for which it
 * takes root; gives what thread_calm() takes.
 */
static inline int thread_hurry(void)
{
        const int nice = getpriority(PRIO_PROCESS, (id_t)gettid()); /* cannot fail of oneself */

        if (nice > THREAD_NICE_REQUESTS)
                thread_set_nice(THREAD_NICE_REQUESTS);
        return nice;
}

static inline void thread_calm(int nice)
{
        if (nice > THREAD_NICE_REQUESTS)
                (void)setpriority(PRIO_PROCESS, (id_t)gettid(), nice);
}

/*
 * linux/ioprio.h: of this thread, the last of those that have their turn. Not "idle": what it reads then waits for as long
 * as anybody else's disk is busy (seconds with mq-deadline, for ever with bfq), and with it who has to wait for its end.
 */
#define THREAD_IOPRIO_WHO_PROCESS 1
#define THREAD_IOPRIO_LAST        (2 << 13 | 7)

/* The calling thread's work goes after everybody else's, at the processor and at the disk. Hints both. */
static inline void thread_set_idle(void)
{
        thread_set_nice(THREAD_NICE_IDLE);
        (void)syscall(SYS_ioprio_set, THREAD_IOPRIO_WHO_PROCESS, 0, THREAD_IOPRIO_LAST);
}

/* What the calling thread is called in lists of threads, as far as there is room. */
static inline void thread_set_name(const char *name)
{
        (void)prctl(PR_SET_NAME, name); /* cannot fail with a string */
}

#endif
