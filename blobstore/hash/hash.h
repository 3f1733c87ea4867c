/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_HASH_HASH_H
#define BLOBSTORE_HASH_HASH_H

/*
 * Hashes of bytes that are there as a whole; checksum.h has the running one. For the rooms of blobstore/.
 *
 * None of this is cryptographic. A hash found again is a hint that the bytes are the same, never a proof: whoever
 * shares something compares the bytes first. Against accidents (a disk that lies) 128 bits are plenty.
 */

#include <stddef.h>
#include <stdint.h>

#define HASH128_SIZE 16

/* XXH3-64. SEED tells kinds of content apart that must never be taken for one another. */
uint64_t hash64(const void *bytes, size_t n, uint64_t seed);

/* XXH3-128 in canonical, that is big endian, order. */
void hash128(const void *bytes, size_t n, uint8_t ret[HASH128_SIZE]);

#endif
