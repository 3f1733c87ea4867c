/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_ABORT_H
#define FS_OPS_ABORT_H

/*
 * Has the kernel fail all requests to what is mounted on MOUNTPOINT: nobody is going to answer them, and a thread of this
 * process waits for one. Root may do so by the mount, others by a file of their own.
 */
void abort_requests(const char *mountpoint);

#endif
