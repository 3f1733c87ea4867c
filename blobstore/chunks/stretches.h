/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_STRETCHES_H
#define BLOBSTORE_CHUNKS_STRETCHES_H

/*
 * Which blocks of which file are likely to be in the cache on disk, by stretches of 512, and which stretch goes next.
 * "Likely", since only the block's checksum tells; a block of which this knows nothing is not looked for. Readers meet
 * at one of some locks for an instant. For block_cache.c alone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "blobstore/chunks/block_slots.h"

/*
 * A stretch counts for the pages that were written of it, and for this at least: with few blocks in each the memory for
 * stretches, 150 bytes each, stays below a four hundredth of the cache.
 */
#define STRETCH_PAGES_MIN 16

struct stretch;
LIST_HEAD(stretch_list, stretch);

struct stretches;

int stretches_new(uint64_t cache_bytes, struct stretches **ret);
void stretches_free(struct stretches *t); /* accepts NULL; with all that are in it */

/* Is each of so many blocks likely to be there? They count as used then. */
bool stretches_have(struct stretches *t, const void *file, uint64_t block, size_t blocks);

/* A block did not verify: false, where it had been taken out meanwhile. */
bool stretches_unset(struct stretches *t, const void *file, uint64_t block);

/*
 * ---- the rest is called with the cache's lock held ----
 *
 * FILE is what a stretch is found by, and LIST, all stretches of that file, the caller's.
 */

/* Blocks of one stretch are about to be written; it does not go before stretches_filled(). NULL: no memory. */
struct stretch *stretches_fill(struct stretches *t, void *file, struct stretch_list *list, uint64_t block, size_t blocks);
/* They are there (GOOD), or not. */
void stretches_filled(struct stretches *t, struct stretch *st, uint64_t block, size_t blocks, bool good);

uint64_t stretches_bytes(const struct stretches *t); /* what all of them count for */

/*
 * Takes one out that was not used since this last came by: true, with its file and number. False: there is none that is
 * not being filled.
 */
bool stretches_take(struct stretches *t, void **ret_file, uint64_t *ret_number);

/* Takes out all of a file's that are not being filled. */
void stretches_forget(struct stretches *t, struct stretch_list *list);

#endif
