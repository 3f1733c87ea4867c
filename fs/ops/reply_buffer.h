/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_REPLY_BUFFER_H
#define FS_OPS_REPLY_BUFFER_H

#include <stddef.h>

/*
 * At least SIZE bytes for the answer to the request at hand: the calling thread's own, kept from one request to the
 * next (at most one request's size, 1 MiB), freed when the thread ends. NULL: out of memory.
 */
char *reply_buffer(size_t size);

#endif
