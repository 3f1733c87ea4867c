/* SPDX-License-Identifier: MIT */

/*
 * A blob is taken back in steps, each of which a crash may interrupt:
 *
 *      its own pages   the last one first, but for those that somebody borrows
 *      its loans       one after the other, from their ends; a page that nobody else borrows, of a lender that is dead
 *                      and has taken back its other pages, is taken back with that
 *      its map         unlinked, when nobody borrows of it, and then its row
 *
 * So a page of a dead map is counted until the map's own step comes to it, and after that as long as it is lent.
 *
 * The file of a dead map that lends stays whole, 4 KiB for each 5 MiB of its disk, until its last borrower goes. Punching
 * the pages that nobody borrows would save that, but a page of zeros is what a failing disk leaves: where the index is
 * made again, a map with such a page is one that cannot be accounted for, and stops all giving back.
 */

#include "blobstore/blobs/release_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/blobs/account.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/lend_priv.h"
#include "blobstore/blobs/map_file_priv.h"

#define RELEASE_LOANS 64 /* asked for at a time */

/* Chunks whose references go with the next transaction. */
struct places {
        uint64_t *place;
        size_t n, room; /* a page's entries fit in at least once */
};

static int places_init(struct places *p, size_t batch)
{
        p->n = 0;
        p->room = batch > MAP_PAGE_ENTRIES ? batch : MAP_PAGE_ENTRIES;
        p->place = calloc(p->room, sizeof(*p->place));
        return p->place ? 0 : -ENOMEM;
}

static void places_done(struct places *p)
{
        free(p->place);
}

static bool places_have_room(const struct places *p)
{
        return p->n + MAP_PAGE_ENTRIES <= p->room;
}

static int places_add(void *ctx, const struct map_entry *e)
{
        struct places *p = ctx;

        p->place[p->n++] = e->place;
        return 0;
}

/* ---- its own pages ---- */

/* The first N entries of a row's page; none where it is damaged. */
static int release_load_row(const struct map *map, uint64_t row, uint64_t n, struct places *places)
{
        size_t before = places->n;
        struct map_cursor cursor;
        struct map_entry e;
        int r;

        r = map_seek_row(map, row, &cursor);
        for (uint64_t i = 0; r >= 0 && i < n; i++) {
                r = map_next(&cursor, &e);
                if (r > 0) /* the page has as many as its row says, which was verified */
                        r = places_add(places, &e);
        }
        if (r < 0)
                places->n = before;
        return r;
}

/* A walk over a map's own pages, from the last one on. */
struct own_pages {
        const struct map *map;
        uint64_t row, end; /* what is behind them, in rows and in own entries, was met */
};

/* 1: *ret is a row with a page of the map's own, whose entries end at *ret_end. */
static int own_pages_back(struct own_pages *o, uint64_t *ret_row, struct map_page *ret, uint64_t *ret_end)
{
        while (o->row > 0) {
                if (!map_row_get(o->map, --o->row, ret))
                        continue;
                *ret_row = o->row;
                *ret_end = o->end;
                o->end -= ret->entries;
                return 1;
        }
        return 0;
}

/* As many of the last pages of the first LEFT entries as one transaction takes. *ret: how many entries stay then. */
static int release_collect(struct own_pages *o, struct lent *lent, uint64_t left, struct places *places, bool *damaged,
                           uint64_t *ret)
{
        struct map_page page;
        uint64_t row, end;
        int r;

        while (left > 0 && places_have_room(places) && own_pages_back(o, &row, &page, &end) > 0) {
                uint64_t start = end - page.entries;

                if (start >= left)
                        continue;
                r = lent_has(lent, page.page);
                if (r == 0)
                        r = release_load_row(o->map, row, (end < left ? end : left) - start, places);
                if (r < 0 && r != -EBADMSG)
                        return r;
                *damaged |= r == -EBADMSG;
                left = start;
        }
        *ret = o->row > 0 ? left : 0; /* what no row has is not there */
        return 0;
}

static int release_pages(struct blobstore *bs, const struct index_blob *blob, const struct map *map,
                         struct places *places)
{
        struct own_pages own = { map, map_rows(map), map_own_entries(map) };
        struct lent lent = { .index = bs->chunks->index, .lender = blob->id };
        bool damaged = blob->retained > own.end;
        uint64_t left = blob->retained;
        int r;

        while (left > 0) {
                places->n = 0;
                r = release_collect(&own, &lent, left, places, &damaged, &left);
                if (r == 0)
                        r = index_blob_release(bs->chunks->index, &blob->id, places->place, places->n, left);
                if (r < 0)
                        return r;
        }
        return damaged ? index_mark_stale(bs->dir_fd) : 0;
}

static int release_own(struct blobstore *bs, const struct index_blob *blob, struct places *places)
{
        CLEANUP(map_closep) struct map *map = NULL;
        int r;

        if (blob->retained == 0)
                return 0;
        r = map_file_open(bs, &blob->id, true, &map);
        if (r == -EBADMSG || r == -ENOENT)
                return index_mark_stale(bs->dir_fd);
        return r < 0 ? r : release_pages(bs, blob, map, places);
}

