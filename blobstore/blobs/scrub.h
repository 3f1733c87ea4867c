/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_SCRUB_H
#define BLOBSTORE_BLOBS_SCRUB_H

/*
 * Reading a whole store while it is in use, to find what the disk has damaged before anybody needs it. What
 * blobstore.h says of errors and threads holds here; one pass of a store at a time.
 */

#include "blobstore/blobs/blob_check.h"

enum scrub_stage {
        SCRUB_SEGMENTS, /* each stored chunk, and what segments say of themselves */
        SCRUB_MAPS,     /* of blobs */
        SCRUB_LENDERS,  /* of those that are gone, and lend pages */
        SCRUB_DONE,
};

/* How far a pass is, for going on there; all zeros: at its beginning. */
struct scrub_position {
        enum scrub_stage stage;
        uint32_t segment;   /* the last that was read */
        struct blob_id map; /* likewise, of the stage's */
};

struct scrub_ops {
        /* N more bytes were read. Waits as long as it likes; a negative errno ends the pass, and is what it gives. */
        int (*pace)(void *ctx, uint64_t n);
        /* All before POS was read, and what was found there told; likewise. */
        int (*reached)(void *ctx, const struct scrub_position *pos);
        blobstore_problem_fn *problem; /* a blob may be told of again, as more of it is found */
        void *ctx;
};

/* About so many bytes are left to be read. */
int blob_scrub_left(struct blobstore *bs, const struct scrub_position *pos, uint64_t *ret);

/* Goes on at *POS, which need not be a place where anything lies any more; changes nothing. */
int blob_scrub(struct blobstore *bs, const struct scrub_position *pos, const struct scrub_ops *ops);

#endif
