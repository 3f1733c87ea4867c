/* SPDX-License-Identifier: MIT */
#ifndef FS_OBSTACLE_H
#define FS_OBSTACLE_H

/* Why a mount cannot be, in one sentence: libfuse and fusermount3 know, but say it in words of their own, or not at all. */

#include "fs/options.h"

/* What stands in the way of mounting on directory MOUNTPOINT, with what to do. NULL: nothing that can be seen before. */
const char *obstacle_find(const struct options *opts, const char *mountpoint);

#endif
