/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_THREAD_H
#define BLOBSTORE_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>

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

#endif
