/* SPDX-License-Identifier: MIT */

/*
 * The check counts everything again, from the maps, into a temporary index like the real one, and compares the two. So
 * its memory does not depend on the size of the store, and it knows of the index only what the index says in public.
 *
 * What an interrupted removal or commit, or a crash, may leave and the next collection takes back is no problem, and
 * neither is a chunk that nothing refers to. With a writer or a collection at work beside it, it may find what is
 * only on its way.
 */

#include "blobstore/blobs/blob_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/lend_priv.h"
#include "blobstore/blobs/map_file_priv.h"
#include "blobstore/chunks/chunker.h"

#define CHECK_PAGE 256

/* Places known to be damaged, so that every blob they belong to can be named; more are read again each time. */
#define CHECK_BAD_MAX 65536

struct check {
        struct blobstore *store;
        struct chunk_store *chunks; /* the store's */
        bool read_data;
        blobstore_problem_fn *report;
        void *ctx;
        int problems;

        struct index *counted;
        bool incomplete; /* a map could not be read: what it refers to is not counted */
        uint64_t *sizes; /* of segments, by id; 0: no such file */
        size_t n_sizes;
        uint64_t *bad; /* ascending */
        size_t n_bad;
        uint64_t n_seen, n_chunks; /* so far, of so many that are to come */
        uint8_t buffer[CHUNK_SIZE_MAX];
};

static void check_tell(struct check *c, uint64_t seen)
{
        if (c->store->progress && c->n_chunks > 0)
                c->store->progress(c->store->progress_ctx, "chunks", seen, c->n_chunks);
}

static void __attribute__((format(printf, 4, 5)))
check_report(struct check *c, enum blobstore_problem kind, const struct blob_id *id, const char *fmt, ...)
{
        char text[256];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap); /* cut, if it must be */
        va_end(ap);
        c->problems++;
        c->report(c->ctx, kind, id, text);
}

/* ---- segments ---- */

static int check_segment_file(void *ctx, uint32_t id, uint64_t size)
{
        struct check *c = ctx;
        uint64_t *sizes;

        if (id >= c->n_sizes) {
                size_t n = c->n_sizes * 2 > id ? c->n_sizes * 2 : (size_t)id + 1;

                sizes = reallocarray(c->sizes, n, sizeof(*sizes));
                if (!sizes)
                        return -ENOMEM;
                memset(sizes + c->n_sizes, 0, (n - c->n_sizes) * sizeof(*sizes));
                c->sizes = sizes;
                c->n_sizes = n;
        }
        c->sizes[id] = size ? size : 1; /* there, if empty */
        return 0;
}

enum { SEGMENT_KNOWN = 1, SEGMENT_SEALED = 2 };

struct check_segments {
        struct check *check;
        uint8_t *known; /* by id */
};

/* A sealed segment that does not say what is in it is given another description when the index is made again. */
static int check_description(struct check *c, uint32_t id)
{
        struct footer footer = { 0 };
        int r;

        r = segments_describe(c->chunks->segments, id, &footer);
        footer_done(&footer);
        if (r == -ENOMEM || r == 0)
                return r;
        check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL, "segment %08x does not say what is in it: %s", id,
                     r == -ENOENT ? "its end is missing" : strerror(-r));
        return 0;
}

static int check_segment_row(void *ctx, const struct segment_state *s)
{
        struct check_segments *cs = ctx;

        if (s->id < cs->check->n_sizes)
                cs->known[s->id] = s->sealed ? SEGMENT_KNOWN | SEGMENT_SEALED : SEGMENT_KNOWN;
        return 0;
}

static int check_segments(struct check *c)
{
        CLEANUP_FREE uint8_t *known = NULL;
        struct check_segments cs = { .check = c };
        int r;

        r = segments_each(c->chunks->segments, 0, check_segment_file, c);
        if (r < 0 || !c->chunks->index)
                return r;
        known = calloc(c->n_sizes ? c->n_sizes : 1, 1);
        if (!known)
                return -ENOMEM;
        cs.known = known;
        r = index_segment_each(c->chunks->index, check_segment_row, &cs);
        for (size_t id = 0; r == 0 && id < c->n_sizes; id++)
                if (c->sizes[id] && known[id] & SEGMENT_SEALED)
                        r = check_description(c, (uint32_t)id);
        /* What a crash left becomes known when the store is opened, and what a writer has just begun, by its batch. */
        for (size_t id = 0; r == 0 && id < c->n_sizes && id < segments_get_next(c->chunks->segments); id++)
                if (c->sizes[id] && !known[id] && index_is_certain(c->chunks->index) &&
                    !segments_is_active(c->chunks->segments, (uint32_t)id))
                        check_report(c, BLOBSTORE_PROBLEM_ORPHAN, NULL, "segment %08zx is not in the index", id);
        return r;
}

