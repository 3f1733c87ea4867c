/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_DIR_H
#define BLOBSTORE_BASE_DIR_H

/* What lies in a directory. */

/* A negative errno ends the walk and is returned. */
typedef int dir_each_fn(void *ctx, const char *name);

/*
 * Calls FN for each entry, in no order, of the directory NAME ("." for itself) in DIR_FD. FN may remove it. -ENOENT;
 * -ENOTDIR, also for a symbolic link.
 */
int dir_each(int dir_fd, const char *name, dir_each_fn *fn, void *ctx);

/* Removes NAME in DIR_FD, a file or a directory with all that is in it. No link is followed. 0, too, where there is none. */
int dir_remove(int dir_fd, const char *name);

#endif
