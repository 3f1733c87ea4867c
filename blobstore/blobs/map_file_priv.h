/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_MAP_FILE_PRIV_H
#define BLOBSTORE_BLOBS_MAP_FILE_PRIV_H

/*
 * Where maps lie: maps/ab/<32 hex digits>, by the first byte of the blob's id; with ".dead" while a removed one is
 * taken back; in temp/ while it is written. A store in a bucket has another of each there, from before its blob is live until it
 * is taken back: for who has lost the directory.
 */

#include <stdbool.h>

#include "blobstore/blobs/map.h"
#include "blobstore/blobs/store.h"

/* A new file in temp/ for map_writer_new(). */
int map_file_create(struct blobstore *bs, const struct blob_id *id, int *ret);

/* Removes it from there; it may have been put in place, and what is left is removed at the next opening. */
void map_file_discard(struct blobstore *bs, const struct blob_id *id);

/* From temp/ to its place, durably, and into the bucket. The file is synced before. -EHOSTDOWN, -EDQUOT: as segments_settle(). */
int map_file_put(struct blobstore *bs, const struct blob_id *id);

/* -ENOENT, or as map_open(). */
int map_file_open(struct blobstore *bs, const struct blob_id *id, bool dead, struct map **ret);
/* The file of one that lends pages, live or dead, and its size (NULL: not asked); the caller closes it. -ENOENT. */
int map_file_open_lender(struct blobstore *bs, const struct blob_id *id, int *ret, uint64_t *ret_size);
/* A page of it, whatever it says; and the page that was there put back, durably. -ENOENT, -EBADMSG: the file ends before. */
int map_file_read_page(struct blobstore *bs, const struct blob_id *id, uint32_t page, uint8_t ret[MAP_PAGE_SIZE]);
int map_file_write_page(struct blobstore *bs, const struct blob_id *id, uint32_t page, const uint8_t bytes[MAP_PAGE_SIZE]);
/* The same from the bucket, and the whole of it into temp/, synced, if that is a map. -ENOENT: it is in none. */
int map_file_fetch_page(struct blobstore *bs, const struct blob_id *id, uint32_t page, uint8_t ret[MAP_PAGE_SIZE]);
int map_file_fetch(struct blobstore *bs, const struct blob_id *id);
/* As map_file_put(), over what the disk has damaged; the bucket has what it had. */
int map_file_put_back(struct blobstore *bs, const struct blob_id *id);
/* As objects_drop_cached() says. */
void map_file_drop_cached(struct blobstore *bs, const struct blob_id *id, bool dead);
/* What can be read of one that map_file_open() refuses, as map_salvage(). */
int map_file_salvage(struct blobstore *bs, const struct blob_id *id, map_entry_fn *fn, void *ctx);
/* Was it made since the store was opened? Not where the clock was set so that it cannot be told. */
bool map_file_is_new(struct blobstore *bs, const struct blob_id *id);
bool map_file_exists(struct blobstore *bs, const struct blob_id *id, bool dead);

/* From now on it is dead, and nobody opens it. Succeeds where there is none. */
int map_file_hide(struct blobstore *bs, const struct blob_id *id);

/* Removes a dead one, durably. Succeeds where there is none. */
int map_file_remove(struct blobstore *bs, const struct blob_id *id);

/* Calls FN for each file below maps/; ID is NULL where the name is no blob's, DEAD tells the suffix. */
typedef int map_file_fn(void *ctx, const struct blob_id *id, bool dead, const char *path);
int map_file_each(struct blobstore *bs, map_file_fn *fn, void *ctx);

#endif
