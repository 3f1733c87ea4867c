/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_READ_AHEAD_H
#define FS_OPS_READ_AHEAD_H

#include "fs/tree/req.h"

/* Lets the kernel read blobs ahead in large pieces, where it can be told so. Any thread may call it. */
void read_ahead_raise(struct fs *fs);

#endif
