/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_WAIT_H
#define FS_OPS_WAIT_H

/*
 * Readers that wait for the work on an image or an instance to end. A read of `wait` is kept unanswered, without a
 * thread, and answered when the model says that it changed and has no work left, when its reader is interrupted, or
 * when the daemon stops.
 */

#include "fs/tree/req.h"

int waiters_new(struct waiters **ret);
void waiters_free(struct waiters *w); /* accepts NULL; nobody waits any more */

/* A model_listener_fn with the struct fs as its context. */
void wait_notify(void *ctx, enum object_kind kind, uint64_t id);

/* The daemon stops: every reader gets EINTR, and so does everyone who comes later. */
void wait_shutdown(struct waiters *w);

#endif
