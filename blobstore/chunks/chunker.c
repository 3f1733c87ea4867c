/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/chunker.h"

#include "blobstore/hash/hash.h"

/* So many zeros at the end of a block are what a file system fills a file's last block with. */
#define TAIL_BYTES 64

/* Other blocks are picked by their hash, one in so many. */
#define PICKED_ONE_IN 16

bool chunk_ends_file(const uint8_t *block, size_t n)
{
        return n >= TAIL_BYTES && block_is_zero(block + n - TAIL_BYTES, TAIL_BYTES);
}

bool chunker_add(struct chunker *c, const void *block, size_t n)
{
        c->blocks++;
        if (c->blocks < CHUNK_BLOCKS_MIN)
                return false;
        if (c->blocks < CHUNK_BLOCKS_MAX && !chunk_ends_file(block, n) && hash64(block, n, 0) % PICKED_ONE_IN != 0)
                return false;
        c->blocks = 0;
        return true;
}

void chunker_reset(struct chunker *c)
{
        c->blocks = 0;
}
