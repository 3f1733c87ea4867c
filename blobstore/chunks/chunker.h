/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_CHUNKER_H
#define BLOBSTORE_CHUNKS_CHUNKER_H

/*
 * Where chunks begin and end. Pure: no memory, no I/O.
 *
 * Blocks of zeros are holes and belong to no chunk. Other blocks are gathered, some at least, until one has been added
 * that looks like the last one of a file, or whose hash is picked, or the chunk is full, or a hole begins. So cuts
 * depend on content alone, and data that was moved by whole blocks, as file systems move it, is cut the same way again.
 * A chunk that ends where a file does is found again whatever follows that file on another disk.
 *
 * Three related system disks (a Debian, the same with more installed, and another build; 2909 MiB that are not zero):
 *
 *                                                  unique      chunks      stored
 *      at the ends of files, and by hash          1584 MiB      25 859     600 MiB
 *      by hash alone, of the same average         1636 MiB      25 657     612 MiB
 *      by hash alone, half the average            1573 MiB      48 976     598 MiB
 *      each block                                 1452 MiB     371 935     614 MiB
 *      fixed pieces of 64 KiB                     2154 MiB      34 523     775 MiB
 *
 * Cutting at any byte found less than cutting at blocks (measured on smaller disks: 915 against 876 MiB unique).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/base/block.h"

#define CHUNK_BLOCKS_MIN 8
#define CHUNK_BLOCKS_MAX 64
#define CHUNK_SIZE_MAX       (CHUNK_BLOCKS_MAX * BLOB_BLOCK_SIZE)

/* Does a block of N bytes look like the last one of a file: filled with zeros, as file systems do it? */
bool chunk_ends_file(const uint8_t *block, size_t n);

struct chunker {
        unsigned blocks; /* in the chunk that is being gathered */
};

/*
 * Adds a block of N bytes that is not zero; N is the block size but for the last one of a blob. True: the chunk ends
 * after it.
 */
bool chunker_add(struct chunker *c, const void *block, size_t n);

/* A hole or the end follows: the next block begins a chunk. */
void chunker_reset(struct chunker *c);

#endif
