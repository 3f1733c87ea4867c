/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_BLOCK_SLOTS_H
#define BLOBSTORE_CHUNKS_BLOCK_SLOTS_H

/*
 * A file of decoded blocks of one blob: slot I, at I * 4104, is block I of the blob (the last one filled up with zeros)
 * and u64 XXH3-64 of it, little endian, seeded with the blob's id and I. So a block and what proves it come with one
 * read, and neither another blob's file under this name nor a block in another's place passes. A slot of zeros is none.
 * 512 slots, a stretch, are 513 pages of 4096: what is given back to the disk at once.
 *
 * Nobody syncs such a file: what a crash leaves of it is what verifies. For block_cache.c alone.
 */

#include <stddef.h>
#include <stdint.h>

#include "blobstore/base/block.h"
#include "blobstore/chunks/blob_info.h"

#define BLOCK_SLOT_SIZE (BLOB_BLOCK_SIZE + 8)
#define STRETCH_BLOCKS  512
#define STRETCH_PAGES   513 /* of BLOB_BLOCK_SIZE */
#define STRETCH_BYTES   ((uint64_t)STRETCH_PAGES * BLOB_BLOCK_SIZE)

/* Of the blob's file FD, and what its checksums are seeded with. */
struct block_slots {
        int fd;
        uint64_t seed;
};

uint64_t block_slots_seed(const struct blob_id *id);

/* So many bytes, wherever they begin, can be read at once. */
#define BLOCK_READ_MAX (32U << 10)

/*
 * Reads N bytes from OFF, up to BLOCK_READ_MAX: 1. 0: *ret_block is the first block that is not there, or -EBADMSG, not
 * the one that was written; BUF holds anything then.
 */
int block_slots_read(const struct block_slots *s, void *buf, size_t n, uint64_t off, uint64_t *ret_block);

/* Writes N bytes from OFF on, which begins a block; the last block is completed with zeros. */
int block_slots_write(const struct block_slots *s, const void *bytes, size_t n, uint64_t off);

/* Gives a stretch back to the disk. */
int block_slots_punch(int fd, uint64_t stretch);

/* Calls FN for each run of slots that lie where the file has data. A negative errno from FN ends it. */
typedef int block_run_fn(void *ctx, uint64_t block, uint64_t blocks);
int block_slots_each_run(int fd, block_run_fn *fn, void *ctx);

#endif
