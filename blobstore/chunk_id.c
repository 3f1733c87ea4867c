/* SPDX-License-Identifier: MIT */

#include "blobstore/chunk_id.h"

#include <stdlib.h>
#include <xxhash.h>

#include "blobstore/base/bytes.h"

/* Small enough to stay in the first-level cache beside the state, large enough that the call does not count. */
#define ZEROS_SIZE 16384

struct checksum {
        XXH3_state_t *state;
};

void chunk_id_of(const void *bytes, size_t n, struct chunk_id *ret)
{
        XXH128_canonical_t canonical;

        XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, n));
        memcpy(ret->bytes, canonical.digest, CHUNK_ID_SIZE);
}

uint64_t chunk_id_key(const struct chunk_id *id)
{
        uint64_t key = get_le64(id->bytes);

#ifdef IMAGEFS_WEAK_HASH
        key &= 0xff;
#endif
        return key;
}

uint64_t hash64(const void *bytes, size_t n, uint64_t seed)
{
        return XXH3_64bits_withSeed(bytes, n, seed);
}

struct checksum *checksum_new(void)
{
        struct checksum *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->state = XXH3_createState();
        if (!c->state || XXH3_128bits_reset(c->state) != XXH_OK) {
                checksum_free(c);
                return NULL;
        }
        return c;
}

void checksum_free(struct checksum *c)
{
        if (!c)
                return;
        XXH3_freeState(c->state);
        free(c);
}

void checksum_add(struct checksum *c, const void *bytes, size_t n)
{
        (void)XXH3_128bits_update(c->state, bytes, n); /* fails for NULL only */
}

void checksum_add_zeros(struct checksum *c, uint64_t n)
{
        static const uint8_t zeros[ZEROS_SIZE];

        while (n) {
                size_t part = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);

                checksum_add(c, zeros, part);
                n -= part;
        }
}

void checksum_get(const struct checksum *c, struct blob_checksum *ret)
{
        XXH128_canonical_t canonical;

        XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(c->state));
        memcpy(ret->bytes, canonical.digest, BLOB_CHECKSUM_SIZE);
}
