/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_STORE_BUCKET_PRIV_H
#define BLOBSTORE_STORE_BUCKET_PRIV_H

/* What opening a store has to do where it is in a bucket; nothing, where it is not. For blobstore.c, as the next names. */

#include "blobstore/blobstore.h"
#include "blobstore/chunks/segment.h"

#define FORMAT_FILE "format"
#define FORMAT_NEXT "format.next"
#define RANGES_FILE "ranges"

/*
 * Before the directory is opened. 1: it was lost, and what can be had of it is there again, as of a store that is just being made:
 * the maps, and its format as the next one. -ENOENT: the bucket does not have it, either.
 */
int store_bucket_open(struct blobstore *bs, const char *dir, const struct blobstore_opts *opts);

/* Where what is read there is kept: where the cache of decoded blocks is, and as much as there. When the directory is open. */
int store_bucket_ranges(struct blobstore *bs, const uint8_t id[STORE_ID_SIZE], const struct blobstore_caches *caches);

/* The bucket's part is that of the store with this format, which hears at its first change there if it is not. */
int store_bucket_expect(struct blobstore *bs, const char *format);
/* A new one takes it, or one whose directory was lost, and what is left to be sent goes on. */
int store_bucket_claim(struct blobstore *bs, const char *format, const struct blobstore_opts *opts);

#endif
