/* SPDX-License-Identifier: MIT */

#include "blobstore/chunker.h"

#include <string.h>

#include "blobstore/chunk_id.h"

bool block_is_zero(const void *block, size_t n)
{
        const uint8_t *p = block;
        size_t head = n < 16 ? n : 16;

        /* Nearly all blocks that are not zero say so at once; then each byte equals the one 16 before it. */
        for (size_t i = 0; i < head; i++)
                if (p[i])
                        return false;
        return n == head || memcmp(p, p + head, n - head) == 0;
}

bool chunker_add(struct chunker *c, const void *block, size_t n)
{
        c->blocks++;
        if (c->blocks < CHUNK_BLOCKS_MAX && (hash64(block, n, 0) & (CHUNK_BLOCKS_AVERAGE - 1)) != 0)
                return false;
        c->blocks = 0;
        return true;
}

void chunker_reset(struct chunker *c)
{
        c->blocks = 0;
}
