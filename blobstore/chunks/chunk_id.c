/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/chunk_id.h"

#include "blobstore/base/block.h"
#include "blobstore/base/bytes.h"
#include "blobstore/hash/sha256.h"

void chunk_id_of(const void *bytes, size_t n, struct chunk_id *ret)
{
        hash128(bytes, n, ret->bytes);
}

int chunk_name_of(const void *bytes, size_t n, struct chunk_name *ret)
{
        uint8_t digest[SHA256_SIZE];
        int r;

        r = sha256(bytes, n, digest);
        if (r == 0)
                memcpy(ret->bytes, digest, CHUNK_NAME_SIZE);
        return r;
}

int chunk_name_both(const struct chunk_bytes chunks[2], struct chunk_name ret[2])
{
        struct sha256_message m[2] = { { .bytes = chunks[0].bytes, .n = chunks[0].n },
                                       { .bytes = chunks[1].bytes, .n = chunks[1].n } };
        int r;

        r = sha256_all(m, 2);
        for (int i = 0; r == 0 && i < 2; i++)
                memcpy(ret[i].bytes, m[i].digest, CHUNK_NAME_SIZE);
        return r;
}

uint64_t chunk_name_key(const struct chunk_name *name)
{
        uint64_t key = get_le64(name->bytes);

#ifdef IMAGEFS_WEAK_HASH
        key &= 0xff;
#endif
        return key;
}

bool chunk_name_is_known(const struct chunk_name *name)
{
        return !block_is_zero(name->bytes, CHUNK_NAME_SIZE);
}
