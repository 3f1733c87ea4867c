/* SPDX-License-Identifier: MIT */

#include "blobstore/hash/sha256.h"

#include <errno.h>
#include <openssl/sha.h>

_Static_assert(SHA256_SIZE == SHA256_DIGEST_LENGTH, "the header says so without the library");

int sha256(const void *bytes, size_t n, uint8_t ret[SHA256_SIZE])
{
        return SHA256(bytes, n, ret) ? 0 : -ENOMEM; /* nothing else can fail */
}
