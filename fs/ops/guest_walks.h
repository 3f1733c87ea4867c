/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_GUEST_WALKS_H
#define FS_OPS_GUEST_WALKS_H

/*
 * Whether who lists a guest's directory asks for what its files are, too. That reads all over the disk, so that of a large
 * directory it costs ten times as much as the names, and the kernel remembers each file that it was told of. Who wants it is
 * known by looking up names that came without, as of the second piece of a directory: then it comes with the next pieces, and
 * now and then not, to see whether it is still wanted. To guess wrong costs time, and nothing else.
 *
 * Any thread may use it.
 */

#include "fs/tree/req.h"

struct guest_walks;

int guest_walks_new(struct guest_walks **ret);
void guest_walks_free(struct guest_walks *gw); /* accepts NULL */

/* A name was looked up in that directory. */
void guest_walks_asked(struct guest_walks *gw, fuse_ino_t dir);
/* Is what its files are to come with the next piece of it, which is or is not its first? */
bool guest_walks_wants(struct guest_walks *gw, fuse_ino_t dir, bool first);

#endif
