/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_GC_H
#define BLOBSTORE_BLOBS_GC_H

/* Giving space back. What blobstore.h says of errors and threads holds here. */

#include <stdbool.h>
#include <stdint.h>

#include "blobstore/blobs/blob.h"

/* Is this blob named by somebody? Must be true for everything recorded; what is open is kept in any case. */
typedef bool blob_live_fn(void *ctx, const struct blob_id *id);

/* Is one that LIVE denies to stay for now? It is asked of those that were there when the store was opened. */
typedef bool blob_stays_fn(void *ctx, const struct blob_id *id);

struct blobstore_gc_stats {
        uint64_t blobs_removed;
        uint64_t blobs_kept; /* removed, but still open: their space comes with a later call */
        uint64_t chunks_removed;
        uint64_t bytes_freed; /* returned to the file system */
        bool withheld; /* no space is given back before the next opening: the index does not count all there is */
};

/*
 * Drops every blob that LIVE denies (LIVE NULL: none), and that STAYS (NULL: no) does not keep, and returns the space
 * of chunks that nothing uses to the file system. What was found in segments when the index was made again or after a
 * crash, and nobody has named for UNNAMED_US microseconds since, is among them. Safe beside readers and writers at any
 * moment: what they may still need is left for the next call. Not to be called before interrupted work that should find
 * its chunks again has started its writers.
 */
int blobstore_gc(struct blobstore *bs, blob_live_fn *live, blob_stays_fn *stays, void *ctx, uint64_t unnamed_us,
                 struct blobstore_gc_stats *ret);

#endif
