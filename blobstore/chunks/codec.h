/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_CODEC_H
#define BLOBSTORE_CHUNKS_CODEC_H

/*
 * The payload of a chunk is one of three; which of them follows from the stored length and the first bytes, so nothing
 * else has to be written down:
 *
 *      the bytes themselves    as long as the chunk, where nothing made it shorter
 *      a zstd frame
 *      a skippable frame and a zstd frame that was made with the bytes of another chunk, its base, before those of the
 *              chunk: u32 0x184d2a50, u32 24, then of the base u64 place, u32 raw length, u32 stored length and the
 *              XXH3-64 of its bytes, all little endian
 *
 * Frames are those of RFC 8878. A base has no base itself. Chunks that share a few blocks with an earlier one shrink to
 * a tenth so: of three related system disks 345 MiB became 299.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/chunks/chunker.h"

enum codec_effort {
        CODEC_FAST, /* while somebody waits */
        CODEC_BEST, /* at rest: a hundred times the work */
        CODEC_EFFORTS,
};

/*
 * Contexts of the compressor and buffers for one chunk, which are too large to allocate for each. Belongs to one
 * thread at a time.
 */
struct codec {
        struct codec *next;                             /* in the pool */
        struct ZSTD_CCtx_s *compressors[CODEC_EFFORTS]; /* made when first needed, as is the next */
        struct ZSTD_DCtx_s *decompressor;
        bool fine; /* the chunk before was of those that are worth more work */
        uint8_t stored[CHUNK_SIZE_MAX];
        uint8_t raw[CHUNK_SIZE_MAX];
};

/* Codecs at rest. Any number of threads may share a pool; it holds as many as were in use at once. */
struct codec_pool;

int codec_pool_new(struct codec_pool **ret);
void codec_pool_free(struct codec_pool *p); /* accepts NULL; all codecs must be back */

/* -ENOMEM. */
int codec_pool_get(struct codec_pool *p, struct codec **ret);
void codec_pool_put(struct codec_pool *p, struct codec *c); /* accepts NULL */

/* Where a base is, and its bytes, which encoding and decoding need; borrowed. */
struct codec_base {
        uint64_t place;
        uint32_t raw_len, stored_len;
        uint64_t hash;        /* of the bytes */
        const uint8_t *bytes; /* NULL: not there yet */
};

/* The hash of a base's bytes. */
uint64_t codec_base_hash(const void *bytes, size_t n);

/*
 * Encodes N bytes into STORED (at least N bytes), and gives the length: N where it did not shrink and STORED is not to
 * be used. BASE may be NULL.
 */
int codec_encode(struct codec *c, enum codec_effort effort, const void *raw, size_t n, const struct codec_base *base,
                 void *stored, size_t *ret);

/* Has the payload, of which the first CODEC_BASE_HEAD bytes are enough, a base? Then *ret says which; its bytes are the
 * caller's to find. */
#define CODEC_BASE_HEAD 32
bool codec_get_base(const void *stored, size_t stored_len, size_t raw_len, struct codec_base *ret);

/*
 * Decodes into exactly RAW_LEN bytes; BASE is what codec_get_base() gave, with its bytes. -EBADMSG: these are not the
 * bytes that were encoded.
 */
int codec_decode(struct codec *c, const void *stored, size_t stored_len, const struct codec_base *base, void *raw,
                 size_t raw_len);

#endif
