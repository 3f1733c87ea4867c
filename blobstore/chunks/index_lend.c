/* SPDX-License-Identifier: MIT */

/*
 * Which pages of maps others borrow. A map's loans are rows of its own, written with it and gone with it, as its table
 * has them; nothing is counted that could drift. A loan is cut at each multiple of INDEX_LOAN_PAGES, so that those that
 * a page belongs to are found without looking at all of its map's.
 *
 * The entries of a page are counted by the map that owns it. Of a dead one that has taken back what it had to, those
 * pages are still counted that somebody borrows, and no others: the loan that was a page's last takes its references
 * along, in one transaction.
 */

#include <errno.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "blobstore/chunks/batch_priv.h"
#include "blobstore/chunks/index_priv.h"

static int index_put_loan(struct index *ix, const struct blob_id *borrower, const struct index_loan *loan)
{
        return index_db_run(ix->db, LOAN_ADD,
                            DB_ARGS(DB_ID(borrower), DB_INT(loan->row), DB_ID(&loan->lender), DB_INT(loan->page),
                                    DB_INT(loan->count)));
}

int index_loan_add(struct index *ix, struct index_writer *w, const struct blob_id *borrower,
                   const struct index_loan *loans, size_t n)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = w->error;
        if (r == 0)
                r = batch_begin(ix);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = index_put_loan(ix, borrower, &loans[i]);
        if (r < 0)
                return index_error(ix, batch_lose(ix, r));
        batch_grow(ix, w, (unsigned)n);
        return 0;
}

int index_loan_import(struct index *ix, const struct blob_id *borrower, const struct index_loan *loan)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_begin(ix->db, true);
        return r < 0 ? r : index_put_loan(ix, borrower, loan);
}

int index_loan_list(struct index *ix, const struct blob_id *borrower, uint64_t row, struct index_loan *ret, size_t max)
{
        int n = 0, r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_start(ix->db, LOAN_LIST, DB_ARGS(DB_ID(borrower), DB_INT(row), DB_INT(max)));
        while (r == 0 && (size_t)n < max && (r = index_db_next(ix->db, LOAN_LIST)) > 0) {
                ret[n].row = (uint64_t)index_db_column(ix->db, LOAN_LIST, 0);
                ret[n].page = (uint32_t)index_db_column(ix->db, LOAN_LIST, 2);
                ret[n].count = (uint32_t)index_db_column(ix->db, LOAN_LIST, 3);
                r = index_db_column(ix->db, LOAN_LIST, 4) ? 0 : -EUCLEAN;
                if (r == 0)
                        r = index_db_column_blob(ix->db, LOAN_LIST, 1, ret[n++].lender.bytes, BLOB_ID_SIZE);
        }
        index_db_end(ix->db, LOAN_LIST);
        return r < 0 ? index_error(ix, r) : n;
}

int index_loan_shrink(struct index *ix, const struct blob_id *borrower, uint64_t row, uint32_t left,
                      const uint64_t *places, size_t n)
{
        int64_t one;
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = index_tx_release(ix, places[i]);
        if (r == 0 && left > 0)
                r = index_tx_one(
                        index_db_get(ix->db, LOAN_SHRINK, &one, 1, DB_ARGS(DB_ID(borrower), DB_INT(row), DB_INT(left))));
        else if (r == 0)
                r = index_tx_one(index_db_get(ix->db, LOAN_END, &one, 1, DB_ARGS(DB_ID(borrower), DB_INT(row))));
        return batch_end_change(ix, r);
}

/* The part of a loan that lies in [FROM, TO), in bits from FROM on. Gives how many were not set before. */
static unsigned lent_set(uint64_t *bits, uint64_t from, uint64_t to, uint64_t page, uint64_t end)
{
        unsigned new = 0;

        for (page = page > from ? page : from; page < end && page < to; page++) {
                uint64_t bit = UINT64_C(1) << (page - from) % 64;

                new += !(bits[(page - from) / 64] & bit);
                bits[(page - from) / 64] |= bit;
        }
        return new;
}

int index_lent_pages(struct index *ix, const struct blob_id *lender, uint32_t page, uint32_t count,
                     const struct blob_id *but, uint64_t but_row, uint64_t ret[INDEX_LOAN_PAGES / 64])
{
        uint64_t first = page / INDEX_LOAN_PAGES * INDEX_LOAN_PAGES, found, end;
        struct blob_id borrower;
        unsigned left = count;
        int r;

        memset(ret, 0, INDEX_LOAN_PAGES / 8);
        LOCK_SCOPE(&ix->lock);
        r = index_db_start(ix->db, LOAN_OF, DB_ARGS(DB_ID(lender), DB_INT(first), DB_INT((uint64_t)page + count - 1)));
        while (r == 0 && left > 0 && (r = index_db_next(ix->db, LOAN_OF)) > 0) {
                found = (uint64_t)index_db_column(ix->db, LOAN_OF, 0);
                end = found + (uint64_t)index_db_column(ix->db, LOAN_OF, 1);
                r = index_db_column(ix->db, LOAN_OF, 4) ? 0 : -EUCLEAN;
                if (r == 0)
                        r = index_db_column_blob(ix->db, LOAN_OF, 2, borrower.bytes, BLOB_ID_SIZE);
                if (r == 0 && !(but && memcmp(but->bytes, borrower.bytes, BLOB_ID_SIZE) == 0 &&
                                (uint64_t)index_db_column(ix->db, LOAN_OF, 3) == but_row))
                        left -= lent_set(ret, page, (uint64_t)page + count, found, end);
        }
        index_db_end(ix->db, LOAN_OF);
        return r < 0 ? index_error(ix, r) : 0;
}

static int index_has_loan(struct index *ix, enum index_sql stmt, const struct db_arg *args, size_t n)
{
        int64_t one;
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_get(ix->db, stmt, &one, 1, args, n);
        return index_error(ix, r);
}

int index_is_lent(struct index *ix, const struct blob_id *lender)
{
        return index_has_loan(ix, LOAN_ANY, DB_ARGS(DB_ID(lender)));
}

int index_lost_lender(struct index *ix)
{
        return index_has_loan(ix, LOAN_LOST, DB_NONE);
}
