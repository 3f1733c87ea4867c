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
 * Who has the processor when there is not enough of it. Requests do not go before the programs that send them: those hold what
 * others wait for in the kernel, a directory in which all users make things, until they themselves have a processor again. And
 * the scheduler weighs all that is runnable: with some threads of high priority that wait again and again, those that are just
 * behind stay so for a tenth of a second. What takes long goes a little after the rest, and not by more: what it holds for an
 * instant it must come to give back. Only who writes to the catalogue, one at a time and for less than a millisecond, goes before.
 *
 * Three users doing their worst on two cores, a fourth's p99 of `cat quota`, `ls private`, mkdir and rmdir in ms, the library in
 * memory: 55 to 70, 100 to 150, 80 to 130, 70 to 120 with requests at -10, what takes long at 5 and every lock of theirs at -20;
 * 10, 35, 45, 35 with all at 0; 15, 30, 30, 25 like this.
 */
enum thread_nice {
        THREAD_NICE_WRITER = -15, /* whom all others wait for; only root may, else it stays as it is */
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
 * Who holds what requests wait for goes with them until it gives that back, or, as the writer, before them, whatever it does
 * otherwise. A hint, for which it takes root; gives what thread_calm() takes.
 */
static inline int thread_hurry(enum thread_nice at_least)
{
        const int nice = getpriority(PRIO_PROCESS, (id_t)gettid()); /* cannot fail of oneself */

        if (nice > (int)at_least)
                thread_set_nice(at_least);
        return nice;
}

static inline void thread_calm(int nice)
{
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
