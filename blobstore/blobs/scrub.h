/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_SCRUB_H
#define BLOBSTORE_BLOBS_SCRUB_H

/*
 * Reading a whole store while it is in use, to find what the disk has damaged before anybody needs it. What
 * blobstore.h says of errors and threads holds here; one pass of a store at a time.
 */

#include "blobstore/blobs/blob_check.h"

struct chunk_name;

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

enum scrub_healed {
        SCRUB_HEALED_CHUNKS,
        SCRUB_HEALED_MAPS, /* pages of maps, and what lies around them */
        SCRUB_HEALED_TABLES, /* of where chunks lie that were moved */
};

struct scrub_ops {
        /* N more bytes were read. Waits as long as it likes; a negative errno ends the pass, and is what it gives. */
        int (*pace)(void *ctx, uint64_t n);
        /* All before POS was read, and what was found there told; likewise. */
        int (*reached)(void *ctx, const struct scrub_position *pos);
        blobstore_problem_fn *problem; /* a blob may be told of again, as more of it is found */
        /* The N bytes of that name, from anywhere: 1, or 0 where nobody has them. NULL: nothing is healed. */
        int (*find)(void *ctx, const struct chunk_name *name, void *buf, size_t n);
        /*
         * The N bytes that the blob should have at OFF, from what it was made of: 1, or 0 where they cannot be read; whether
         * they are the right ones is found out. NTH: of several, from 0 on; -ENOENT: there are no more. NULL: there are none.
         */
        int (*find_in)(void *ctx, const struct blob_id *blob, uint64_t off, unsigned nth, void *buf, size_t n);
        /* Likewise, from the NTH blob elsewhere that is said to have the same content. */
        int (*find_same)(void *ctx, const struct blob_id *blob, uint64_t off, unsigned nth, void *buf, size_t n);
        void (*healed)(void *ctx, enum scrub_healed what, uint64_t n); /* so many have been made whole again */
        void *ctx;
};

/* About so many bytes are left to be read. */
int blob_scrub_left(struct blobstore *bs, const struct scrub_position *pos, uint64_t *ret);

/* For FIND: has the store a chunk of that name? 1: its N bytes are in BUF; 0: no. */
int blob_find_chunk(struct blobstore *bs, const struct chunk_name *name, void *buf, size_t n);

/* Goes on at *POS, which need not be a place where anything lies any more. What it cannot heal it leaves as it is. */
int blob_scrub(struct blobstore *bs, const struct scrub_position *pos, const struct scrub_ops *ops);

#endif
