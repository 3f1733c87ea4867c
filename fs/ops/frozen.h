/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_FROZEN_H
#define FS_OPS_FROZEN_H

/*
 * How long the texts are that were frozen when they were opened, and of when. fstat(2) of an open file is to give that,
 * and not the size of what the file says by now, which a long text would have to be made again for; but Linux asks for the attributes of an open file as for those of its name, without
 * the handle (which only lseek(2) to the end brings). So who asks is who opened it: the process that has a file open is
 * told of the text that it opened last, whichever of its threads asks.
 *
 * What is said here is one user's alone: numbers of processes are used again, while what they opened may still be open in
 * a child, and texts differ by who reads them. Of processes in another PID namespace Linux says no number; they are told
 * what the file says by now, as a child is that inherited the descriptor. Any thread may use it.
 */

#include <sys/queue.h>

#include "fs/tree/req.h"

struct frozen_as {
        uint64_t size;
        int64_t changed_us; /* 0: when the object did */
};

/* One open file; its owner's memory, left alone between frozen_add() and frozen_remove(). */
struct frozen {
        LIST_ENTRY(frozen) link;
        struct frozens *in; /* NULL: it was not added */
        fuse_ino_t ino;
        uid_t uid;
        pid_t process;
        struct frozen_as as;
};

int frozens_new(struct frozens **ret);
void frozens_free(struct frozens *all); /* accepts NULL; nothing is in it any more */

/* Nothing is added for a process without a number. */
void frozen_add(struct frozens *all, struct frozen *f, fuse_ino_t ino, const struct fuse_ctx *who,
                const struct frozen_as *as);
void frozen_remove(struct frozen *f); /* one that was not added, too */
/* Of the one that the process of WHO added last. */
bool frozen_find(struct frozens *all, fuse_ino_t ino, const struct fuse_ctx *who, struct frozen_as *ret);

#endif
