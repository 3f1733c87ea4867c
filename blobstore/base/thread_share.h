/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_THREAD_SHARE_H
#define BLOBSTORE_BASE_THREAD_SHARE_H

/*
 * A part of one processor's time that threads of a kind are sure of, together. What takes long goes after requests
 * (thread.h), and where requests keep all processors busy for minutes it would come to no end. So such threads are as
 * quick as requests are for as long as they have had less than their share, and go after them when they have had it: on
 * a machine with time to spare that changes nothing. What they did not use a while ago is gone.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct thread_share {
        unsigned percent;                  /* of one processor; 0: none is sure, as with a zeroed one */
        atomic_int_fast64_t paid_until_ns; /* what was used is their share of the time up to this, by CLOCK_MONOTONIC */
};

/* The calling thread has its time out of S, borrowed until it ends. */
void thread_share_join(struct thread_share *s);
/* To be called every few milliseconds of work, and before each piece of it; nothing for a thread that has joined none.
 */
void thread_share_step(void);

/* They have used so much more. Are they quick now? What _step() goes by. */
bool thread_share_use(struct thread_share *s, int64_t used_ns, int64_t now_ns);

#endif
