/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_CODEC_H
#define BLOBSTORE_CHUNKS_CODEC_H

/*
 * The payload of a chunk: one zstd frame, or, where that would not be smaller, the bytes themselves. Which of the
 * two it is follows from the stored length alone, so nothing else has to be written down.
 */

#include <stddef.h>
#include <stdint.h>

#include "blobstore/chunks/chunker.h"

/*
 * Contexts of the compressor and buffers for one chunk, which are too large to allocate for each. Belongs to one
 * thread at a time.
 */
struct codec {
        struct codec *next; /* in the pool */
        struct ZSTD_CCtx_s *compressor; /* made when first needed */
        struct ZSTD_DCtx_s *decompressor;
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

/*
 * Encodes N bytes into STORED (at least N bytes), and gives the length: N where it did not shrink and STORED is not to
 * be used.
 */
int codec_encode(struct codec *c, const void *raw, size_t n, void *stored, size_t *ret);

/* Decodes into exactly RAW_LEN bytes. -EBADMSG: these are not the bytes that were encoded. */
int codec_decode(struct codec *c, const void *stored, size_t stored_len, void *raw, size_t raw_len);

#endif
