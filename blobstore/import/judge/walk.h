/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_JUDGE_WALK_H
#define BLOBSTORE_IMPORT_JUDGE_WALK_H

/*
 * Checks a file of some format before qemu sees it: that all which its tables name
 * lies in the file. It must be done here because qemu reads what lies past the end
 * as zeros: a download that was cut short would be imported as a disk with holes.
 *
 * What a walk has placed together cannot be larger than the file, or parts share
 * their place; so a walk reads no more than the file has bytes, and a small file
 * cannot name one block a million times.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/base/strbuf.h"

#define WALK_PIECE_BYTES 4096

struct walk {
        int fd; /* borrowed */
        const char *title; /* of the format, for sentences */
        uint64_t file_bytes;
        uint64_t block_bytes; /* the largest thing placed; the end of the file may cut the last one short */
        uint64_t placed_bytes;
        uint64_t data_bytes; /* of the disk that is not a hole; counted by who walks */
        uint8_t *map; /* a bit per block_bytes of the disk that are data; NULL where qemu tells the holes */
        uint64_t piece_offset; /* of the table that is being read */
        size_t piece_len;
        uint8_t piece[WALK_PIECE_BYTES];
};

/* Begins to walk FD as it is now. Release with walk_done(). */
int walk_start(int fd, const char *title, struct walk *ret, struct strbuf *reason);
void walk_done(struct walk *w);

/* [OFFSET, OFFSET + LEN) lies in the file. */
bool walk_has(const struct walk *w, uint64_t offset, uint64_t len);

/* All of LEN bytes, or truncated. */
int walk_read(const struct walk *w, void *buf, size_t len, uint64_t offset, struct strbuf *reason);

/* Entry I of a table of ENTRY_BYTES (8 at most) each, read by pieces; borrowed until the next call. */
int walk_entry(struct walk *w, uint64_t table, uint64_t i, size_t entry_bytes, const uint8_t **ret,
               struct strbuf *reason);

/* Counts BYTES that share their place with nothing else. */
int walk_place(struct walk *w, uint64_t bytes, struct strbuf *reason);

/* What of block number I lies inside the disk; 0: it ended before. */
static inline uint64_t walk_inside(uint64_t size_bytes, uint64_t block_bytes, uint64_t i)
{
        uint64_t left = i <= size_bytes / block_bytes ? size_bytes - i * block_bytes : 0;

        return left < block_bytes ? left : block_bytes;
}

/* A block with DATA_BYTES of the disk is LEN bytes at OFFSET, which must lie in the file, and nothing else there. */
int walk_block(struct walk *w, uint64_t offset, uint64_t len, uint64_t data_bytes, struct strbuf *reason);

/* Append the sentence; give -EINVAL. */
int walk_damaged(const struct walk *w, struct strbuf *reason, const char *what);
int walk_truncated(const struct walk *w, struct strbuf *reason);

#endif
