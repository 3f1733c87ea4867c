/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_INSIDE_READER_NAME_INDEX_H
#define BLOBSTORE_IMPORT_INSIDE_READER_NAME_INDEX_H

/*
 * The index of a large directory of ext3 and ext4: a tree whose leaves are the directory's blocks, in order of their names'
 * hashes, so that a name among a million is in one block, or in a few where hashes are the same.
 *
 *      the root        is in block 0, behind "." and "..": at ROOT_AT which hash it goes by, and how many floors there are
 *                      below it; then entries
 *      a node below it has 8 bytes that read as an entry that is not used; then entries
 *      entries         of 8 bytes: a hash, and a block in whose part of the tree are those from that hash on. In place of the
 *                      first one's hash, which is 0, are their largest and present number. An odd hash goes on with those of
 *                      the one before.
 */

#include <stddef.h>
#include <stdint.h>

#define INDEX_FLOORS_MAX 4

/* Reads a block of the directory; negative: it cannot be. */
typedef int index_read_fn(void *ctx, uint32_t block, void *buf);

struct index_node {
        uint8_t *block;
        const uint8_t *entries;
        uint32_t n, at;
};

struct name_index {
        index_read_fn *read;
        void *ctx;
        size_t block_bytes;
        unsigned floors; /* of nodes, with the root */
        struct index_node node[INDEX_FLOORS_MAX];
};

/* *RET_HASH: which one it goes by. -EUCLEAN, in all of these: it makes no sense; READ's. Closed in any case. */
int index_open(struct name_index *x, index_read_fn *read, void *ctx, size_t block_bytes, unsigned *ret_hash);
void index_close(struct name_index *x);

/* The first block that names of that hash may be in; and the next one. 1: there is none. */
int index_first(struct name_index *x, uint32_t hash, uint32_t *ret_block);
int index_next(struct name_index *x, uint32_t hash, uint32_t *ret_block);

#endif
