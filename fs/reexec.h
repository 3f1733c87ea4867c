/* SPDX-License-Identifier: MIT */
#ifndef FS_REEXEC_H
#define FS_REEXEC_H

/* Has the mount at MOUNTPOINT be served by the program that is installed by now (supervise.h). An exit status. */
int reexec(const char *mountpoint);

#endif
