/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_WAITS_H
#define BLOBSTORE_BASE_WAITS_H

/*
 * Since when threads of this process have been waiting for a file that matters, found out by looking again and again
 * (blocked.h): a thread that is in the same call at two looks, and did not wait for anything else between them, has been
 * in it since the first.
 */

#include <stdint.h>
#include <sys/types.h>

struct wait {
        pid_t thread;
        uint64_t number; /* of the wait, among the thread's */
        uint64_t of; /* what the file belongs to */
        int64_t since_us; /* by waits_now_us() */
};

struct waits {
        struct wait *all; /* as of the last look */
        size_t n, room;
};

void waits_done(struct waits *w);

int64_t waits_now_us(void);

/* What the file at PATH belongs to; 0: to nothing that matters. */
typedef uint64_t waits_fn(void *ctx, const char *path);
/* Looks once more. -ENOMEM, or that of /proc: what is known stays as it was. */
int waits_look(struct waits *w, waits_fn *fn, void *ctx);

#endif
