/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_PERMIT_H
#define FS_OPS_PERMIT_H

/*
 * Who may do what, by the modes as they are now. The kernel asks the same question first (default_permissions), but of
 * attributes that it may have cached a second ago, and not at all about the way to a file whose descriptor or directory
 * a process holds. So whatever opens, lists, makes, moves or removes asks again: what was handed over or closed a
 * moment ago is closed to everybody's next request, whatever the kernel remembers.
 *
 * What is shared is open to some and closed to others, which no modes can say. There the kernel always lets through,
 * and the answer is the kind's of directory (enter()), whether a name is looked up, listed or opened.
 *
 * Other names are for the kernel to look up: an error on a name that it looks up again would throw the name out of its
 * cache for everybody, and leave another caller's working directory deleted.
 */

#include "fs/tree/tree.h"

#define PERMIT_READ   04
#define PERMIT_WRITE  02
#define PERMIT_SEARCH 01

/* May the caller do RWX, a sum of the above, to the node? -EACCES; -ESTALE: it is gone. */
int permit(struct req *rq, struct node n, mode_t rwx);

/* What is not for the modes to say of it; for looking names up and for listing. -EACCES, -ESTALE. */
int permit_enter(struct req *rq, struct node n);

/* What a change in a directory takes. -EACCES, -ESTALE. */
int permit_change(struct req *rq, struct node dir);

#endif
