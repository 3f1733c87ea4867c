/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_HASH_CHECKSUM_H
#define BLOBSTORE_HASH_CHECKSUM_H

/*
 * The running checksum of a whole disk or file: XXH3-128 over all its bytes, as `xxhsum -H2` prints it.
 */

#include <stddef.h>
#include <stdint.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/hash/hash.h"

struct checksum;

/* Belongs to one thread at a time. NULL: no memory. */
struct checksum *checksum_new(void);
void checksum_free(struct checksum *c); /* accepts NULL */
void checksum_add(struct checksum *c, const void *bytes, size_t n);
void checksum_add_zeros(struct checksum *c, uint64_t n); /* some twenty times as fast as adding the bytes */
void checksum_get(const struct checksum *c, uint8_t ret[HASH128_SIZE]); /* of what was added so far */

DEFINE_CLEANUP(struct checksum *, checksum_freep, checksum_free)

#endif
