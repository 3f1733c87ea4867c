/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_BATCH_PRIV_H
#define BLOBSTORE_CHUNKS_BATCH_PRIV_H

/* The coordinator of segments and index: batch.c tells in which order things become durable. */

#include <stdbool.h>
#include <stdint.h>

struct index;
struct index_writer;
struct segments;

/* SEGMENTS is borrowed until batch_done(), which commits what there is, when nobody else uses the index any more. */
void batch_init(struct index *ix, struct segments *segments);
void batch_done(struct index *ix);
void batch_free(struct index *ix);

/* After batch_done(): seals all segments, and records that, and the token. */
int batch_seal(struct index *ix, uint64_t token);

/*
 * Makes what was appended so far durable, before the lock is taken: what is left to be synced with it held, when nobody
 * finds a chunk, is little then.
 */
int batch_sync_ahead(struct index *ix);

/* All of these with the index's lock held. */

/* Begins a batch, or goes on with it. */
int batch_begin(struct index *ix);

/*
 * N more chunks of W are in the batch, which is committed when it has grown large. Waits only where it grows faster
 * than the disk takes it.
 */
void batch_grow(struct index *ix, struct index_writer *w, unsigned n);

/* Rolls the batch back; gives R, which its writers will be told. */
int batch_lose(struct index *ix, int r);

/* Begins a change of its own, so that its failure takes nobody's batch along. End it with batch_end_change(). */
int batch_begin_change(struct index *ix);
/* R is how the change went: commits it, or rolls it back. */
int batch_end_change(struct index *ix, int r);

/* May bytes of the segment be on their way to a row? */
bool batch_appends_to(struct index *ix, uint32_t segment);

#endif
