/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_INDEX_MOVE_H
#define BLOBSTORE_CHUNKS_INDEX_MOVE_H

/* What tidying asks the index, and tells it. What index.h says of errors and threads holds here. */

#include "blobstore/chunks/index.h"
#include "blobstore/chunks/moves.h"

/* The next sealed segment after AFTER of which less than half lives, or, with HASTY, that was written in haste. 1: found, 0: none. */
int index_untidy_segment(struct index *ix, bool hasty, uint32_t after, uint32_t *ret);

/*
 * Fills in up to MAX living chunks that lie in a segment behind AFTER (0: from the first), in that order; gives the
 * count. Their `at` is where they lie, moved or not.
 */
int index_chunks_in(struct index *ix, uint32_t segment, uint64_t after, struct index_chunk *ret, size_t max);

/* The segment is to take in chunks that are moved. */
int index_move_begin(struct index *ix, uint32_t to);

struct index_moved {
        struct moved_chunk chunk;
        uint64_t old_at;
        uint32_t old_len;
};

/* All that was moved lies there, for readers too. */
int index_move_end(struct index *ix, uint32_t to, const struct index_moved *moved, size_t n);

/* Where a chunk was moved to, as its row has it: for readers that cannot find it by the tables. 1, or 0: nowhere. */
int index_where(struct index *ix, uint64_t place, struct moved_chunk *ret);

/* All that can be done for it has been. */
int index_tidied(struct index *ix, uint32_t segment);

/* For index_recover(), in a transaction: ends a move that a crash interrupted. */
int index_move_finish(struct index *ix, struct moves *moves, uint32_t to);

#endif
