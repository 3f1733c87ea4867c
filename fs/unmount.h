/* SPDX-License-Identifier: MIT */
#ifndef FS_UNMOUNT_H
#define FS_UNMOUNT_H

/* Takes the mount off PATH, at once for whoever comes, whether it is served or not. -ENOTCONN: it cannot be. */
int unmount_detach(const char *path);

#endif
