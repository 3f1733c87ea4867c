/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_DIGEST_H
#define BLOBSTORE_IMPORT_DIGEST_H

/*
 * Digests, for checking files against what came with them; nothing here relies on them for safety. One is used by one
 * thread at a time.
 */

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES_MAX 64

enum digest_kind { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512, DIGEST_COUNT };

size_t digest_bytes(enum digest_kind kind);

struct digest;

/* -ENOMEM; -EOPNOTSUPP where this machine's policy forbids the kind. Release with digest_free(). */
int digest_new(enum digest_kind kind, struct digest **ret);
/* Accepts NULL. */
void digest_free(struct digest *d);

void digest_add(struct digest *d, const void *bytes, size_t n);
/* Gives digest_bytes() bytes; nothing can be added after that. */
void digest_finish(struct digest *d, uint8_t *ret);

#endif
