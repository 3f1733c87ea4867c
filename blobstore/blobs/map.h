/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_MAP_H
#define BLOBSTORE_BLOBS_MAP_H

/*
 * Maps: which chunks make up a blob. A map is one file, written once and never changed, little endian, in pages of
 * 4096 bytes:
 *
 *      header page     u64 magic, u32 version, u32 zero, blob id[16], u64 size, u64 data bytes, u64 entries,
 *                      u64 hash of rows and lenders, checksum of the blob[16], u64 data clusters, u64 data spans,
 *                      u64 rows, u64 pages, u64 lenders, u64 hash of the extents, zeros, u64 hash of all of that
 *      pages           u64 hash of the rest of the page, u32 page number from 0, u32 entries, up to 85 entries
 *      rows            for each page of entries, in order: u64 offset of its first entry, u64 how many clusters with
 *                      data lie before the cluster of that offset, u64 the page's hash, u32 page number, u32 number of
 *                      the lender from 1 on, 0 for this file, << 8, and the page's entries
 *      lenders         id[16] of each
 *      extents         of each row: u64 end of the last entry, u32 bytes of data, u16 clusters and u16 spans with data
 *
 * A row names a page of this file, or borrows one of another map's, its lender's, of the same offsets. So a map that
 * is like another but for a few places costs those, and a row for each page of the rest. A page that is borrowed from a
 * map which has itself borrowed it is its lender's: a row always names the file in which the bytes lie, which is never
 * the row of another row, so that there are no chains and no circles. Each of a file's own pages has one row in it.
 * Who borrows is recorded in the index, and the file of a lender stays as long as somebody does; see lend_priv.h.
 *
 * An entry is u64 offset, u32 length, u32 where in the chunk these bytes begin, then of the chunk u32 raw length, u32
 * stored length, u32 segment, u32 offset in the segment, name[16]. Most name a whole chunk; where a few blocks of one
 * were overwritten, what is left of it on both sides are entries of their own, so that a snapshot neither reads nor
 * stores more than what changed. Entries ascend and do not overlap; what lies between them is a hole. Hashes are
 * XXH3-64 seeded with the blob's id: a page of another map, or one that lies at another's place, does not pass.
 *
 * Opening reads header, rows and lenders, 32 bytes per page or 3.5 MB per TiB of dense data; finding an offset is a
 * binary search in the rows, one page read and verified, or found among those that are kept, and a binary search in
 * that. Finding the n-th cluster with data, or how many lie before one, costs no more. The extents are for those who
 * borrow.
 *
 * Maps of version 2, of stores before format 4, are read as they are: they end with u64 offset and u64 clusters for
 * each page; all pages are their own, in order, and all but the last are full. Their pages are lent like others'.
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

/* A page of entries, as a row tells of it. */
struct map_page {
        struct blob_id lender; /* in whose file it lies */
        uint64_t offset;       /* of its first entry */
        uint64_t end;          /* of its last */
        uint64_t hash;
        uint32_t page;    /* its number in that file */
        uint32_t entries; /* 1 to MAP_PAGE_ENTRIES */
        uint32_t bytes;   /* of data */
        uint16_t clusters, spans; /* with data */
};

void map_name(const struct blob_id *id, char ret[MAP_NAME_SIZE]);

/* ---- writing; one thread at a time ---- */

struct map_writer;

/* Writes to FD, an empty file, which it takes over in any case. */
int map_writer_new(int fd, const struct blob_id *id, struct map_writer **ret);
int map_writer_add(struct map_writer *w, const struct map_entry *e);
/* The entries that come next are those of another map's page, which is not read. */
int map_writer_borrow(struct map_writer *w, const struct map_page *p);

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

/*
 * Opens for reading the file that has the pages of LENDER; gives the descriptor, which is closed after one page: pages
 * that are looked for are kept, and with the 10 GiB that a thousand of them stand for nobody minds. -ENOENT. Where none
 * was set, what is borrowed cannot be read.
 */
typedef int map_lender_fn(void *ctx, const struct blob_id *lender, int *ret);
void map_set_lenders(struct map *m, map_lender_fn *open, void *ctx);

const struct blob_info *map_info(const struct map *m);
uint64_t map_entries(const struct map *m);
/* Of its own pages: those that it counts for. */
uint64_t map_own_entries(const struct map *m);

/* ---- its rows, numbered from 0 ---- */

uint64_t map_rows(const struct map *m);
/* How many there are before the first page that begins at or after OFF. */
uint64_t map_rows_before(const struct map *m, uint64_t off);
/* Where the row's page begins, and where the next one does, or the blob ends. */
uint64_t map_row_start(const struct map *m, uint64_t row);
uint64_t map_row_limit(const struct map *m, uint64_t row);
/* Lender, page, entries and offset; the rest as far as it costs nothing. True: the page is the map's own. */
bool map_row_get(const struct map *m, uint64_t row, struct map_page *ret);
/* All of it. -EBADMSG. */
int map_row_describe(struct map *m, uint64_t row, struct map_page *ret);

/* A page, verified and decoded, and where a walk stands in it. On the caller's stack. */
struct map_cursor {
        const struct map *map;
        uint64_t row; /* of the page; the count of rows: the walk is over */
        unsigned i, n; /* the entry that comes next, entries in the page */
        uint8_t bytes[MAP_PAGE_SIZE];
};

/* Puts the cursor before the first entry that ends after OFF. */
int map_seek(const struct map *m, uint64_t off, struct map_cursor *ret);

/* Puts the cursor before the first entry of a row's page. */
int map_seek_row(const struct map *m, uint64_t row, struct map_cursor *ret);

/* 1: *ret is the next entry; 0: there is none. -EBADMSG, with the cursor before the row after the damaged page's. */
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
/* The entries of one of the pages that lie in the file, whatever its table says. -EBADMSG. */
int map_page_each(int fd, const struct blob_id *id, uint64_t page, map_entry_fn *fn, void *ctx);
int map_salvage(int fd, const struct blob_id *id, map_entry_fn *fn, void *ctx);

#endif
