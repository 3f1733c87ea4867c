/* SPDX-License-Identifier: MIT */

/* The only user of libcrypto. */

#include "blobstore/import/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

static const struct {
        const EVP_MD *(*method)(void);
        size_t bytes;
} kinds[DIGEST_COUNT] = {
        [DIGEST_MD5] = { EVP_md5, 16 },
        [DIGEST_SHA1] = { EVP_sha1, 20 },
        [DIGEST_SHA256] = { EVP_sha256, 32 },
        [DIGEST_SHA384] = { EVP_sha384, 48 },
        [DIGEST_SHA512] = { EVP_sha512, 64 },
};

size_t digest_bytes(enum digest_kind kind)
{
        return kinds[kind].bytes;
}

/* A struct digest is libcrypto's context by another name. */
static EVP_MD_CTX *context_of(struct digest *d)
{
        return (EVP_MD_CTX *)d;
}

int digest_new(enum digest_kind kind, struct digest **ret)
{
        EVP_MD_CTX *context;

        /* Its configuration is a file, which a confined process could not read. */
        (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
        context = EVP_MD_CTX_new();
        if (!context)
                return -ENOMEM;
        if (EVP_DigestInit_ex(context, kinds[kind].method(), NULL) != 1) {
                EVP_MD_CTX_free(context);
                return -EOPNOTSUPP;
        }
        *ret = (struct digest *)context;
        return 0;
}

void digest_free(struct digest *d)
{
        EVP_MD_CTX_free(context_of(d));
}

/* Neither of the two fails once a digest has begun: EVP's digests keep their state in the context. */
void digest_add(struct digest *d, const void *bytes, size_t n)
{
        if (EVP_DigestUpdate(context_of(d), bytes, n) != 1)
                abort();
}

void digest_finish(struct digest *d, uint8_t *ret)
{
        if (EVP_DigestFinal_ex(context_of(d), ret, NULL) != 1)
                abort();
}
