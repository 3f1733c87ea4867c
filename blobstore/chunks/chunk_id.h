/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_CHUNK_ID_H
#define BLOBSTORE_CHUNKS_CHUNK_ID_H

/*
 * The name of a chunk: the XXH3-128 of its bytes. A name found again is a hint that the bytes are the same, never a
 * proof: whoever shares a chunk compares the bytes first.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "blobstore/hash/hash.h"

#define CHUNK_ID_SIZE HASH128_SIZE

struct chunk_id {
        uint8_t bytes[CHUNK_ID_SIZE]; /* canonical, that is big endian */
};

void chunk_id_of(const void *bytes, size_t n, struct chunk_id *ret);

/*
 * What the index looks chunks up by: 64 bits of the name. With IMAGEFS_WEAK_HASH only 8 of them are left, so that
 * different chunks meet under one key all the time and whoever trusted the key would be caught by every test.
 */
uint64_t chunk_id_key(const struct chunk_id *id);

static inline bool chunk_id_equal(const struct chunk_id *a, const struct chunk_id *b)
{
        return memcmp(a->bytes, b->bytes, CHUNK_ID_SIZE) == 0;
}

#endif
