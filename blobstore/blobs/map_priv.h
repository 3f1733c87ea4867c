/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_MAP_PRIV_H
#define BLOBSTORE_BLOBS_MAP_PRIV_H

/* An open map, as map.c (its rows and pages) and map_walk.c (cursors) share it. */

#include <pthread.h>

#include "blobstore/blobs/map_layout_priv.h"

struct map_row {
        uint64_t offset; /* of its first entry */
        uint64_t rank;   /* clusters with data before that offset's */
        uint64_t hash;
        uint32_t page;
        uint32_t lender; /* its number << 8, and the page's entries; see map_layout_priv.h */
};

_Static_assert(sizeof(struct map_row) == MAP_ROW_SIZE, "rows are decoded where they were read");

struct map {
        int fd;
        struct blob_id id;
        uint64_t seed;
        struct cache *kept; /* pages of all maps of a store; NULL: none are kept */
        map_lender_fn *open_lender;
        void *lender_ctx;
        struct blob_info info;
        bool plain; /* of version 2: rows have no hashes, and there are no extents */
        uint64_t entries, own_entries;
        uint64_t pages; /* of its own */
        uint64_t rows, n_lenders;
        struct map_row *table;
        struct blob_id *lenders; /* behind the rows, in the same memory */

        uint64_t extents_hash;
        pthread_mutex_t extents_lock; /* whoever borrows first loads them */
        uint8_t *extents;             /* under extents_lock until it is set */
};

static inline unsigned map_row_entries(const struct map_row *r)
{
        return r->lender & 0xff;
}

/* NULL: the map itself. */
static inline const struct blob_id *map_row_lender(const struct map *m, const struct map_row *r)
{
        return r->lender >> 8 ? &m->lenders[(r->lender >> 8) - 1] : NULL;
}

/* A page of RET->lender's, of the number RET->page, by itself. -EBADMSG. */
int map_page_measure(const uint8_t bytes[MAP_PAGE_SIZE], struct map_page *ret);

void map_entry_get(const uint8_t *page, unsigned i, struct map_entry *ret);
void map_entry_put(uint8_t *page, unsigned i, const struct map_entry *e); /* the rest of the page is zeros */
/* Gives its hash, with which it begins. SEED: of the map in whose file it lies. */
uint64_t map_page_seal(uint8_t *page, uint32_t number, uint32_t entries, uint64_t seed);

/*
 * Is BYTES the very page that the row names? An old map's table does not tell: there it is LEFT, which is what was read
 * of the damaged one, that has the hash.
 */
bool map_row_passes(const struct map *m, uint64_t row, const uint8_t *bytes, const uint8_t *left);
/* The row's page, if it is in PAGES. */
bool map_row_kept(const struct map *m, uint64_t row, struct cache *pages, uint8_t bytes[MAP_PAGE_SIZE]);

/*
 * A row's page, verified. KEEP: somebody may come to it again soon. Else pages that are kept are used, and no other
 * pushed out.
 */
int map_get_page(const struct map *m, uint64_t row, bool keep, uint8_t bytes[MAP_PAGE_SIZE]);

#endif