/* ---- maps ---- */

/* Where PLACE is, or belongs, among the bad ones. */
static size_t check_find_bad(const struct check *c, uint64_t place)
{
        size_t low = 0, high = c->n_bad;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (c->bad[middle] < place)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool check_is_bad(const struct check *c, uint64_t place)
{
        size_t i = check_find_bad(c, place);

        return i < c->n_bad && c->bad[i] == place;
}

static int check_note_bad(struct check *c, uint64_t place)
{
        size_t i = check_find_bad(c, place);

        if (c->n_bad == CHECK_BAD_MAX)
                return 0;
        if (!c->bad) {
                c->bad = malloc(CHECK_BAD_MAX * sizeof(*c->bad)); /* touched only as far as there are */
                if (!c->bad)
                        return -ENOMEM;
        }
        memmove(c->bad + i + 1, c->bad + i, (c->n_bad - i) * sizeof(*c->bad));
        c->bad[i] = place;
        c->n_bad++;
        return 0;
}

/* Is the chunk where it should be, and, if that is asked, what it should be? FIRST: not met before. 1: yes, 0: no. */
static int check_chunk(struct check *c, const struct map_entry *e, bool first)
{
        uint64_t place = e->place;
        size_t stored_len = e->stored_len;
        uint32_t segment;
        int r;

        r = chunk_store_resolve(c->chunks, &place, &stored_len);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        segment = place_segment(place);
        if (segment >= c->n_sizes || place_offset(place) < SEGMENT_HEADER_SIZE ||
            place_offset(place) + (uint64_t)stored_len > c->sizes[segment])
                return 0;
        if (first)
                check_tell(c, c->n_seen + 1 < c->n_chunks ? ++c->n_seen : c->n_seen);
        if (!c->read_data)
                return 1;
        if (!first && c->n_bad < CHECK_BAD_MAX)
                return !check_is_bad(c, e->place);

        r = chunk_store_read(c->chunks, e->place, e->stored_len, &e->name, c->buffer, e->raw_len);
        if (r == -ENOMEM)
                return r;
        if (r < 0 && check_note_bad(c, e->place) < 0)
                return -ENOMEM;
        return r == 0; /* what the disk cannot give is as good as damaged */
}

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
        l->differ |= n == 0 || (n > 0 && (found.row != loan->row || found.page != loan->page ||
                                          found.count != loan->count ||
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

static int check_map(void *ctx, const struct blob_id *id, bool dead, const char *path)
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

/*
 * What maps borrow, when all chunks have been met where they are counted: those that are damaged are named for each
 * blob that has them.
 */
static int check_map_borrows(void *ctx, const struct blob_id *id, bool dead, const char *path)
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

/* ---- the index ---- */

static int check_blobs(struct check *c, bool live)
{
        struct index_blob page[64];
        struct blob_id after;
        int n;

        for (n = index_blob_list(c->chunks->index, live, NULL, page, 64); n > 0;
             n = index_blob_list(c->chunks->index, live, &after, page, 64)) {
                after = page[n - 1].id;
                for (int i = 0; i < n; i++) {
                        if (page[i].retained == 0 && !live && index_is_lent(c->chunks->index, &page[i].id) == 0)
                                continue;
                        if (map_file_exists(c->store, &page[i].id, false) ||
                            (!live && map_file_exists(c->store, &page[i].id, true)))
                                continue;
                        c->incomplete = true;
                        check_report(c, BLOBSTORE_PROBLEM_MAP, &page[i].id, "the map is missing");
                }
        }
        return n;
}

/* A cursor over the chunks of an index, by place. */
struct check_chunks {
        struct index *index;
        struct index_chunk page[CHECK_PAGE];
        int i, n;
        uint64_t next;
};

/* 1: *ret is the chunk the cursor stands on; 0: the end. */
static int check_chunks_get(struct check_chunks *s, const struct index_chunk **ret)
{
        if (s->i == s->n) {
                s->i = 0;
                s->n = index_chunk_list(s->index, s->next, s->page, CHECK_PAGE);
                if (s->n <= 0)
                        return s->n;
                s->next = s->page[s->n - 1].place + 1;
        }
        *ret = &s->page[s->i];
        return 1;
}

struct check_differences {
        uint64_t missing, left_over, counts, contents, unproven, overlaps;
        struct blobstore_stats stats; /* of chunks, as their rows say */
};

/* A chunk counts for its base as long as it is not dead. */
static int check_count_bases(struct check *c, struct check_chunks *s)
{
        const struct index_chunk *chunk = NULL;
        int r;

        while ((r = check_chunks_get(s, &chunk)) > 0) {
                r = chunk->base ? index_import_base(c->counted, chunk->base) : 0;
                if (r < 0)
                        return r;
                s->i++;
        }
        return r;
}

static void check_count_row(struct check_differences *d, const struct index_chunk *a)
{
        d->unproven += !a->proven;
        if (a->refs <= 0)
                return;
        d->stats.unique_bytes += a->raw_len;
        d->stats.stored_bytes += a->stored_len;
        d->stats.chunks++;
}

static int check_compare(struct check *c, struct check_differences *d)
{
        CLEANUP_FREE struct check_chunks *is = calloc(1, sizeof(*is)), *should = calloc(1, sizeof(*should));
        const struct index_chunk *a = NULL, *b = NULL;
        uint64_t end = 0;
        int have_a, have_b;

        if (!is || !should)
                return -ENOMEM;
        is->index = c->chunks->index;
        have_a = check_count_bases(c, is);
        if (have_a < 0)
                return have_a;
        *is = (struct check_chunks){ .index = c->chunks->index };
        should->index = c->counted;
        for (;;) {
                have_a = check_chunks_get(is, &a);
                have_b = check_chunks_get(should, &b);
                if (have_a < 0 || have_b < 0)
                        return have_a < 0 ? have_a : have_b;
                if (!have_a && !have_b)
                        return 0;
                if (have_a && (!have_b || a->place < b->place)) {
                        check_count_row(d, a);
                        d->left_over += a->refs > 0;
                        is->i++;
                        continue;
                }
                d->overlaps += b->place < end;
                end = b->place + b->stored_len;
                should->i++;
                if (!have_a || b->place < a->place) {
                        d->missing++;
                        continue;
                }
                check_count_row(d, a);
                is->i++;
                d->counts += c->incomplete ? a->refs < b->refs : a->refs != b->refs;
                /* What is only a base is in no map that would say how long it is, and what was moved was made shorter.
                 */
                d->contents += b->raw_len && (a->raw_len != b->raw_len || (!a->at && a->stored_len != b->stored_len));
        }
}

static int check_index(struct check *c)
{
        struct check_differences d = { 0 };
        struct blobstore_stats is, should;
        int r;

        r = check_blobs(c, true);
        if (r == 0)
                r = check_blobs(c, false);
        if (r == 0)
                r = check_compare(c, &d);
        if (r < 0)
                return r;

        if (d.missing)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL, "%" PRIu64 " chunks are not in the index", d.missing);
        if (d.left_over && !c->incomplete)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL,
                             "%" PRIu64 " chunks of the index have references, but no blob refers to them",
                             d.left_over);
        if (d.counts)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL, "the references of %" PRIu64 " chunks are miscounted",
                             d.counts);
        if (d.unproven)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL, "%" PRIu64 " chunks' rows are damaged", d.unproven);
        if (d.contents)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL, "%" PRIu64 " chunks are others in the index",
                             d.contents);
        if (d.overlaps)
                check_report(c, BLOBSTORE_PROBLEM_MAP, NULL, "%" PRIu64 " chunks lie upon others", d.overlaps);

        r = index_stats(c->chunks->index, &is);
        if (r == 0)
                r = index_stats(c->counted, &should);
        if (r < 0)
                return r;
        should.unique_bytes = d.stats.unique_bytes;
        should.stored_bytes = d.stats.stored_bytes;
        should.chunks = d.stats.chunks;
        if (!c->incomplete && memcmp(&is, &should, sizeof(is)) != 0)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL, "the statistics do not add up");
        return 0;
}

