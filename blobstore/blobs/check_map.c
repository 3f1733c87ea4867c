/* SPDX-License-Identifier: MIT */

/*
 * Maps: can they be read, are their chunks there, do they and the index tell of the same blob? What they count is
 * counted once more.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/blobs/check_priv.h"
#include "blobstore/blobs/lend_priv.h"
#include "blobstore/blobs/map_file_priv.h"

/* What was found of a map's chunks. */
struct check_found {
        uint64_t n_bad, first_bad; /* its byte */
        uint64_t data;
        bool damaged; /* a page cannot be read */
};

/* COUNT: it is counted by this map, else by the one that owns the page, and was met there. */
static int check_entry(struct check *c, const struct map_entry *e, bool count, struct check_found *f)
{
        int r = 0;

        f->data += e->len;
        if (count)
                r = index_import_map_entry(c->counted, e->place, 0, e->raw_len, e->stored_len);
        if (r >= 0)
                r = check_chunk(c, e, r > 0);
        if (r == 0 && f->n_bad++ == 0)
                f->first_bad = e->offset;
        return r < 0 ? r : 0;
}

/* The first N entries of a row's page. */
static int check_row(struct check *c, const struct map *map, uint64_t row, uint64_t n, bool count,
                     struct check_found *f)
{
        struct map_cursor cursor;
        struct map_entry e;
        int r;

        r = map_seek_row(map, row, &cursor);
        for (uint64_t i = 0; r >= 0 && i < n; i++) {
                r = map_next(&cursor, &e);
                if (r > 0)
                        r = check_entry(c, &e, count, f);
        }
        f->damaged |= r == -EBADMSG;
        return r < 0 && r != -EBADMSG ? r : 0;
}

/* Its own pages, as far as their entries are counted: the first LIMIT of them, and what is lent (LENT or NULL). */
static int check_own(struct check *c, const struct map *map, uint64_t limit, struct lent *lent, struct check_found *f)
{
        struct map_page page;
        uint64_t before = 0;
        int r = 0;

        for (uint64_t row = 0; r == 0 && row < map_rows(map); row++) {
                uint64_t n;

                if (!map_row_get(map, row, &page))
                        continue;
                n = before >= limit ? 0 : limit - before < page.entries ? limit - before : page.entries;
                if (n < page.entries && lent) {
                        r = lent_has(lent, page.page);
                        n = r > 0 ? page.entries : n;
                }
                r = r < 0 ? r : n > 0 ? check_row(c, map, row, n, true, f) : 0;
                before += page.entries;
        }
        return r;
}

/* What the table says of the data in borrowed pages. -EBADMSG; the first row is looked at in any case. */
static int check_borrowed_bytes(struct map *map, uint64_t *ret)
{
        struct map_page page;
        int r = 0;

        *ret = 0;
        for (uint64_t row = 0; r == 0 && row < map_rows(map); row++) {
                bool own = map_row_get(map, row, &page);

                if (own && row > 0)
                        continue;
                r = map_row_describe(map, row, &page);
                *ret += r < 0 || own ? 0 : page.bytes;
        }
        return r;
}

static int check_borrowed(struct check *c, const struct map *map, struct check_found *f)
{
        struct map_page page;
        int r = 0;

        for (uint64_t row = 0; r == 0 && row < map_rows(map); row++)
                if (!map_row_get(map, row, &page))
                        r = check_row(c, map, row, page.entries, false, f);
        return r;
}

static void check_report_found(struct check *c, const struct blob_id *id, const struct check_found *f)
{
        if (f->n_bad)
                check_report(c, BLOBSTORE_PROBLEM_CHUNK, id,
                             "%" PRIu64 " chunks are missing or damaged, the first one at byte %" PRIu64, f->n_bad,
                             f->first_bad);
}

struct check_loans {
        struct check *check;
        const struct blob_id *id;
        uint64_t next; /* row */
        bool differ;
};

/* Each loan that the map has, against the index's, which are in the same order. */
static int check_loan(void *ctx, const struct index_loan *loan)
{
        struct check_loans *l = ctx;
        struct index_loan found;
        int n;

        n = index_loan_list(l->check->chunks->index, l->id, l->next, &found, 1);
        l->differ |=
                n == 0 || (n > 0 && (found.row != loan->row || found.page != loan->page || found.count != loan->count ||
                                     memcmp(&found.lender, &loan->lender, sizeof(found.lender)) != 0));
        l->next = loan->row + loan->count;
        return n < 0 && n != -EBADMSG ? n : 0;
}

