/* SPDX-License-Identifier: MIT */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

/* The way from a command line to a mounted library, and back. */

#include "fs/options.h"

struct lasting;

/*
 * Serves until the mount is unmounted or the process is told to stop. READY is called once the mount can be used,
 * before the first request is answered. LASTING (may be NULL) is what the next process goes on with, and this one, where
 * there is a session in it. Failures are reported on standard error. Gives an exit status.
 */
int mount_serve(struct options *opts, struct lasting *lasting, void (*ready)(void *ctx), void *ctx);

#endif
