/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_MOVER_PRIV_H
#define BLOBSTORE_BLOBS_MOVER_PRIV_H

/*
 * Filling one new segment with chunks that get their payloads anew, and telling readers that they lie there:
 * chunks/index_move.c tells in which order that becomes durable. With the store's move_lock held, from the asking where
 * chunks lie to the end: a chunk is moved by one at a time.
 */

#include "blobstore/blobs/store.h"
#include "blobstore/chunks/index_move.h"

/* Starts as { .chunks = … }; release with mover_done(). */
struct mover {
        struct chunk_store *chunks;
        struct segment *segment; /* that is filled; NULL: not begun */
        struct index_moved *moved;
        size_t n, room;
};

/* It takes no more: mover_end() it. */
bool mover_is_full(const struct mover *m);

/*
 * Appends a payload of chunk C, whose bytes are RAW. A chunk keeps the base that it has, though the payload need not be
 * encoded with it; one without stays without: it may be others' base, and bases have none.
 */
int mover_put(struct mover *m, const struct index_chunk *c, const struct chunk_name *name, const void *payload,
              size_t len, const void *raw);

/* R: what went wrong before, or 0. From here on what was put lies there; or, after an error, where it was. */
int mover_end(struct mover *m, int r);
void mover_done(struct mover *m);

#endif
