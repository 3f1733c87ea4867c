/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_SCRATCH_FILE_H
#define FS_OPS_SCRATCH_FILE_H

/* Requests on temporary files (tree/scratch.h). N is one's node; -ESTALE: it is gone. */

#include "fs/ops/file.h"

int scratch_file_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi);
int scratch_file_resize(struct req *rq, struct node n, uint64_t size);
int scratch_file_remove(struct req *rq, struct node n);

/*
 * To NAME in DIR, where EXISTING is, or, NULL, nothing. What that refuses leaves the file as it was; else it is gone, unless
 * it has another temporary file's name now. 1: an image has it, which is durable after model_settle().
 */
int scratch_file_rename(struct req *rq, struct node n, fuse_ino_t dir, const char *name, const struct node *existing);
/* That was done by a process that died: the file, where it became a value, goes if it is left. */
void scratch_file_was_renamed(struct req *rq, fuse_ino_t dir, const char *name);

#endif
