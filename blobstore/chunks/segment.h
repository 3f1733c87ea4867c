/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_SEGMENT_H
#define BLOBSTORE_CHUNKS_SEGMENT_H

/*
 * Payloads of chunks, appended to files of some 64 MiB: segments/<8 hex digits>.seg. A header of 16 bytes (magic,
 * version, id), then payloads back to back, and, once the segment is sealed, its footer (footer.h), which says what
 * they are.
 *
 * A place, the segment's id and the offset in it, names a payload for ever: a segment is never appended to once it is
 * sealed, and ids are not used again. So maps carry places, and reading needs no index. Only two things happen to bytes
 * once written: holes are punched where a chunk is known to be dead, and a sealed segment without a living byte is
 * removed.
 *
 * A segment that is not sealed has one appender at a time, or none, and is sealed at the latest when the store is
 * closed. One that a crash left without a footer is given one when the store is opened, behind whatever the crash left
 * there: nothing is ever cut off or written over.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/chunks/footer.h"

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
        uint64_t added; /* bytes of payloads since it was recorded last */
        bool sealed;
        bool filling; /* as the index knows it: with what is moved (index_move.h) */
};

/* DIR_FD is borrowed until segments_free(). *DEGRADED is set, and honoured, as blobstore.h tells. */
int segments_new(int dir_fd, atomic_bool *degraded, struct segments **ret);
void segments_free(struct segments *s); /* accepts NULL */

/* The store's id, for footers; before anything else. */
void segments_set_store(struct segments *s, const uint8_t id[STORE_ID_SIZE]);

void segments_set_next(struct segments *s, uint32_t id);
uint32_t segments_get_next(struct segments *s);

/* A segment to append to, until segments_give(). */
int segments_take(struct segments *s, struct segment **ret);
/* One that is new. */
int segments_begin(struct segments *s, struct segment **ret);
/* Of those taken, another thread may seal one that is somebody's (segments_settle()); of those begun it does not. */
void segments_give(struct segments *s, struct segment *seg); /* accepts NULL */

/*
 * Appends the payload of N bytes. WHAT says what is to be known of it: name, base, raw_len, and the place, where it is
 * one that maps know already, or 0. FEATURES may be NULL. Not durable before segments_sync(). Afterwards give the
 * segment back if it is full. -ESTALE: it was sealed meanwhile: give it back, and take another.
 */
int segment_append(struct segment *seg, const void *bytes, size_t n, const struct footer_record *what,
                   const struct chunk_features *features, uint64_t *ret_place);
bool segment_is_full(const struct segment *seg);
uint32_t segment_id(const struct segment *seg);

/* Writes the footer; not durable before segments_sync(). Nothing is appended after it. */
int segment_seal(struct segment *seg);

/* Makes every payload appended before the call durable. */
int segments_sync(struct segments *s);

/* Seals every segment that has no appender; not durable before segments_sync(). What cannot be sealed is left as it is.
 */
void segments_seal(struct segments *s);

/* ---- those of a store in a bucket (segment_send.c, segment_settle.c) ---- */

struct bucket;
struct range_cache_opts;

/*
 * From now on sealed segments go into BUCKET, and their files when they are there and recorded; what lies there is read through
 * a cache, of which the caller says where. BUCKET is borrowed. Before anything else.
 */
int segments_set_bucket(struct segments *s, struct bucket *bucket, const struct range_cache_opts *cache);

/* What was read is not what it should be: if it comes from that cache, it is read better the next time. Is there one? */
bool segments_doubt(struct segments *s);
/* Those files that were sealed and not there yet are to go there, as soon as anything does. */
int segments_adopt(struct segments *s);
void segments_send(struct segments *s); /* now */
/*
 * Returns when all that was appended before the call is in the bucket; at once where there is none. -EHOSTDOWN, -EDQUOT: it cannot be put
 * there now, and waits; -EROFS: somebody else writes there.
 */
int segments_settle(struct segments *s);
/* Was something else found where a segment was to be put? Nothing is written any more then. */
bool segments_are_contested(struct segments *s);

/*
 * The segments whose state is durable but not recorded yet, owned by the caller, release with free();
 * segments_recorded() says that the caller has recorded them for good.
 */
int segments_unrecorded(struct segments *s, struct segment_state **ret, size_t *ret_n);
void segments_recorded(struct segments *s, const struct segment_state *states, size_t n);

/* Bytes [from, to) of a segment. */
struct segment_range {
        uint32_t id;
        uint64_t from, to;
};

/*
 * What was appended and not recorded, as far as it was not given before: it has lost its rows. Owned by the caller,
 * release with free(). An appender may be about to ask for rows in there all the same.
 */
int segments_disown(struct segments *s, struct segment_range **ret, size_t *ret_n);

/* Does a segment have an appender, which may have appended what no row names yet? */
bool segments_is_busy(struct segments *s, uint32_t id);

/* May the index not know it yet, as its last state is not recorded? */
bool segments_is_active(struct segments *s, uint32_t id);

/* Reads exactly N bytes. -EBADMSG: the segment is missing or too short; -EHOSTDOWN: its bucket is away. */
int segments_read(struct segments *s, uint64_t place, void *buf, size_t n);

/* Bytes [FROM, TO) of a segment will be read soon: where it lies in a bucket they are fetched, and nobody waits for that. */
void segments_want(struct segments *s, uint32_t id, uint64_t from, uint64_t to);

/* Length and allocated bytes of a segment. -ENOENT. */
int segments_stat(struct segments *s, uint32_t id, uint64_t *ret_size, uint64_t *ret_allocated);

/* As objects_drop_cached() says. */
void segments_drop_cached(struct segments *s, uint32_t id);

/* Gives [FROM, TO) of a segment back to the file system as far as whole blocks of it lie inside. -EOPNOTSUPP: objects cannot. */
int segments_punch(struct segments *s, uint32_t id, uint64_t from, uint64_t to);

/* Removes the file; not durable before segments_sync_dir(). Succeeds where it is gone already. */
int segments_unlink(struct segments *s, uint32_t id);
int segments_sync_dir(struct segments *s);

/*
 * What a sealed segment says of itself, to be released with footer_done(). -ENOENT: nothing, or it is not there;
 * -EBADMSG: damaged, or it is not of this store.
 */
int segments_describe(struct segments *s, uint32_t id, struct footer *ret);

/* Durably seals a file that nobody appends to; gives its size with the footer. What is an object stays as it is. */
int segments_add_footer(struct segments *s, uint32_t id, const struct footer *f, uint64_t *ret_size);

/* Calls FN for each segment. A negative errno from FN ends the walk and is returned. */
typedef int segments_each_fn(void *ctx, uint32_t id, uint64_t size);
int segments_each(struct segments *s, segments_each_fn *fn, void *ctx);
/* The same for each file from number FROM on: any that was not recorded is one. */
int segments_each_file(struct segments *s, uint32_t from, segments_each_fn *fn, void *ctx);

#endif
