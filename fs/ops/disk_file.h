/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_DISK_FILE_H
#define FS_OPS_DISK_FILE_H

#include "fs/tree/tree.h"

/* N is the data.raw of a volume (dir_volume_disk). Opening for writing makes its instance run. */
int disk_file_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi);

#endif
