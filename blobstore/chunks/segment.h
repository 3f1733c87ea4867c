/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_SEGMENT_H
#define BLOBSTORE_CHUNKS_SEGMENT_H

/*
 * Payloads of chunks, appended to files of some 64 MiB: segments/<8 hex digits>.seg. A header of 16 bytes (magic,
 * version, id), then payloads back to back. What they are, and how long, only maps and index know.
 *
 * A place, the segment's id and the offset in it, names a payload for ever: payloads are never moved, a segment is
 * never appended to once it is sealed, and ids are not used again. So maps carry places, and reading needs no index.
 * Only two things happen to bytes once written: holes are punched where nothing lives any more, and a sealed segment
 * without a living byte is removed.
 *
 * A segment that is not sealed has one appender at a time, or none. Its known end is the one the index recorded with
 * the last batch of chunks. What lies behind it when the store is opened a crash has left, or the index is older than the
 * segment: nothing is cut off, the segment is sealed as it is, and a collection gives back what then proves to be unused.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_HEADER_SIZE 16
#define SEGMENT_SIZE_SEALED (UINT64_C(64) << 20)

/* Fits the positive half of an SQL integer, since ids start at 1 and do not reach 2^31. */
#define SEGMENT_ID_MAX INT32_MAX

static inline uint64_t place_make(uint32_t segment, uint32_t offset)
{
        return (uint64_t)segment << 32 | offset;
}

static inline uint32_t place_segment(uint64_t place)
{
        return (uint32_t)(place >> 32);
}

static inline uint32_t place_offset(uint64_t place)
{
        return (uint32_t)place;
}

struct segments;
struct segment; /* one that is appended to */

/* What the index records about a segment. */
struct segment_state {
        uint32_t id;
        uint64_t end;
        bool sealed;
};

/* DIR_FD is borrowed until segments_free(). *DEGRADED is set, and honoured, as blobstore.h tells. */
int segments_new(int dir_fd, atomic_bool *degraded, struct segments **ret);
void segments_free(struct segments *s); /* accepts NULL */

/*
 * At open, before any append: the next id, and each segment that is not sealed. 1: it has bytes behind its known end, and
 * is not appended to any more.
 */
void segments_set_next(struct segments *s, uint32_t id);
uint32_t segments_get_next(struct segments *s);
int segments_adopt(struct segments *s, const struct segment_state *known);

/* A segment to append to, until segments_give(). */
int segments_take(struct segments *s, struct segment **ret);
void segments_give(struct segments *s, struct segment *seg); /* accepts NULL */

/* Appends N bytes. Not durable before segments_sync(). Afterwards give the segment back if it is full. */
int segment_append(struct segment *seg, const void *bytes, size_t n, uint64_t *ret_place);
bool segment_is_full(const struct segment *seg);

/* Makes every payload appended before the call durable. */
int segments_sync(struct segments *s);

/*
 * The segments whose state is durable but not recorded yet, owned by the caller, release with free();
 * segments_recorded() says that the caller has recorded them for good.
 */
int segments_unrecorded(struct segments *s, struct segment_state **ret, size_t *ret_n);
void segments_recorded(struct segments *s, const struct segment_state *states, size_t n);

/* Does a segment have an appender, which may have appended what no row names yet? */
bool segments_is_busy(struct segments *s, uint32_t id);

/* Reads exactly N bytes. -EBADMSG: the segment is missing or too short. */
int segments_read(struct segments *s, uint64_t place, void *buf, size_t n);

/* Length and allocated bytes of a segment. -ENOENT. */
int segments_stat(struct segments *s, uint32_t id, uint64_t *ret_size, uint64_t *ret_allocated);

/* Gives [FROM, TO) of a segment back to the file system as far as whole blocks of it lie inside. */
int segments_punch(struct segments *s, uint32_t id, uint64_t from, uint64_t to);

/* Removes the file; not durable before segments_sync_dir(). Succeeds where it is gone already. */
int segments_unlink(struct segments *s, uint32_t id);
int segments_sync_dir(struct segments *s);

/* Calls FN for each segment file from number FROM on. A negative errno from FN ends the walk and is returned. */
typedef int segments_each_fn(void *ctx, uint32_t id, uint64_t size);
int segments_each(struct segments *s, uint32_t from, segments_each_fn *fn, void *ctx);

#endif
