/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/chunk_id.h"

#include "blobstore/base/bytes.h"

void chunk_id_of(const void *bytes, size_t n, struct chunk_id *ret)
{
        hash128(bytes, n, ret->bytes);
}

uint64_t chunk_id_key(const struct chunk_id *id)
{
        uint64_t key = get_le64(id->bytes);

#ifdef IMAGEFS_WEAK_HASH
        key &= 0xff;
#endif
        return key;
}
