/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_MOVES_H
#define BLOBSTORE_CHUNKS_MOVES_H

/*
 * Where chunks lie that were moved. Maps never change, and name a chunk by the place where it lay first; of each
 * segment from which some were moved there is a table, moved/<8 hex digits of the segment>, little endian, whole or
 * replaced:
 *
 *      u64 magic, u32 version, u32 segment, u32 rows, u32 zero, u64 XXH3-64 of the rows
 *      rows of 16 bytes, by offset: u32 the offset that the chunk is known by, u32 its stored length now, u64 the place
 *      where it lies now
 *
 * A few tables are kept in memory, verified. Any number of threads may share a struct moves; one at a time records.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct moves;

struct moved_chunk {
        uint64_t place; /* that it is known by */
        uint64_t at;    /* where it lies */
        uint32_t stored_len;
};

/* DIR_FD is borrowed until moves_free(); reads which tables there are. */
int moves_new(int dir_fd, atomic_bool *degraded, struct moves **ret);
void moves_free(struct moves *m); /* accepts NULL */

/* 1: it was moved, and *ret says where to; 0: it lies where it always did. -EBADMSG: the table is damaged. */
int moves_find(struct moves *m, uint64_t place, struct moved_chunk *ret);

/* Durably notes N moves of chunks of one segment, in order of place, beside those that are known or in their stead. */
int moves_record(struct moves *m, const struct moved_chunk *chunks, size_t n);

/* A table of these alone, whatever there was; N may be 0. */
int moves_replace(struct moves *m, uint32_t segment, const struct moved_chunk *chunks, size_t n);

/* Is the table still what was written? From the disk, whatever is in memory. -EBADMSG; 0, too, where there is none. */
int moves_verify(struct moves *m, uint32_t segment);

/* Calls FN for each segment with a table. A negative errno from FN ends the walk and is returned. */
typedef int moves_each_fn(void *ctx, uint32_t segment);
int moves_each(struct moves *m, moves_each_fn *fn, void *ctx);

#endif