static int check_all_loans(struct check *c, const struct blob_id *id, const struct map *map)
{
        struct check_loans l = { .check = c, .id = id };
        struct index_loan more;
        int r;

        r = lend_each(map, check_loan, &l);
        if (r < 0)
                return r;
        r = index_loan_list(c->chunks->index, id, l.next, &more, 1);
        if (l.differ || r > 0 || r == -EBADMSG)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, id, "the index and the map borrow different pages");
        return r < 0 && r != -EBADMSG ? r : 0;
}

static int check_live_map(struct check *c, const struct index_blob *row, const struct map *map)
{
        struct index_blob blob = *row;
        int r;

        blob.info = *map_info(map);
        blob.retained = map_own_entries(map);
        if (row->retained != blob.retained || row->info.size_bytes != blob.info.size_bytes ||
            row->info.data_bytes != blob.info.data_bytes || row->info.data_clusters != blob.info.data_clusters ||
            row->info.data_spans != blob.info.data_spans ||
            memcmp(&row->info.checksum, &blob.info.checksum, sizeof(blob.info.checksum)) != 0)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, &row->id, "the index and the map tell different blobs");
        r = check_all_loans(c, &row->id, map);
        return r < 0 ? r : index_import_blob(c->counted, &blob);
}

int check_map(void *ctx, const struct blob_id *id, bool dead, const char *path)
{
        CLEANUP(map_closep) struct map *map = NULL;
        struct check *c = ctx;
        struct index_blob row = { .state = BLOB_LIVE, .retained = UINT64_MAX };
        struct lent lent = { .index = c->chunks->index };
        struct check_found found = { 0 };
        uint64_t bytes;
        int r = 0;

        if (!id) {
                check_report(c, BLOBSTORE_PROBLEM_ORPHAN, NULL, "maps/%s belongs to nothing", path);
                return 0;
        }
        if (c->chunks->index)
                r = index_blob_get(c->chunks->index, id, &row);
        else
                row.id = *id;
        if (r == -ENOENT || (r == 0 && dead && row.state == BLOB_LIVE)) {
                check_report(c, BLOBSTORE_PROBLEM_ORPHAN, NULL, "maps/%s is not in the index", path);
                return 0;
        }
        if (r == 0)
                r = map_file_open(c->store, id, dead, &map);
        if (r == -EBADMSG || r == -EPROTONOSUPPORT || r == -EIO) {
                c->incomplete = true;
                check_report(c, BLOBSTORE_PROBLEM_MAP, id, "the map cannot be read: %s", strerror(-r));
                return 0;
        }
        lent.lender = *id;
        if (r == 0)
                r = check_own(c, map, row.state == BLOB_LIVE ? UINT64_MAX : row.retained,
                              row.state == BLOB_DEAD ? &lent : NULL, &found);
        if (r < 0)
                return r;
        c->incomplete |= found.damaged;
        r = check_borrowed_bytes(map, &bytes);
        if (r < 0 && r != -EBADMSG)
                return r;
        if (found.damaged || r < 0)
                check_report(c, BLOBSTORE_PROBLEM_MAP, id, "the map is damaged in part");
        else if (row.state == BLOB_LIVE && found.data + bytes != map_info(map)->data_bytes)
                check_report(c, BLOBSTORE_PROBLEM_MAP, id, "the map's chunks do not add up to its data");
        check_report_found(c, id, &found);
        if (row.state != BLOB_LIVE || !c->chunks->index)
                return 0;
        return check_live_map(c, &row, map);
}

int check_map_borrows(void *ctx, const struct blob_id *id, bool dead, const char *path)
{
        CLEANUP(map_closep) struct map *map = NULL;
        struct check_found found = { 0 };
        struct check *c = ctx;
        uint64_t bytes;
        int r;

        (void)path;
        if (!id || dead || map_file_open(c->store, id, false, &map) < 0) /* which was reported */
                return 0;
        map_keep_pages(map, c->store->map_pages);
        if (map_entries(map) == map_own_entries(map))
                return 0;
        r = check_borrowed(c, map, &found);
        if (r < 0)
                return r;
        if (found.damaged || (check_borrowed_bytes(map, &bytes) == 0 && bytes != found.data))
                check_report(c, BLOBSTORE_PROBLEM_MAP, id, "pages that the map borrows are damaged or missing");
        check_report_found(c, id, &found);
        return 0;
}
