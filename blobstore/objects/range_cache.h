/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_RANGE_CACHE_H
#define BLOBSTORE_OBJECTS_RANGE_CACHE_H

/*
 * What was read of objects that lie far away, in pieces of RANGE_SIZE, in a file without a name on a disk that is near: of bounded
 * size, and gone with its owner, so that nothing that a crash left in it is ever read. Whoever wants a piece that somebody
 * already fetches waits for that. It is a cache and nothing else: where its disk fails, it keeps nothing. Any number of threads
 * may share one.
 */

#include <stddef.h>
#include <stdint.h>

#define RANGE_SIZE ((size_t)1 << 20)

struct range_cache;

/* Fills in up to N bytes of object ID from FROM on; fewer where it ends. A negative errno, which the reader is given. */
typedef int range_fetch_fn(void *ctx, uint32_t id, uint64_t from, void *buf, size_t n, size_t *ret_n);

/* BYTES are kept at the most, but some pieces always. DIR_FD is needed for the call alone. */
int range_cache_new(int dir_fd, uint64_t bytes, range_fetch_fn *fetch, void *ctx, struct range_cache **ret);
void range_cache_free(struct range_cache *c); /* accepts NULL */

/* Reads exactly N bytes. -EBADMSG: the object ends before. */
int range_cache_read(struct range_cache *c, uint32_t id, uint64_t from, void *buf, size_t n);

/* What nobody is just reading of the object is read anew. */
void range_cache_forget(struct range_cache *c, uint32_t id);

#endif
