/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_READY_H
#define FS_OPS_READY_H

/*
 * Directories whose answers need something that takes time to make and is kept for a while only (dir_kind.make_ready).
 * Whoever asks when it is not there has it made by a thread for that (later.h), and then is answered as ever.
 */

#include "fs/tree/node.h"
#include "fs/tree/req.h"

/* Can that be so of N? */
bool ready_concerns(struct node n);

/* Has it to be made, to answer about N; about NAME in it, if that is not NULL? */
bool ready_awaits(fuse_req_t fuse, struct node n, const char *name);

/* Makes it; false: it replied why it cannot be. VERB is the request's. */
bool ready_make(fuse_req_t fuse, struct node n, const char *verb);

#endif
