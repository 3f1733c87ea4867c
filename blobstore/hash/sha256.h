/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_HASH_SHA256_H
#define BLOBSTORE_HASH_SHA256_H

/*
 * SHA-256 (FIPS 180-4), for names that stand for the bytes themselves: whoever finds one again need not compare. With
 * the processor's instructions for it 1.7 GB/s on one core, about what reading the other bytes back would take; of
 * several messages at once 3.3 GB/s.
 */

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

/* -ENOMEM. */
int sha256(const void *bytes, size_t n, uint8_t ret[SHA256_SIZE]);

/* Of the first N bytes of a file. -ENOMEM, -ENODATA where it ends before, and what pread(2) gives. */
int sha256_file(int fd, uint64_t n, uint8_t ret[SHA256_SIZE]);

/* HMAC-SHA-256 (RFC 2104), for signatures. -ENOMEM. */
int sha256_hmac(const void *key, size_t key_n, const void *bytes, size_t n, uint8_t ret[SHA256_SIZE]);

struct sha256_message {
        const void *bytes;
        size_t n;
        uint8_t digest[SHA256_SIZE];
};

/* The digests of N messages, as sha256() gives them. -ENOMEM. */
int sha256_all(struct sha256_message *messages, size_t n);

#endif
