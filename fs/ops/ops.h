/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_OPS_H
#define FS_OPS_OPS_H

#include "fs/tree/req.h"

/* The requests of the kernel, for a session whose data is a struct fs. */
extern const struct fuse_lowlevel_ops ops;

#endif
