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

#include "blobstore/chunks/cache.h"
#include "blobstore/chunks/chunk_id.h"
#include "blobstore/chunks/codec.h"
#include "blobstore/chunks/index.h"
#include "blobstore/chunks/pool.h"
#include "blobstore/chunks/segment.h"

struct chunk_store {
        int dir_fd, segments_fd; /* borrowed */
        bool read_only;
        atomic_bool degraded; /* a sync failed: nothing is written any more (see blobstore.h) */

        struct segments *segments;
        struct index *index; /* NULL: not opened yet; or read_only, and it cannot be used */
        struct cache *cache;
        struct codec_pool *codecs;
        struct pool *pool;
};

/* Everything but the index, which is in DIR_FD. The descriptors are borrowed until chunk_store_free(). */
int chunk_store_new(int dir_fd, int segments_fd, bool read_only, size_t cache_bytes, unsigned threads,
                    struct chunk_store **ret);
void chunk_store_free(struct chunk_store *cs); /* accepts NULL; commits the index */

/* -ENOENT, -EUCLEAN: to be rebuilt, and then opened once more. */
int chunk_store_open_index(struct chunk_store *cs);

/* Closes it, and forgets what it told of segments: they are not open in a new one. */
int chunk_store_forget_index(struct chunk_store *cs);

/* Reads and decodes a chunk into BUF (RAW_LEN bytes); NAME, unless NULL, must fit. -EBADMSG. */
int chunk_store_read(struct chunk_store *cs, uint64_t place, size_t stored_len, const struct chunk_id *name, void *buf,
                     size_t raw_len);

#endif
