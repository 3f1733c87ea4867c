/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_GUEST_H
#define FS_OPS_GUEST_H

/*
 * Requests on guest/ and what is in it: names, directories, the attribute. They read disks, and are answered by the threads
 * for that: handlers for later_run() and its like.
 */

#include "fs/ops/later.h"

later_name_fn guest_lookup;
later_fn guest_opendir, guest_readdir, guest_readdirplus, guest_getxattr;

/* The one attribute, which has the mode as the guest has it. */
#define GUEST_XATTR "user.imagefs.mode"

#endif
