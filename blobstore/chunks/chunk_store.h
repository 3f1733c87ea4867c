/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_CHUNK_STORE_H
#define BLOBSTORE_CHUNKS_CHUNK_STORE_H

/*
 * The chunks of a store: their segments, the index that finds them, and what reads and decodes them. For blobs/ and
 * what composes a store; whoever uses one does so by blobstore.h. Any number of threads may share it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/chunks/block_cache.h"
#include "blobstore/chunks/cache.h"
#include "blobstore/chunks/chunk_id.h"
#include "blobstore/chunks/codec.h"
#include "blobstore/chunks/index.h"
#include "blobstore/chunks/moves.h"
#include "blobstore/chunks/pool.h"
#include "blobstore/chunks/segment.h"
#include "blobstore/objects/range_cache.h"

/* Of a store in a bucket; see segments_set_bucket(). */
struct chunk_store_far {
        bool was_lost; /* the directory, which is made again */
        struct bucket *bucket;
        struct range_cache_opts cache;
        char cache_name[RANGE_CACHE_NAME_MAX];
};

struct chunk_store {
        int dir_fd, segments_fd; /* borrowed */
        uint8_t id[STORE_ID_SIZE];
        bool read_only;
        atomic_bool degraded; /* a sync failed: nothing is written any more (see blobstore.h) */

        const struct chunk_store_far *far; /* NULL: there is no bucket; borrowed */
        struct segments *segments;
        struct moves *moves;
        struct index *index; /* NULL: not opened yet; or read_only, and it cannot be used */
        struct cache *cache;
        struct block_cache *blocks; /* NULL: none; owned, set by who composes the store */
        int blocks_error; /* why there is none where one is wanted */
        atomic_uint_fast64_t cache_hits, cache_misses; /* chunks that readers wanted: decoded already, or for them */
        struct codec_pool *codecs;
        struct pool *pool;
};

/* Everything but the index, which is in DIR_FD. The descriptors, and FAR, are borrowed until chunk_store_free(). */
int chunk_store_new(int dir_fd, int segments_fd, int moved_fd, const uint8_t id[STORE_ID_SIZE], bool read_only,
                    const struct chunk_store_far *far, size_t cache_bytes, unsigned threads, struct chunk_store **ret);
void chunk_store_free(struct chunk_store *cs); /* accepts NULL; commits the index */

/* -ENOENT, -EUCLEAN: to be rebuilt, and then opened once more. */
int chunk_store_open_index(struct chunk_store *cs);

/* Closes it, and forgets what it told of segments: they are not open in a new one. */
int chunk_store_forget_index(struct chunk_store *cs);

/* Reads and decodes a chunk into BUF (RAW_LEN bytes); ID, unless NULL, must fit. -EBADMSG: nobody shares it any more.
 */
int chunk_store_read(struct chunk_store *cs, uint64_t place, size_t stored_len, const struct chunk_id *id, void *buf,
                     size_t raw_len);

/* Where the payload lies: where the chunk was moved to, or at its PLACE; and how long it is. */
int chunk_store_resolve(struct chunk_store *cs, uint64_t *place, size_t *stored_len);

/*
 * Was it moved, and the table that told where to is missing? What lay where it was may be a hole by now, in a segment that is
 * there: who could not read it there looks again where the index has it.
 */
bool chunk_store_find_lost(struct chunk_store *cs, uint64_t place, struct moved_chunk *ret);

/* Which chunk is this one's base, by its payload? 0: none. */
int chunk_store_peek_base(struct chunk_store *cs, uint64_t place, size_t stored_len, size_t raw_len, uint64_t *ret);

/* The base that a chunk has, in CODEC's buffer. -EBADMSG: it has none, or cannot be read. */
int chunk_store_load_base(struct chunk_store *cs, uint64_t place, size_t stored_len, size_t raw_len,
                          struct codec *codec, struct codec_base *ret);

struct packed_chunk {
        uint32_t stored_len; /* as long as the chunk: to be stored as it is */
        uint64_t base;       /* 0: none */
        struct chunk_features features;
};

/* Encodes N bytes into STORED (N bytes), with a chunk like it as the base where there is one; W holds it then. */
int chunk_store_pack(struct chunk_store *cs, struct index_writer *w, enum codec_effort effort, const void *raw,
                     size_t n, void *stored, struct packed_chunk *ret);

#endif
