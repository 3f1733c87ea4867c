/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_MAP_LAYOUT_PRIV_H
#define BLOBSTORE_BLOBS_MAP_LAYOUT_PRIV_H

/* The bytes of a map, which map.h describes, for who writes them (map_write.c) and who reads (map.c). */

#include <stdint.h>

#include "blobstore/base/block.h"
#include "blobstore/blobs/map.h"

#define MAP_MAGIC UINT64_C(0x70616d2d73666d69) /* "imfs-map" */
#define MAP_VERSION 3
#define MAP_VERSION_PLAIN 2 /* of stores before format 4: all pages are its own, and all but the last are full */

#define MAP_ENTRY_SIZE 48
#define MAP_PAGE_HEAD_SIZE 16
#define MAP_ROW_SIZE 32
#define MAP_ROW_SIZE_PLAIN 16
#define MAP_EXTENT_SIZE 16

/* A row's last number is that of the lender from 1 on, 0 for the map itself, and the page's entries. */
#define MAP_LENDERS_MAX ((UINT32_C(1) << 24) - 1)

/* Even entries of one block each do not need more than this. */
#define MAP_ENTRIES_MAX (BLOB_SIZE_MAX / BLOB_BLOCK_SIZE)

_Static_assert(MAP_PAGE_HEAD_SIZE + MAP_PAGE_ENTRIES * MAP_ENTRY_SIZE <= MAP_PAGE_SIZE, "entries fit a page");
_Static_assert(MAP_PAGE_ENTRIES < 256, "their number fits a row");

/* Offsets in the header page. */
enum {
        HEADER_MAGIC = 0,
        HEADER_VERSION = 8,
        HEADER_ID = 16,
        HEADER_SIZE = 32,
        HEADER_DATA_BYTES = 40,
        HEADER_ENTRIES = 48,
        HEADER_TABLE_HASH = 56,
        HEADER_CHECKSUM = 64,
        HEADER_DATA_CLUSTERS = 80,
        HEADER_DATA_SPANS = 88,
        HEADER_ROWS = 96, /* from here on zeros in a plain one */
        HEADER_PAGES = 104,
        HEADER_LENDERS = 112,
        HEADER_EXTENTS_HASH = 120,
        HEADER_HASH = MAP_PAGE_SIZE - 8,
};

static inline uint64_t map_page_offset(uint64_t page)
{
        return (page + 1) * MAP_PAGE_SIZE;
}

/* How many pieces of SIZE the N bytes at OFF touch, but for one that what ends at END did (0: nothing does). */
static inline uint64_t map_count_pieces(uint64_t off, uint64_t n, uint64_t end, uint64_t size)
{
        uint64_t first = off / size, last = (off + n - 1) / size;

        return last - first + (end == 0 || (end - 1) / size != first);
}

#endif
