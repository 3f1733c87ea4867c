/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_HEAL_PRIV_H
#define BLOBSTORE_BLOBS_HEAL_PRIV_H

/* Putting a whole copy in the place of a chunk that the disk has damaged. For scrubbing alone. */

#include "blobstore/blobs/scrub.h"
#include "blobstore/blobs/store.h"

struct heal_chunk {
        uint64_t place;
        struct chunk_name name; /* known */
        bool healed;            /* it is whole now */
};

/*
 * Looks for the bytes of N chunks by FIND (see struct scrub_ops), and stores what it finds where readers look from then
 * on; what lies at the damaged place is given back as other dead chunks are. *ret: how many are whole. A chunk that is
 * whole by now, as one whose base was healed, counts.
 */
int heal_chunks(struct blobstore *bs, struct heal_chunk *chunks, size_t n, const struct scrub_ops *ops, size_t *ret);

/*
 * The same of one chunk of a blob of BLOB_SIZE bytes, the N of it at OFF, which nobody has by its name: what was decoded of it
 * before it was damaged may be in the cache on a disk, and what the blob was made of may be there. BUF: CHUNK_SIZE_MAX bytes. 1: it is
 * whole now; 0. -ENOMEM.
 */
int heal_in_blob(struct blobstore *bs, const struct heal_chunk *chunk, const struct blob_id *blob, uint64_t blob_size,
                 uint64_t off, size_t n, const struct scrub_ops *ops, void *buf);

/* What the cache on a disk has of a blob of SIZE bytes. */
bool heal_find_cached(struct chunk_store *cs, const struct blob_id *blob, uint64_t size, uint64_t off, void *buf, size_t n);

struct map;

/*
 * The page that a row of the blob's map names and that cannot be read, in the file where it lies: its own, or the lender's. BUF as above.
 * 1: it is whole now; 0. -ENOMEM, and what OPS->pace ends the pass with.
 */
int heal_page(struct blobstore *bs, const struct map *map, uint64_t row, const struct blob_id *blob,
              const struct scrub_ops *ops, void *buf);

/*
 * A map that cannot be opened, of a blob that is pinned: what lies around its pages follows from these, and from what the index has of the
 * blob. Likewise.
 */
int heal_map(struct blobstore *bs, const struct blob_id *id);

/* The table of what was moved out of a segment, made again from the index. Likewise; with no move_lock held. */
int heal_table(struct blobstore *bs, uint32_t segment);

#endif
