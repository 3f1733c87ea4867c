/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKER_H
#define BLOBSTORE_CHUNKER_H

/*
 * Where chunks begin and end. Pure: no memory, no I/O.
 *
 * Blocks of zeros are holes and belong to no chunk. Other blocks are gathered until one whose hash is picked by a
 * mask has been added, or the chunk is full, or a hole begins. So cuts depend on content alone, and data that was
 * moved by whole blocks, as file systems move it, is cut the same way again.
 *
 * On three related 2 GiB system disks (1803 MiB that are not zero) an average of 16 blocks of 4 KiB leaves 876 MiB
 * after deduplication, in 29 497 chunks; fixed pieces of 64 KiB leave 1337 MiB, fixed pieces of 4 KiB 710 MiB but in
 * 461 779 chunks that compress worse (312 against 347 MiB stored), cutting at any byte 915 MiB. Half the average
 * leaves 823 MiB (330 MiB stored) and doubles the number of chunks, so the size of maps and index.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/blobstore.h"

#define CHUNK_BLOCKS_AVERAGE 16 /* a power of two */
#define CHUNK_BLOCKS_MAX     64
#define CHUNK_SIZE_MAX       (CHUNK_BLOCKS_MAX * BLOB_BLOCK_SIZE)

struct chunker {
        unsigned blocks; /* in the chunk that is being gathered */
};

/* Is every one of N bytes zero? Fast also where it is not. */
bool block_is_zero(const void *block, size_t n);

/*
 * Adds a block of N bytes that is not zero; N is the block size but for the last one of a blob. True: the chunk ends
 * after it.
 */
bool chunker_add(struct chunker *c, const void *block, size_t n);

/* A hole or the end follows: the next block begins a chunk. */
void chunker_reset(struct chunker *c);

#endif
