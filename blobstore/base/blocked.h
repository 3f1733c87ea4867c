/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_BLOCKED_H
#define BLOBSTORE_BASE_BLOCKED_H

/*
 * What a thread of this process waits for in the kernel: which call, and of which file. Found out by /proc, so that
 * threads which never wait long pay nothing for it.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct blocked {
        const char *call; /* "pread", "openat" …; NULL: it runs, or waits in none */
        long number; /* of the call; -1: none */
        bool lock; /* it waits for another thread */
        char path[PATH_MAX]; /* of the file; "": of none, or it is not known */
        uint64_t waits; /* how often it has waited before: the same, and it is the same wait */
};

/* -ESRCH: there is none, or no /proc. */
int blocked_look(pid_t thread, struct blocked *ret);

#endif
