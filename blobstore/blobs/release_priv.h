/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_RELEASE_PRIV_H
#define BLOBSTORE_BLOBS_RELEASE_PRIV_H

/* Taking back what the index counts for a blob that goes. For gc.c; all with removal_lock held. */

#include "blobstore/blobs/store.h"

/*
 * Takes back what a blob that nobody opens any more has been counted for, goes on where that was interrupted, ends its
 * loans, and forgets it, with its map; BATCH references change in one transaction, of which a page's entries are the
 * least. One that lends stays as a dead one until the last of its borrowers goes. What a damaged map hides cannot be
 * taken back: the blob goes nevertheless, and the index is made again at the next opening.
 */
int release_blob(struct blobstore *bs, const struct index_blob *blob, size_t batch);

/* Has a dead blob nothing left to take back but what it lends? 1, 0. */
int release_is_lender(struct blobstore *bs, const struct index_blob *blob);

#endif
