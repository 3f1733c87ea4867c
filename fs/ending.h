/* SPDX-License-Identifier: MIT */
#ifndef FS_ENDING_H
#define FS_ENDING_H

/*
 * The end of a mount waits for all that is at work, but not for ever for a blob store whose disk does not answer: what waits
 * for that one is left; and for a second at the most where another process goes on. To be started before the loop, with fuse's signal handlers set.
 */

#include "fs/tree/req.h"

struct lasting;
struct ending;

struct ending_opts {
        struct lasting *lasting; /* as of the mount; may be NULL */
        unsigned seconds; /* in which a disk has to answer */
        /*
         * Called once, by the thread, when the mount has answered it and it keeps that busy no more: from here on it can be
         * used, and unmounted. Not when the end begins first, and then is not under way either.
         */
        void (*served)(void *ctx);
        void *ctx;
};

/* FS is borrowed until ending_stop(), its model until ending_begin(). Starts a thread. */
int ending_start(struct fs *fs, const struct ending_opts *opts, struct ending **ret);
/* The loop has ended: from here on there is nothing but the end. Accepts NULL, as the others. */
void ending_begin(struct ending *e);
/* The mount point is another's, or nobody's. */
void ending_note_detached(struct ending *e);
/* All that was at work has ended. */
void ending_stop(struct ending *e);

#endif
