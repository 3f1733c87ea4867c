/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_CHUNK_ID_H
#define BLOBSTORE_CHUNKS_CHUNK_ID_H

/*
 * Hashes: the name of a chunk (XXH3-128 of its bytes), the fingerprint of a block and of a page (XXH3-64), and
 * the running checksum of a whole blob.
 *
 * None of this is cryptographic. A name found again is a hint that the bytes are the same, never a proof:
 * whoever shares a chunk compares the bytes first. Against accidents (a disk that lies) 128 bits are plenty.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "blobstore/blobstore.h"

#define CHUNK_ID_SIZE 16

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

/* SEED tells kinds of content apart that must never be taken for one another. */
uint64_t hash64(const void *bytes, size_t n, uint64_t seed);

struct checksum;

/* Belongs to one thread at a time. NULL: no memory. */
struct checksum *checksum_new(void);
void checksum_free(struct checksum *c); /* accepts NULL */
void checksum_add(struct checksum *c, const void *bytes, size_t n);
void checksum_add_zeros(struct checksum *c, uint64_t n);
void checksum_get(const struct checksum *c, struct blob_checksum *ret);

#endif
