/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_EVERY_H
#define BLOBSTORE_BASE_EVERY_H

/* Looks after something now and then, on a thread of its own. */

struct every;

typedef void every_fn(void *ctx);

/* Calls LOOK with CTX, MS milliseconds after the start and after each call's end, one at a time. A negative errno. */
int every_start(unsigned ms, every_fn *look, void *ctx, struct every **ret);
/* Waits for a call that is under way; there is none after it. Not from within one. Accepts NULL. */
void every_stop(struct every *e);

#endif