static int check_run(struct check *c)
{
        struct blobstore_stats stats;
        int r;

        if (!c->chunks->index)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL,
                             "the index is missing or damaged; it will be made again");
        else if (index_verify(c->chunks->index) < 0)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL, "the database of the index is damaged");

        if (c->chunks->index && index_stats(c->chunks->index, &stats) == 0)
                c->n_chunks = stats.chunks;
        r = index_new_temporary(c->chunks->segments, &c->chunks->degraded, &c->counted);
        if (r == 0)
                r = check_segments(c);
        if (r == 0)
                r = map_file_each(c->store, check_map, c);
        if (r == 0)
                r = map_file_each(c->store, check_map_borrows, c);
        if (r == 0 && c->chunks->index)
                r = check_index(c);
        if (r == 0)
                check_tell(c, c->n_chunks); /* what is only a base is in no map, and did not come */
        return r;
}

int blob_check_all(struct blobstore *bs, bool read_data, blobstore_problem_fn *report, void *ctx)
{
        struct check *c = calloc(1, sizeof(*c)); /* with its buffer too much for a stack */
        int r;

        if (!c)
                return -ENOMEM;
        c->store = bs;
        c->chunks = bs->chunks;
        c->read_data = read_data;
        c->report = report;
        c->ctx = ctx;
        r = check_run(c);
        if (r == 0)
                r = c->problems;
        index_close(c->counted);
        free(c->sizes);
        free(c->bad);
        free(c);
        return r;
}
