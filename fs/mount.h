/* SPDX-License-Identifier: MIT */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

/* The way from a command line to a mounted library, and back. */

#include "fs/options.h"

/*
 * Serves until the mount is unmounted or the process is told to stop. READY is called once the mount can be used,
 * before the first request is answered. Failures are reported on standard error. Gives an exit status.
 */
int mount_serve(struct options *opts, void (*ready)(void *ctx), void *ctx);

#endif
