/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_FD_CACHE_H
#define BLOBSTORE_OBJECTS_FD_CACHE_H

/*
 * Descriptors of objects opened for reading, by number. A store may have tens of thousands of them, so only those in
 * use and the least recently used up to a limit stay open. Any number of threads may share a cache.
 */

#include <stdint.h>

struct fd_cache;
struct fd_ref;

/* Opens file ID for reading; gives the descriptor or a negative errno. */
typedef int fd_open_fn(void *ctx, uint32_t id);

int fd_cache_new(fd_open_fn *open, void *ctx, unsigned limit, struct fd_cache **ret);
void fd_cache_free(struct fd_cache *c); /* accepts NULL; nothing may be in use */

/* The descriptor is borrowed until fd_cache_put(). */
int fd_cache_get(struct fd_cache *c, uint32_t id, struct fd_ref **ret, int *ret_fd);
void fd_cache_put(struct fd_cache *c, struct fd_ref *ref);

/* Closes the descriptor of a file that was removed, now or when its last user is done. */
void fd_cache_forget(struct fd_cache *c, uint32_t id);

#endif
