/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_BLOB_INFO_H
#define BLOBSTORE_CHUNKS_BLOB_INFO_H

/* What the index records of a blob, and counts of all of them: known without opening one. */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BLOB_ID_SIZE       16
#define BLOB_CHECKSUM_SIZE 16

/* Random, never reused. */
struct blob_id {
        uint8_t bytes[BLOB_ID_SIZE];
};

/* XXH3-128 over a blob's bytes, holes read as zeros, in canonical (big endian) order: as `xxhsum -H2` prints it. */
struct blob_checksum {
        uint8_t bytes[BLOB_CHECKSUM_SIZE];
};

/* All in bytes, except counts. */
struct blobstore_stats {
        uint64_t logical_bytes; /* data (not holes) of all blobs, each blob counted by itself */
        uint64_t unique_bytes; /* data after deduplication */
        uint64_t stored_bytes; /* data after compression */
        uint64_t blobs;
        uint64_t chunks;
};

struct blob_info {
        uint64_t size_bytes; /* virtual */
        uint64_t data_bytes; /* not holes */
        uint64_t data_clusters; /* aligned pieces of BLOB_CLUSTER_SIZE with any data in them */
        uint64_t data_spans; /* likewise of BLOB_SPAN_SIZE */
        struct blob_checksum checksum; /* zeros: not known, as the blob was made of parts of others */
};

static inline bool blob_has_checksum(const struct blob_info *info)
{
        static const struct blob_checksum unknown;

        return memcmp(&info->checksum, &unknown, sizeof(unknown)) != 0;
}

#endif
