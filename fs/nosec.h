/* SPDX-License-Identifier: MIT */
#ifndef FS_NOSEC_H
#define FS_NOSEC_H

#include <stdatomic.h>

struct fuse_session;

/* Of a mount: how far the exchange has come. Zeroed before it begins; the session's struct fs points to it. */
struct nosec {
        atomic_int state;
};

/*
 * Has the kernel not ask for security.capability before every write: see nosec.c. Call between mounting and the loop;
 * does nothing where libfuse can say so itself, and a failure leaves everything right, only slower.
 */
void nosec_arrange(struct fuse_session *session);

#endif
