/* SPDX-License-Identifier: MIT */

#include "blobstore/hash/sha256.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/hash/sha256_lanes.h"

_Static_assert(SHA256_SIZE == SHA256_DIGEST_LENGTH, "the header says so without the library");

int sha256(const void *bytes, size_t n, uint8_t ret[SHA256_SIZE])
{
        return SHA256(bytes, n, ret) ? 0 : -ENOMEM; /* nothing else can fail */
}

#define PIECE_BYTES ((size_t)256 << 10)

static int hash_file(EVP_MD_CTX *md, int fd, uint64_t n)
{
        CLEANUP_FREE uint8_t *piece = malloc(PIECE_BYTES);
        uint64_t at = 0;

        if (!piece || !EVP_DigestInit_ex(md, EVP_sha256(), NULL))
                return -ENOMEM;
        while (at < n) {
                const size_t want = n - at < PIECE_BYTES ? (size_t)(n - at) : PIECE_BYTES;
                ssize_t got = pread_full(fd, piece, want, (off_t)at);

                if (got < 0)
                        return (int)got;
                if ((size_t)got < want)
                        return -ENODATA;
                if (!EVP_DigestUpdate(md, piece, want))
                        return -ENOMEM;
                at += want;
        }
        return 0;
}

int sha256_file(int fd, uint64_t n, uint8_t ret[SHA256_SIZE])
{
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        int r = md ? hash_file(md, fd, n) : -ENOMEM;

        if (r == 0 && !EVP_DigestFinal_ex(md, ret, NULL))
                r = -ENOMEM;
        EVP_MD_CTX_free(md);
        return r;
}

int sha256_hmac(const void *key, size_t key_n, const void *bytes, size_t n, uint8_t ret[SHA256_SIZE])
{
        return key_n <= INT_MAX && HMAC(EVP_sha256(), key, (int)key_n, bytes, n, ret, NULL) ? 0 : -ENOMEM;
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
