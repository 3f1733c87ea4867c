/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_DISK_FILE_H
#define FS_OPS_DISK_FILE_H

#include <sys/stat.h>

#include "fs/tree/tree.h"

/* N is the data.raw of a volume (dir_volume_disk). Opening for writing makes its instance run. */
int disk_file_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi);

/* Size, space taken and links of a disk's file. -ENOENT. */
int disk_file_attr(struct req *rq, uint64_t volume, struct stat *st);

#endif
