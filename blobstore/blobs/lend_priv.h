/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_LEND_PRIV_H
#define BLOBSTORE_BLOBS_LEND_PRIV_H

/*
 * Pages that maps lend each other. What a map borrows is said by its rows, and by loans in the index, each for rows
 * that follow each other as the lender's pages do; so recording them, and ending them, follows what was changed. A map
 * that is removed while it lends stays as a dead file, and counts the entries of the pages that are lent; the last
 * borrower of a page takes those back, and of the last page the file.
 */

#include "blobstore/blobs/map.h"
#include "blobstore/blobs/store.h"

/* Calls FN for each loan of a map, in order, as the index has them. */
typedef int lend_fn(void *ctx, const struct index_loan *loan);
int lend_each(const struct map *m, lend_fn *fn, void *ctx);

/* Records the loans of a new blob. */
int lend_record(struct blobstore *bs, struct index_writer *w, const struct blob_id *id, const struct map *m);

/* Which of a lender's pages are lent; for going through them in any order. Begin with the ids, and zeros. */
struct lent {
        struct index *index;
        struct blob_id lender;
        bool is_loaded;
        uint32_t piece;
        uint64_t pages[INDEX_LOAN_PAGES / 64];
};

/* 1, 0. */
int lent_has(struct lent *l, uint32_t page);

#endif
