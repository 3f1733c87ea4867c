/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/similar.h"

#include <stdbool.h>

#include "blobstore/hash/hash.h"

#define PICKED_ONE_IN 4

static bool features_have(const struct chunk_features *f, uint64_t feature)
{
        for (unsigned i = 0; i < f->n; i++)
                if (f->block[i] == feature)
                        return true;
        return false;
}

void chunk_features_of(const void *bytes, size_t n, struct chunk_features *ret)
{
        const uint8_t *p = bytes;
        uint64_t hash;

        ret->n = 0;
        for (; n >= BLOB_BLOCK_SIZE && ret->n < CHUNK_FEATURES_MAX; p += BLOB_BLOCK_SIZE, n -= BLOB_BLOCK_SIZE) {
                hash = hash64(p, BLOB_BLOCK_SIZE, 0);
                if (hash % PICKED_ONE_IN == 0 && !features_have(ret, hash >> 16))
                        ret->block[ret->n++] = hash >> 16;
        }
}
