/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_BLOCK_H
#define BLOBSTORE_BASE_BLOCK_H

/* The units in which every room counts, and blocks that are nothing but zeros. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Data and holes are known, and chunks are cut, at this granularity. */
#define BLOB_BLOCK_SIZE 4096

/* The largest virtual disk, in bytes: 64 TiB, what ext4's and qcow2's own limits leave sensible. */
#define BLOB_SIZE_MAX (UINT64_C(64) << 40)

/*
 * How many pieces of these sizes have data in them is counted for every blob: the clusters and tables of the qcow2 file
 * that it also is (export/export.h), whose size must be known without opening the blob.
 */
#define BLOB_CLUSTER_SIZE (UINT64_C(64) << 10)
#define BLOB_SPAN_SIZE    (UINT64_C(512) << 20)

/* Is every one of N bytes zero? Fast also where it is not. */
static inline bool block_is_zero(const void *block, size_t n)
{
        const uint8_t *p = (const uint8_t *)block;
        size_t head = n < 16 ? n : 16;

        /* Nearly all blocks that are not zero say so at once; then each byte equals the one 16 before it. */
        for (size_t i = 0; i < head; i++)
                if (p[i])
                        return false;
        return n == head || memcmp(p, p + head, n - head) == 0;
}

#endif
