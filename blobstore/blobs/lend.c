/* SPDX-License-Identifier: MIT */

#include "blobstore/blobs/lend_priv.h"

#include <string.h>

#define LEND_BATCH 256 /* loans recorded at a time; others wait for the index meanwhile */

static bool lend_follows(const struct index_loan *loan, uint64_t row, const struct map_page *p)
{
        return loan->count > 0 && row == loan->row + loan->count && p->page == loan->page + loan->count &&
               p->page % INDEX_LOAN_PAGES != 0 && memcmp(p->lender.bytes, loan->lender.bytes, BLOB_ID_SIZE) == 0;
}

int lend_each(const struct map *m, lend_fn *fn, void *ctx)
{
        struct index_loan loan = { 0 };
        struct map_page p;
        int r = 0;

        for (uint64_t row = 0; r == 0 && row < map_rows(m); row++) {
                if (map_row_get(m, row, &p))
                        continue;
                if (lend_follows(&loan, row, &p)) {
                        loan.count++;
                        continue;
                }
                r = loan.count > 0 ? fn(ctx, &loan) : 0;
                loan = (struct index_loan){ .row = row, .lender = p.lender, .page = p.page, .count = 1 };
        }
        return r == 0 && loan.count > 0 ? fn(ctx, &loan) : r;
}

struct record {
        struct blobstore *store;
        struct index_writer *writer;
        const struct blob_id *id;
        struct index_loan loans[LEND_BATCH];
        size_t n;
};

static int record_flush(struct record *rec)
{
        size_t n = rec->n;

        rec->n = 0;
        return n > 0 ? index_loan_add(rec->store->chunks->index, rec->writer, rec->id, rec->loans, n) : 0;
}

static int record_loan(void *ctx, const struct index_loan *loan)
{
        struct record *rec = ctx;

        rec->loans[rec->n++] = *loan;
        return rec->n < LEND_BATCH ? 0 : record_flush(rec);
}

int lend_record(struct blobstore *bs, struct index_writer *w, const struct blob_id *id, const struct map *m)
{
        struct record rec;
        int r;

        rec.store = bs;
        rec.writer = w;
        rec.id = id;
        rec.n = 0; /* the rest is not worth clearing */
        r = lend_each(m, record_loan, &rec);
        return r == 0 ? record_flush(&rec) : r;
}

int lent_has(struct lent *l, uint32_t page)
{
        uint32_t piece = page / INDEX_LOAN_PAGES, in = page % INDEX_LOAN_PAGES;
        int r;

        if (!l->is_loaded || l->piece != piece) {
                l->is_loaded = false;
                r = index_lent_pages(l->index, &l->lender, piece * INDEX_LOAN_PAGES, INDEX_LOAN_PAGES,
                                     NULL, 0, l->pages);
                if (r < 0)
                        return r;
                l->is_loaded = true;
                l->piece = piece;
        }
        return l->pages[in / 64] >> in % 64 & 1;
}
