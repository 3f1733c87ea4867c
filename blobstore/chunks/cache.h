/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_CACHE_H
#define BLOBSTORE_CHUNKS_CACHE_H

/*
 * Decoded chunks by place, shared by all readers of a store, so that small reads of one chunk decode it once. Places
 * are never used again while a store is open, so nothing here goes stale. Bounded by bytes; the least recently used go
 * first. A chunk that several threads want at once is decoded by one of them, and the others wait for it.
 */

#include <stddef.h>
#include <stdint.h>

struct cache;
struct cache_entry;

/* Decodes the chunk at PLACE into BUF, LEN bytes. Called without a lock. */
typedef int cache_load_fn(void *ctx, uint64_t place, void *buf, size_t len);

int cache_new(size_t bytes, struct cache **ret);
void cache_free(struct cache *c); /* accepts NULL; nothing may be in use */

/* The LEN bytes of the chunk, loaded if need be; borrowed until cache_put(). What LOAD fails with is not kept. */
int cache_get(struct cache *c, uint64_t place, size_t len, cache_load_fn *load, void *ctx, struct cache_entry **ret,
              const uint8_t **ret_bytes);

/* As cache_get(), for what is there already: 1, or 0 without waiting. */
int cache_peek(struct cache *c, uint64_t place, size_t len, struct cache_entry **ret, const uint8_t **ret_bytes);

void cache_put(struct cache *c, struct cache_entry *e);

#endif
