/* SPDX-License-Identifier: MIT */
#ifndef FS_WIRE_H
#define FS_WIRE_H

/*
 * The bytes between the kernel and libfuse, where they must be other than libfuse has them: at the beginning of a session,
 * as nosec.c says; and where this process goes on with a session that another one began.
 */

#include "fs/lasting.h"
#include "fs/nosec.h"

struct fuse_session;

/* Of a mount; zeroed, but for LASTING. The session's struct fs points to it. */
struct wire {
        struct lasting *lasting; /* NULL: the session ends with the process */
        struct nosec nosec;
        int init; /* wire.c's */
};

/* Between mounting and the loop. With libfuse before 3.14, or without memory, -ENOSYS. */
int wire_arrange(struct fuse_session *session, struct wire *w);

/*
 * Has the session go on that LASTING is of: as if it had been mounted, and begun by the kernel, which then brings back what
 * it was not answered. The loop is to be next.
 */
int wire_take_over(struct fuse_session *session, struct wire *w);

#endif
