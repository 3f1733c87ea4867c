/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_BLOCK_CACHE_H
#define BLOBSTORE_CHUNKS_BLOCK_CACHE_H

/*
 * Decoded blocks on a disk, by blob and place, shared by all readers of a blob: for small reads from all over it, each of
 * which would decode a chunk once memory (cache.h) does not hold it any more. What was read lately stays in the page
 * cache, which is all the memory that it takes. A hit needs no map.
 *
 * It is a cache and nothing else: no call fails because of it, whatever becomes of its disk; each block is verified when
 * it is read, so that what is damaged, cut off or somebody else's is decoded anew. Its files may be removed at any
 * moment, all of them; they are not synced, and stay for the next opening. It keeps within its bytes, and away from the
 * last of its disk. Any number of threads may share it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/chunks/block_slots.h"

struct block_cache;
struct block_file;

/* What is right for most: a tenth of its disk, and at most 32 GiB, for which it needs no more than 84 MiB of memory. */
#define BLOCK_CACHE_SHARE UINT64_MAX

/*
 * In the directory NAME, which is made, of the directory DIR, which is made, too. BYTES may be BLOCK_CACHE_SHARE.
 * -EPERM: NAME is there, and somebody else can write it or read it. -EOPNOTSUPP: a file system without holes.
 */
int block_cache_new(const char *dir, const char *name, uint64_t bytes, struct block_cache **ret);
void block_cache_free(struct block_cache *c); /* accepts NULL; no file may be open */

/* What there is of a blob of SIZE bytes; touches no disk. Release with block_file_close(). */
int block_file_open(struct block_cache *c, const struct blob_id *id, uint64_t size, struct block_file **ret);
void block_file_close(struct block_file *f); /* accepts NULL */

/*
 * Reads N bytes, within the blob and up to BLOCK_READ_MAX: true, or false, and BUF holds anything, where one of the
 * blocks is not there.
 */
bool block_file_read(struct block_file *f, void *buf, size_t n, uint64_t off);

/* A read missed the chunk that begins at OFF: is it to be filled in? See block_gate.h. */
bool block_file_admits(struct block_file *f, uint64_t off);

/* Keeps N bytes of the blob from OFF on, as long as that begins a block. Where too many write already it does nothing. */
void block_file_fill(struct block_file *f, const void *bytes, size_t n, uint64_t off);

/* The blob is removed: nobody will read it again. */
void block_cache_remove(struct block_cache *c, const struct blob_id *id);

/* Gives that many bytes back to the disk, or all there are. The count. */
uint64_t block_cache_give_way(struct block_cache *c, uint64_t bytes);

/* Others want space: gives back what it must for some of its disk to be free. */
void block_cache_keep_room(struct block_cache *c);

struct block_cache_stats {
        uint64_t hits;        /* reads that it answered */
        uint64_t damaged;     /* blocks that did not verify */
        uint64_t bytes, most; /* that its files take, and may take */
};
void block_cache_get_stats(struct block_cache *c, struct block_cache_stats *ret);

#endif
