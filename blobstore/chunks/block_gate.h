/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_BLOCK_GATE_H
#define BLOBSTORE_CHUNKS_BLOCK_GATE_H

/*
 * What of all that small reads miss is worth a place in the cache on disk. A read of 4 KiB decodes a chunk of some 64,
 * and who reads from all over more than the cache can hold would write each of them, for nothing. So:
 *
 *      a chunk that is missed once     is only remembered: a few bytes, in a table of as many entries as the cache has
 *                                      room for chunks, where others soon take its place if it does not come again
 *      one that is missed again        is kept, whole
 *      the same, while the cache is    one in eight is kept: what is used goes out slowly, and what has become useful
 *      full                            still comes in
 *
 * So what is written is no more than the cache holds, and an eighth of what is decoded from then on. What is remembered
 * is a hint: two chunks may be taken for one, and threads may overwrite each other's. For block_cache.c alone.
 */

#include <stdbool.h>
#include <stdint.h>

struct block_gate;

int block_gate_new(uint64_t cache_bytes, struct block_gate **ret);
void block_gate_free(struct block_gate *g); /* accepts NULL */

/* A chunk was missed: had it been missed lately? KEY: any number that is the chunk's. */
bool block_gate_is_again(struct block_gate *g, uint64_t key);

/* While the cache is full: is this the one in eight? */
bool block_gate_is_turn(struct block_gate *g);

#endif
