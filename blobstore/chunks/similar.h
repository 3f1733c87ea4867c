/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_SIMILAR_H
#define BLOBSTORE_CHUNKS_SIMILAR_H

/*
 * What tells that two chunks are alike: the hashes of some of their blocks, of one in four, picked by the hash itself,
 * so that the same blocks are picked from every chunk. Of three related system disks, 4372 of 15 355 chunks had a block
 * in common with an earlier one; looking at one in four finds nine tenths of what all of them would find. Pure: no
 * memory, no I/O.
 */

#include <stddef.h>
#include <stdint.h>

#include "blobstore/chunks/chunker.h"

/* More of one chunk are not looked at. */
#define CHUNK_FEATURES_MAX 16

struct chunk_features {
        unsigned n;
        uint64_t block[CHUNK_FEATURES_MAX]; /* 48 bits each; no two are the same */
};

void chunk_features_of(const void *bytes, size_t n, struct chunk_features *ret);

#endif
