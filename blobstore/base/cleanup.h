/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_CLEANUP_H
#define BLOBSTORE_BASE_CLEANUP_H

/*
 * Scope-bound release of resources, as the kernel and systemd do it with the
 * cleanup attribute. Every release keeps errno, so that an early return with a
 * pending errno is safe.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Moves a pointer out of an owning variable, which is left NULL. */
#define TAKE_PTR(p)                                 \
        ({                                          \
                __typeof__(p) *take_pp_ = &(p);     \
                __typeof__(p) take_p_ = *take_pp_;  \
                *take_pp_ = NULL;                   \
                take_p_;                            \
        })

/* Moves a file descriptor out of an owning variable, which is left -1. */
#define TAKE_FD(fd)                         \
        ({                                  \
                int *take_fdp_ = &(fd);     \
                int take_fd_ = *take_fdp_;  \
                *take_fdp_ = -1;            \
                take_fd_;                   \
        })

/* Defines NAMEp() for use with CLEANUP() on a variable of TYPE; FN must accept NULL. */
#define DEFINE_CLEANUP(type, name, fn)                       \
        static inline void name(__typeof__(type) *p)         \
        {                                                    \
                int saved_errno_ = errno;                    \
                fn(*p);                                      \
                errno = saved_errno_;                        \
        }

static inline void cleanup_free(void *p)
{
        int saved_errno = errno;

        free(*(void **)p);
        errno = saved_errno;
}

static inline void cleanup_close(int *fd)
{
        int saved_errno = errno;

        if (*fd >= 0)
                (void)close(*fd); /* opened for reading, or synced by whoever needs it safe */
        errno = saved_errno;
}

static inline void cleanup_fclose(FILE **f)
{
        int saved_errno = errno;

        if (*f)
                (void)fclose(*f);
        errno = saved_errno;
}

#define CLEANUP_FREE  CLEANUP(cleanup_free)
#define CLEANUP_CLOSE CLEANUP(cleanup_close)

#endif
