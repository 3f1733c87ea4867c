/* SPDX-License-Identifier: MIT */
#ifndef FS_REPLY_BUFFER_H
#define FS_REPLY_BUFFER_H

#include <stddef.h>

struct fuse_bufvec;

/*
 * At least SIZE bytes for the answer to the request at hand: the calling thread's own, kept from one request to the
 * next (at most one request's size, 1 MiB), freed when the thread ends. NULL: out of memory.
 */
char *reply_buffer(size_t size);

/*
 * The SIZE bytes of a write(2) in one piece: where they are, as they come without splice, or brought together in the
 * reply buffer. Borrowed until the request is answered.
 */
int reply_buffer_gather(struct fuse_bufvec *in, size_t size, const void **ret);

#endif
