/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_TIDY_H
#define BLOBSTORE_BLOBS_TIDY_H

/* Making a store smaller at rest. What blobstore.h says of errors and threads holds here. */

#include <stdbool.h>
#include <stdint.h>

struct blobstore;

struct blobstore_tidy_stats {
        uint64_t chunks_moved;
        uint64_t bytes_before, bytes_after; /* of their payloads */
};

/* Is it enough for now? Asked between chunks. */
typedef bool blobstore_tidy_stop_fn(void *ctx);

/*
 * One step: moves what lives in some segments that were written in haste, or are half empty, into one new segment of
 * some 64 MiB, encoded as small as can be; of a store in a bucket only the latter. Their space comes with the next collection. Safe beside readers, writers and
 * collections; one at a time. Takes a minute of one processor. 1: there may be more to do; 0: there was nothing. *ret
 * is added to.
 */
int blobstore_tidy(struct blobstore *bs, blobstore_tidy_stop_fn *stop, void *ctx, struct blobstore_tidy_stats *ret);

#endif
