/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_CHUNK_ID_H
#define BLOBSTORE_CHUNKS_CHUNK_ID_H

/*
 * What a chunk is known by. Its id, the XXH3-128 of its bytes, is what maps verify reads with; it costs next to
 * nothing, and anybody can make two chunks of one id. Its name, 192 bits of the SHA-256, is what the index finds chunks
 * by; chunks of one name are the same chunk, and nobody compares their bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "blobstore/hash/hash.h"

#define CHUNK_ID_SIZE HASH128_SIZE
#define CHUNK_NAME_SIZE 24

struct chunk_id {
        uint8_t bytes[CHUNK_ID_SIZE]; /* canonical, that is big endian */
};

/* All zeros: not known, as where the chunk could not be read when its segment was described. */
struct chunk_name {
        uint8_t bytes[CHUNK_NAME_SIZE];
};

void chunk_id_of(const void *bytes, size_t n, struct chunk_id *ret);
int chunk_name_of(const void *bytes, size_t n, struct chunk_name *ret); /* -ENOMEM */

/* Of two chunks, in little more than half the time. -ENOMEM. */
struct chunk_bytes {
        const void *bytes;
        size_t n;
};
int chunk_name_both(const struct chunk_bytes chunks[2], struct chunk_name ret[2]);

/*
 * What the index sorts names by: 64 bits of them. With IMAGEFS_WEAK_HASH only 8 of these are left, so that different
 * chunks meet under one key all the time and whoever trusted the key would be caught by every test.
 */
uint64_t chunk_name_key(const struct chunk_name *name);

/* The rest of it. */
#define CHUNK_NAME_REST_SIZE (CHUNK_NAME_SIZE - 8)
static inline const uint8_t *chunk_name_rest(const struct chunk_name *name)
{
        return name->bytes + 8;
}

static inline bool chunk_id_equal(const struct chunk_id *a, const struct chunk_id *b)
{
        return memcmp(a->bytes, b->bytes, CHUNK_ID_SIZE) == 0;
}

static inline bool chunk_name_equal(const struct chunk_name *a, const struct chunk_name *b)
{
        return chunk_name_key(a) == chunk_name_key(b) &&
               memcmp(chunk_name_rest(a), chunk_name_rest(b), CHUNK_NAME_REST_SIZE) == 0;
}

bool chunk_name_is_known(const struct chunk_name *name);

#endif
