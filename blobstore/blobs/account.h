/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_ACCOUNT_H
#define BLOBSTORE_BLOBS_ACCOUNT_H

/*
 * Is all that may need the bytes of a store accounted for? For blobs/ and the store alone.
 *
 * The index says what nobody uses. It may be older than the maps (a backup put back file by file, a WAL that was lost),
 * and it may have been made again while a map could not be read whole: then it counts too little. What counts too
 * little blocks giving back, and never reading. Where a map is there of which the index does not know, the index is
 * made again at the next opening; where a map's entries could not all be counted, a mark stands in the store (the file
 * "index.short") until it was made again with all of them, or without that blob.
 */

#include "blobstore/blobs/store.h"

/* 1: the index knows each map; 0: it is older. Takes time in proportion to the blobs. */
int account_is_current(struct blobstore *bs);

/*
 * At the opening: 1, if also each blob of the index has its map; 0: it may name chunks that were given back since.
 * Nobody compares bytes with a chunk before sharing it.
 */
int account_fits(struct blobstore *bs);

/* 1: space may be given back; 0: not, before the next opening. The first call asks, the others have the answer. */
int account_is_whole(struct blobstore *bs);

/* Did entries of a map go uncounted when the index was made? And: they did, or did not, durably. */
bool account_is_short(struct blobstore *bs);
int account_set_short(struct blobstore *bs, bool is_short);

#endif
