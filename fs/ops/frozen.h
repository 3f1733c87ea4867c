/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_FROZEN_H
#define FS_OPS_FROZEN_H

/*
 * How long the texts are that were frozen when they were opened. fstat(2) of an open file is to give that, and not the
 * size of what the file says by now; but Linux asks for the attributes of an open file as for those of its name, without
 * the handle (which only lseek(2) to the end brings). So who asks is who opened it: the thread that has a file open is
 * told the size of the text that it opened last. Any thread may use it.
 */

#include <sys/queue.h>

#include "fs/tree/req.h"

/* One open file; its owner's memory, left alone between frozen_add() and frozen_remove(). */
struct frozen {
        LIST_ENTRY(frozen) link;
        struct frozens *in; /* NULL: it was not added */
        fuse_ino_t ino;
        pid_t pid; /* as the kernel has it in each request */
        uint64_t size;
};

int frozens_new(struct frozens **ret);
void frozens_free(struct frozens *all); /* accepts NULL; nothing is in it any more */

void frozen_add(struct frozens *all, struct frozen *f, fuse_ino_t ino, pid_t pid, uint64_t size);
void frozen_remove(struct frozen *f); /* one that was not added, too */
/* Of the one that PID added last. */
bool frozen_find(struct frozens *all, fuse_ino_t ino, pid_t pid, uint64_t *ret_size);

#endif