/* ---- its loans ---- */

/* Are a lender's pages to be taken back with their last loan? 1, 0. */
static int release_lender_is_done(struct blobstore *bs, const struct blob_id *lender, struct places *places)
{
        struct index_blob blob;
        int r;

        r = index_blob_get(bs->chunks->index, lender, &blob);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (blob.state != BLOB_DEAD)
                return 0;
        if (blob.retained == 0)
                return 1;
        r = blob_begin_removal(bs, lender);
        if (r <= 0) /* it is open, and counts all of its pages */
                return r;
        r = release_own(bs, &blob, places);
        if (r == 0)
                r = index_blob_get(bs->chunks->index, lender, &blob);
        return r < 0 ? r : blob.retained == 0; /* where it could not be read, all is counted again */
}

static bool loan_has(const uint64_t *pages, uint32_t i)
{
        return pages[i / 64] >> i % 64 & 1;
}

/* Ends a loan of a lender whose pages go with it; FD is the lender's map. */
static int release_lent(struct blobstore *bs, const struct blob_id *id, const struct index_loan *loan, int fd,
                        struct places *places)
{
        uint64_t others[INDEX_LOAN_PAGES / 64];
        bool damaged = false;
        int r;

        r = index_lent_pages(bs->chunks->index, &loan->lender, loan->page, loan->count, id, loan->row, others);
        for (uint32_t left = loan->count; r == 0 && left > 0;) {
                for (places->n = 0; r == 0 && left > 0 && places_have_room(places);) {
                        if (loan_has(others, --left))
                                continue;
                        r = map_page_each(fd, &loan->lender, loan->page + left, places_add, places);
                        damaged |= r == -EBADMSG;
                        if (r == -EBADMSG)
                                r = 0;
                }
                if (r == 0)
                        r = index_loan_shrink(bs->chunks->index, id, loan->row, left, places->place, places->n);
        }
        return r == 0 && damaged ? index_mark_stale(bs->dir_fd) : r;
}

static int release_loan(struct blobstore *bs, const struct blob_id *id, const struct index_loan *loan,
                        struct places *places)
{
        CLEANUP_CLOSE int fd = -1;
        int r;

        r = release_lender_is_done(bs, &loan->lender, places);
        if (r > 0)
                r = map_file_open_lender(bs, &loan->lender, &fd, NULL);
        if (r == -ENOENT)
                r = index_mark_stale(bs->dir_fd);
        if (r < 0)
                return r;
        if (fd < 0)
                return index_loan_shrink(bs->chunks->index, id, loan->row, 0, NULL, 0);
        return release_lent(bs, id, loan, fd, places);
}

/* ---- the map and the row ---- */

static int release_forget(struct blobstore *bs, const struct blob_id *id)
{
        int r;

        /* Where a map could not be read, it may be that one which borrows. */
        r = account_is_short(bs) ? 1 : index_is_lent(bs->chunks->index, id);
        if (r != 0)
                return r < 0 ? r : 0;
        r = map_file_remove(bs, id); /* before the row: without one it would never be looked at again */
        return r < 0 ? r : index_blob_forget(bs->chunks->index, id);
}

/* One that had only this borrower left. */
static int release_lender(struct blobstore *bs, const struct blob_id *lender)
{
        struct index_blob blob;
        int r;

        r = index_blob_get(bs->chunks->index, lender, &blob);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        return blob.state == BLOB_DEAD && blob.retained == 0 ? release_forget(bs, lender) : 0;
}

static int release_loans(struct blobstore *bs, const struct blob_id *id, struct places *places)
{
        struct index_loan loans[RELEASE_LOANS];
        int n, r = 0;

        while (r == 0 && (n = index_loan_list(bs->chunks->index, id, 0, loans, RELEASE_LOANS)) != 0) {
                r = n < 0 ? n : 0;
                for (int i = 0; r == 0 && i < n; i++) {
                        r = release_loan(bs, id, &loans[i], places);
                        if (r == 0 && (i + 1 == n ||
                                       memcmp(&loans[i].lender, &loans[i + 1].lender, sizeof(loans[i].lender)) != 0))
                                r = release_lender(bs, &loans[i].lender);
                }
        }
        return r;
}

int release_blob(struct blobstore *bs, const struct index_blob *blob, size_t batch)
{
        CLEANUP(places_done) struct places places = { 0 };
        int r;

        r = places_init(&places, batch);
        if (r == 0)
                r = release_own(bs, blob, &places);
        if (r == 0)
                r = release_loans(bs, &blob->id, &places);
        return r < 0 ? r : release_forget(bs, &blob->id);
}

int release_is_lender(struct blobstore *bs, const struct index_blob *blob)
{
        struct index_loan loan;
        int r;

        if (blob->state != BLOB_DEAD || blob->retained > 0)
                return 0;
        r = index_loan_list(bs->chunks->index, &blob->id, 0, &loan, 1);
        if (r != 0)
                return r < 0 ? r : 0;
        return index_is_lent(bs->chunks->index, &blob->id);
}
