/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_HASH_SHA256_LANES_H
#define BLOBSTORE_HASH_SHA256_LANES_H

/*
 * SHA-256 of two messages side by side. Each step of one message waits for the step before, and the processor could
 * begin two steps in that time: what OpenSSL does with one message takes twice as long for two, this does not.
 */

#include <stdbool.h>

#include "blobstore/hash/sha256.h"

/* Has the processor what it takes? */
bool sha256_lanes_can(void);

/* Only where it has. */
void sha256_lanes(struct sha256_message *messages, size_t n);

#endif
