/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_PARTING_H
#define FS_OPS_PARTING_H

/*
 * A directory, or a file, that its caller alone is rid of, while it stays for others. The kernel knows one for all of
 * them, and after a successful rmdir(2) takes that for dead: whoever works in it finds it empty and gone for as long as
 * anybody does. So it is shown another one to bury. The first request takes the directory from the caller and is
 * answered with ESTALE, upon which the kernel looks all names up again and repeats it: the thread that asked finds a
 * node in its place that nobody else ever sees, and its second request is answered with success.
 *
 * Any thread may use it. What the kernel never came back for is forgotten after a moment.
 */

#include "fs/tree/tree.h"

int partings_new(struct partings **ret);
void partings_free(struct partings *p); /* accepts NULL */

/* NODE is what is found under the name from now on, by the caller alone. */
int parting_begin(struct partings *p, fuse_ino_t parent, const char *name, const struct fuse_ctx *who,
                  struct node node);
/* What is nothing else, and stands in for something: a file, or a directory. */
struct node parting_stand_in(struct partings *p, bool file);
/* Likewise, where it does not matter what is found: a file or a directory that is nothing else. */
int parting_bury(struct partings *p, fuse_ino_t parent, const char *name, const struct fuse_ctx *who, bool file);
bool parting_find(struct partings *p, fuse_ino_t parent, const char *name, const struct fuse_ctx *who,
                  struct node *ret);
/* The second request: gives whether there was a first. */
bool parting_end(struct partings *p, fuse_ino_t parent, const char *name, const struct fuse_ctx *who);

#endif
