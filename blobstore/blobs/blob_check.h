/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_BLOB_CHECK_H
#define BLOBSTORE_BLOBS_BLOB_CHECK_H

/* What a check of a store finds. blobstore_check() looks at all of it. */

#include <stdbool.h>

#include "blobstore/blobs/blob.h"

enum blobstore_problem {
        BLOBSTORE_PROBLEM_MAP,    /* a blob's map is missing or damaged */
        BLOBSTORE_PROBLEM_CHUNK,  /* a chunk of a blob is missing, out of place or damaged */
        BLOBSTORE_PROBLEM_INDEX,  /* the index disagrees with the maps: counts, places, statistics */
        BLOBSTORE_PROBLEM_ORPHAN, /* a file or a chunk that belongs to nothing */
        BLOBSTORE_PROBLEM_DISK,   /* a writable disk is damaged, or its base is missing */
};

/* ID is NULL where no blob is concerned; TEXT says what, for a person. Both borrowed for the call. */
typedef void blobstore_problem_fn(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text);

/*
 * Holds maps, index and segments against each other, reading every chunk when READ_DATA, and changes nothing. Gives the
 * number of problems reported.
 */
int blob_check_all(struct blobstore *bs, bool read_data, blobstore_problem_fn *report, void *ctx);

#endif
