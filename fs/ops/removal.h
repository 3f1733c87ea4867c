/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_REMOVAL_H
#define FS_OPS_REMOVAL_H

/*
 * Removing a whole directory, as rm -r, find -delete and Python's rmtree do: file by file, and the directory last. What an
 * object's directory has in it is generated and goes with the directory, so that the steps before the last one are answered
 * as if they were done, and do nothing: only the rmdir at the end removes, by its own rules, and when it is refused
 * everything is as it was.
 *
 * A process is taken for one that does that which has the directory open, has listed it to its end, and begins with the
 * first file of the listing; until it closes the directory. Whoever removes one file is refused, and told why. So is who
 * comes from further above: a region's directory is removed when it is empty.
 *
 * Any thread may use it.
 */

#include <sys/queue.h>

#include "fs/tree/tree.h"

struct walks;

/* An open directory; part of whatever it is to who opened it. */
struct walk {
        TAILQ_ENTRY(walk) link;
        fuse_ino_t dir;
        pid_t pid; /* of the thread that opened it */
        uid_t uid;
        bool listed; /* to its end */
        bool removes;
};

int walks_new(struct walks **ret);
void walks_free(struct walks *ws); /* accepts NULL */

void walk_begin(struct walks *ws, struct walk *w, fuse_ino_t dir, const struct fuse_ctx *who);
void walk_listed(struct walks *ws, struct walk *w);
void walk_end(struct walks *ws, struct walk *w);

/*
 * Is that what the request is a step of, that removes NAME from DIR? FILE: it is not a directory, and may be the first
 * step. Ancestors are asked for only where the process has a directory open.
 */
bool removal_has(struct req *rq, struct node dir, const char *name, bool file);

#endif
