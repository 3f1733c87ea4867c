/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_DIGEST_H
#define BLOBSTORE_BASE_DIGEST_H

/* MD5, SHA-1 and SHA-256, for checking files against what came with them; nothing here relies on them for safety. */

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES_MAX 32

enum digest_kind { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256 };

struct digest {
        enum digest_kind kind;
        uint32_t state[8];
        uint64_t bytes;
        uint8_t block[64];
};

void digest_start(struct digest *d, enum digest_kind kind);
void digest_add(struct digest *d, const void *bytes, size_t n);

/* Gives its length: 16, 20 or 32 bytes. */
size_t digest_finish(struct digest *d, uint8_t ret[DIGEST_BYTES_MAX]);

#endif
