/* SPDX-License-Identifier: MIT */

#include "blobstore/hash/hash.h"

#include <string.h>

/* Compiled in: see CMakeLists.txt. */
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash64(const void *bytes, size_t n, uint64_t seed)
{
        return XXH3_64bits_withSeed(bytes, n, seed);
}

void hash128(const void *bytes, size_t n, uint8_t ret[HASH128_SIZE])
{
        XXH128_canonical_t canonical;

        XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, n));
        memcpy(ret, canonical.digest, HASH128_SIZE);
}
