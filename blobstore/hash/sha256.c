/* SPDX-License-Identifier: MIT */

#include "blobstore/hash/sha256.h"

#include <errno.h>
#include <openssl/sha.h>

#include "blobstore/hash/sha256_lanes.h"

_Static_assert(SHA256_SIZE == SHA256_DIGEST_LENGTH, "the header says so without the library");

int sha256(const void *bytes, size_t n, uint8_t ret[SHA256_SIZE])
{
        return SHA256(bytes, n, ret) ? 0 : -ENOMEM; /* nothing else can fail */
}

int sha256_all(struct sha256_message *messages, size_t n)
{
        int r = 0;

        if (n > 1 && sha256_lanes_can()) {
                sha256_lanes(messages, n);
                return 0;
        }
        for (size_t i = 0; r == 0 && i < n; i++)
                r = sha256(messages[i].bytes, messages[i].n, messages[i].digest);
        return r;
}
