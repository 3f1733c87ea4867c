/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_LOCK_H
#define BLOBSTORE_BASE_LOCK_H

/*
 * Mutexes that abort in every build when they are misused: a lock that could
 * not be taken is a programmer's mistake, and going on would corrupt a store.
 */

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

static inline void lock(pthread_mutex_t *m)
{
        if (pthread_mutex_lock(m) != 0)
                abort();
}

/* False: who has it still had it after so long. */
static inline bool lock_within(pthread_mutex_t *m, unsigned seconds)
{
        struct timespec due;
        int r;

        (void)clock_gettime(CLOCK_REALTIME, &due); /* which that function goes by; cannot fail with it */
        due.tv_sec += seconds;
        r = pthread_mutex_timedlock(m, &due);
        if (r != 0 && r != ETIMEDOUT)
                abort();
        return r == 0;
}

static inline void unlock(pthread_mutex_t *m)
{
        if (pthread_mutex_unlock(m) != 0)
                abort();
}

static inline void lock_scope_end(pthread_mutex_t **m)
{
        unlock(*m);
}

static inline pthread_mutex_t *lock_scope_begin(pthread_mutex_t *m)
{
        lock(m);
        return m;
}

/* Waits on it are timed by the clock that only goes forwards. */
static inline void cond_init(pthread_cond_t *c)
{
        pthread_condattr_t attr;

        if (pthread_condattr_init(&attr) != 0 || pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
            pthread_cond_init(c, &attr) != 0)
                abort(); /* none of these can fail on Linux */
        (void)pthread_condattr_destroy(&attr);
}

#define LOCK_SCOPE_NAME2(line) lock_scope_##line##_
#define LOCK_SCOPE_NAME(line)  LOCK_SCOPE_NAME2(line)

/* Holds M from here to the end of the enclosing block. */
#define LOCK_SCOPE(m)                                                                    \
        pthread_mutex_t *LOCK_SCOPE_NAME(__LINE__)                                       \
                __attribute__((cleanup(lock_scope_end), unused)) = lock_scope_begin(m)

static inline void read_lock(pthread_rwlock_t *l)
{
        if (pthread_rwlock_rdlock(l) != 0)
                abort();
}

static inline void write_lock(pthread_rwlock_t *l)
{
        if (pthread_rwlock_wrlock(l) != 0)
                abort();
}

static inline void rw_unlock(pthread_rwlock_t *l)
{
        if (pthread_rwlock_unlock(l) != 0)
                abort();
}

static inline void read_lock_scope_end(pthread_rwlock_t **l)
{
        rw_unlock(*l);
}

static inline pthread_rwlock_t *read_lock_scope_begin(pthread_rwlock_t *l)
{
        read_lock(l);
        return l;
}

/* Shares L from here to the end of the enclosing block. */
#define READ_LOCK_SCOPE(l)                                                                      \
        pthread_rwlock_t *LOCK_SCOPE_NAME(__LINE__)                                             \
                __attribute__((cleanup(read_lock_scope_end), unused)) = read_lock_scope_begin(l)

#endif
