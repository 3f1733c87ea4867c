/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_NAMELESS_H
#define BLOBSTORE_BASE_NAMELESS_H

/*
 * A file without a name, empty and open for reading and writing, on the disk of the directory DIR_FD: it goes with its
 * last descriptor. Gives that, or a negative errno. A crash may leave it in the directory, with 32 hex digits as name.
 */
int nameless_open(int dir_fd);

#endif
