/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_MAP_H
#define BLOBSTORE_BLOBS_MAP_H

/*
 * Maps: which chunks make up a blob. A map is one file, written once and never changed, little endian, in pages of
 * 4096 bytes:
 *
 *      header page     u64 magic, u32 version, u32 zero, blob id[16], u64 size, u64 data bytes, u64 entries,
 *                      u64 hash of the table, checksum of the blob[16], u64 data clusters, u64 data spans, zeros,
 *                      u64 hash of all of that
 *      pages           u64 hash of the rest of the page, u32 page number from 0, u32 entries, up to 85 entries
 *      table           u64 and u64 per page: the offset of its first entry, and how many clusters with data lie before
 *                      the cluster of that offset
 *
 * An entry is u64 offset, u32 length, u32 where in the chunk these bytes begin, then of the chunk u32 raw length, u32
 * stored length, u32 segment, u32 offset in the segment, name[16]. Most name a whole chunk; where a few blocks of one
 * were overwritten, what is left of it on both sides are entries of their own, so that a snapshot neither reads nor
 * stores more than what changed. Entries ascend and do not overlap; what lies between them is a hole. Every page but
 * the last is full, so that an entry is found by its number as well. Hashes are XXH3-64 seeded with the blob's id: a
 * page of another map, or one that lies at another's place, does not pass.
 *
 * Opening reads header and table, 16 bytes per page or 3.2 MB per TiB of dense data; finding an offset is a binary
 * search in the table, one page read and verified, or found among those that are kept, and a binary search in that.
 * Finding the n-th cluster with data, or how many lie before one, costs no more.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/chunks/blob_info.h"
#include "blobstore/chunks/chunk_id.h"

#define MAP_PAGE_SIZE 4096
#define MAP_PAGE_ENTRIES 85
#define MAP_HOLE_PAGES 256

/* "<32 hex digits>" */
#define MAP_NAME_SIZE (2 * BLOB_ID_SIZE + 1)

struct map_entry {
        uint64_t offset;
        uint32_t len;        /* bytes of the blob */
        uint32_t skip;       /* bytes of the chunk before them, a multiple of the block size */
        uint32_t raw_len;    /* of the chunk */
        uint32_t stored_len; /* of the chunk; equal to raw_len: stored as it is */
        uint64_t place;
        struct chunk_id name;
};

void map_name(const struct blob_id *id, char ret[MAP_NAME_SIZE]);

/* ---- writing; one thread at a time ---- */

struct map_writer;

/* Writes to FD, an empty file, which it takes over in any case. */
int map_writer_new(int fd, const struct blob_id *id, struct map_writer **ret);
int map_writer_add(struct map_writer *w, const struct map_entry *e);

/* Completes the file, and what INFO says about clusters and spans. */
int map_writer_finish(struct map_writer *w, struct blob_info *info);

/* Makes it durable; its name is the caller's business. A failure is final: see blobstore.h. */
int map_writer_sync(struct map_writer *w);
void map_writer_free(struct map_writer *w); /* accepts NULL */

/* ---- reading; any number of threads may share a map ---- */

struct cache;
struct map;

/* Takes FD over in any case. -EBADMSG: damaged; -EPROTONOSUPPORT: written by another version. */
int map_open(int fd, const struct blob_id *id, struct map **ret);
void map_close(struct map *m); /* accepts NULL */

/*
 * Pages that are looked for are kept in PAGES from now on, verified, and those that others kept of the blob's map are
 * found there; borrowed until map_close(). Without it every page is read from the file, as a check wants it.
 */
void map_keep_pages(struct map *m, struct cache *pages);

const struct blob_info *map_info(const struct map *m);
uint64_t map_entries(const struct map *m);

/* A page, verified and decoded, and where a walk stands in it. On the caller's stack. */
struct map_cursor {
        const struct map *map;
        uint64_t page; /* number; the count of pages: the walk is over */
        unsigned i, n; /* the entry that comes next, entries in the page */
        uint8_t bytes[MAP_PAGE_SIZE];
};

/* Puts the cursor before the first entry that ends after OFF. */
int map_seek(const struct map *m, uint64_t off, struct map_cursor *ret);

/* Puts the cursor before entry number N. */
int map_seek_entry(const struct map *m, uint64_t n, struct map_cursor *ret);

/* 1: *ret is the next entry; 0: there is none. -EBADMSG. */
int map_next(struct map_cursor *c, struct map_entry *ret);

/*
 * Gives the first offset at or after OFF where no entry is, which may be the end. Reads MAP_HOLE_PAGES pages at the
 * most, which stand for 1.4 GiB where chunks are whole, and if none of them has a hole, two more: behind them the table
 * alone is asked, and a hole that leaves no cluster without data is passed over.
 */
int map_find_hole(const struct map *m, uint64_t off, uint64_t *ret);

/*
 * Where to begin a walk over the clusters with data: puts the cursor before the first entry of a page, at or before
 * what is looked for, and gives how many clusters with data lie before that entry's cluster.
 */
int map_seek_cluster(const struct map *m, uint64_t cluster, struct map_cursor *ret, uint64_t *ret_rank);
/* The same, looking for the cluster that has RANK before it. */
int map_seek_rank(const struct map *m, uint64_t rank, struct map_cursor *ret, uint64_t *ret_rank);

/*
 * What is left of a map that map_open() refuses: calls FN for each entry of a page that verifies by itself. FD is
 * borrowed. Pages that do not, or cannot be read, are passed over.
 */
typedef int map_entry_fn(void *ctx, const struct map_entry *e);
int map_salvage(int fd, const struct blob_id *id, map_entry_fn *fn, void *ctx);

#endif
