/* SPDX-License-Identifier: MIT */

/*
 * A new index from what the segments say of themselves and what the maps name. Every blob with a map is live again;
 * those that were being removed are so no more once nobody names them, which the next collection asks. One that was
 * removed, and lends pages, is dead and counts those. What segments
 * describe and no map names becomes an orphan: its space is given back only after unnamed-days.
 *
 * A segment without a footer, or with a damaged one, is described anew, by the chunks that maps name in it: they are
 * read and named. This is how a store of version 2, which had no footers, becomes one of version 3.
 *
 * A map whose header or table is damaged is read page by page, and its blob stays, for its readers to be told. Where a
 * page is damaged or cannot be read, its chunks are not known, and nothing is given back any more (account.h).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/blobs/account.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/lend_priv.h"
#include "blobstore/blobs/map_file_priv.h"
#include "blobstore/chunks/index_move.h"

struct rebuild {
        struct blobstore *store;
        struct index *index;
        bool is_short;         /* not all entries of all maps are counted */
        uint32_t *undescribed; /* segments */
        size_t n_undescribed;
        uint64_t segments; /* all of them */
};

static void rebuild_tell(struct rebuild *rb, const char *what, uint64_t done, uint64_t total)
{
        if (rb->store->progress)
                rb->store->progress(rb->store->progress_ctx, what, done, total);
}

/* Damage, or an unreadable sector: that piece says nothing. */
static bool rebuild_misses(struct rebuild *rb, int r)
{
        bool missed = r == -EBADMSG || r == -EIO;

        rb->is_short |= missed;
        return missed;
}

static int rebuild_entry(void *ctx, const struct map_entry *e)
{
        struct rebuild *rb = ctx;
        struct moved_chunk moved = { .stored_len = e->stored_len };
        int r;

        /* Where its segment does not tell, the table may. */
        r = moves_find(rb->store->chunks->moves, e->place, &moved);
        if (r == -ENOMEM)
                return r;
        r = index_import_map_entry(rb->index, e->place, moved.at, e->raw_len, moved.stored_len);
        return r < 0 ? r : 0;
}

/* The pages that the map owns: what it borrows is counted where it lies. */
static int rebuild_entries(struct rebuild *rb, const struct map *map)
{
        struct map_cursor cursor;
        struct map_page page;
        struct map_entry e;
        int r = 0;

        for (uint64_t row = 0; r == 0 && row < map_rows(map); row++) {
                if (!map_row_get(map, row, &page))
                        continue;
                r = map_seek_row(map, row, &cursor);
                for (unsigned i = 0; r == 0 && i < page.entries; i++) {
                        r = map_next(&cursor, &e);
                        if (r > 0)
                                r = rebuild_entry(rb, &e);
                }
                if (r < 0 && rebuild_misses(rb, r))
                        r = 0;
        }
        return r;
}

struct rebuild_loans {
        struct rebuild *rebuild;
        const struct blob_id *id;
};

static int rebuild_loan(void *ctx, const struct index_loan *loan)
{
        const struct rebuild_loans *l = ctx;

        return index_loan_import(l->rebuild->index, l->id, loan);
}

static int rebuild_map(void *ctx, const struct blob_id *id, bool dead, const char *path)
{
        CLEANUP(map_closep) struct map *map = NULL;
        struct rebuild *rb = ctx;
        struct index_blob blob = { .state = BLOB_LIVE };
        struct rebuild_loans loans = { rb, id };
        int r;

        (void)path;
        if (!id || dead)
                return 0;

        blob.id = *id;
        r = map_file_open(rb->store, id, false, &map);
        if (r < 0 && !rebuild_misses(rb, r))
                return r;
        if (r < 0) {
                r = map_file_salvage(rb->store, id, rebuild_entry, rb);
                return r < 0 && !rebuild_misses(rb, r) ? r : index_import_blob(rb->index, &blob);
        }
        blob.info = *map_info(map);
        r = rebuild_entries(rb, map);
        if (r == 0)
                r = lend_each(map, rebuild_loan, &loans);
        if (r < 0)
                return r;
        blob.retained = map_own_entries(map);
        return index_import_blob(rb->index, &blob);
}

/* The pages of a dead map that are lent, whatever its table says. */
static int rebuild_lent_pages(struct rebuild *rb, const struct blob_id *id)
{
        struct lent lent = { .index = rb->index, .lender = *id };
        CLEANUP_CLOSE int fd = -1;
        uint64_t size;
        int r;

        r = map_file_open_lender(rb->store, id, &fd, &size);
        for (uint64_t page = 0; r == 0 && (page + 2) * MAP_PAGE_SIZE <= size; page++) {
                r = lent_has(&lent, (uint32_t)page);
                if (r <= 0)
                        continue;
                r = map_page_each(fd, id, page, rebuild_entry, rb);
                if (r < 0 && rebuild_misses(rb, r))
                        r = 0;
        }
        return r < 0 && rebuild_misses(rb, r) ? 0 : r;
}

/*
 * When all that live have told what they borrow. One that nobody borrows of goes: half of its references were taken
 * back, and now none is counted. Unless a map could not be read, which may be the one that does.
 */
static int rebuild_dead_map(void *ctx, const struct blob_id *id, bool dead, const char *path)
{
        struct rebuild *rb = ctx;
        struct index_blob blob = { .state = BLOB_DEAD };
        int r;

        if (!id || !dead)
                return 0;
        if (map_file_exists(rb->store, id, false)) /* put back, beside what was left of it */
                return unlinkat(rb->store->maps_fd, path, 0) < 0 ? -errno : 0;
        r = index_is_lent(rb->index, id);
        if (r == 0 && !rb->is_short)
                return map_file_remove(rb->store, id);
        if (r > 0)
                r = rebuild_lent_pages(rb, id);
        blob.id = *id;
        return r < 0 ? r : index_import_blob(rb->index, &blob);
}

/* A lender that is lost took along what its pages name. */
static int rebuild_dead_maps(struct rebuild *rb)
{
        int r;

        r = map_file_each(rb->store, rebuild_dead_map, rb);
        if (r == 0)
                r = index_lost_lender(rb->index);
        rb->is_short |= r > 0;
        return r < 0 ? r : 0;
}

/* ---- segments ---- */

static int rebuild_note_undescribed(struct rebuild *rb, uint32_t id)
{
        uint32_t *grown = reallocarray(rb->undescribed, rb->n_undescribed + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        rb->undescribed = grown;
        rb->undescribed[rb->n_undescribed++] = id;
        return 0;
}

static int rebuild_records(struct rebuild *rb, uint32_t id, const struct footer *footer)
{
        const uint64_t *feature = footer->features;
        struct chunk_features features;
        int r = 0;

        for (size_t i = 0; r == 0 && i < footer->n; i++) {
                const struct footer_record *record = &footer->records[i];
                uint64_t lies = place_make(id, record->offset);

                features.n = record->n_features;
                memcpy(features.block, feature, features.n * sizeof(*feature));
                feature += features.n;
                r = index_import_record(rb->index, record, lies == record->place ? 0 : lies, &features);
        }
        return r;
}

static int rebuild_segment(void *ctx, uint32_t id, uint64_t size)
{
        struct rebuild *rb = ctx;
        struct footer footer = { 0 };
        int r;

        r = index_import_segment(rb->index, id, size);
        if (r < 0)
                return r;
        rebuild_tell(rb, "segments", ++rb->segments, 0);
        r = segments_describe(rb->store->chunks->segments, id, &footer);
        if (r == -ENOENT || r == -EBADMSG || r == -EIO)
                return rebuild_note_undescribed(rb, id);
        if (r == 0)
                r = rebuild_records(rb, id, &footer);
        footer_done(&footer);
        return r;
}

/* Reads a chunk for its name. What cannot be read has none, and is as it is for whoever reads it. */
static int rebuild_name_chunk(struct rebuild *rb, struct codec *codec, const struct index_chunk *c,
                              struct footer *footer)
{
        struct chunk_store *cs = rb->store->chunks;
        struct footer_record record = { .place = c->place, .raw_len = c->raw_len, .stored_len = c->stored_len };
        struct chunk_features features = { 0 };
        int r;

        record.offset = place_offset(c->at);
        r = chunk_store_read(cs, c->place, c->stored_len, NULL, codec->raw, c->raw_len);
        if (r == 0)
                r = chunk_store_peek_base(cs, c->place, c->stored_len, c->raw_len, &record.base);
        if (r == 0)
                r = chunk_name_of(codec->raw, c->raw_len, &record.name);
        if (r == -ENOMEM)
                return r;
        if (r == 0 && !record.base)
                chunk_features_of(codec->raw, c->raw_len, &features);
        r = footer_add(footer, &record, &features);
        return r < 0 ? r : index_import_name(rb->index, c->place, &record.name, record.base, &features);
}

#define REBUILD_PAGE 64

/*
 * The last ones that the host before this one had of a store in a bucket may not be there to be seen: they were removed, and it is
 * about to do so again, or they are on their way, for some seconds. Nobody else is to have those numbers.
 */
#define SEGMENTS_ELSEWHERE 1024

static int rebuild_name_chunks(struct rebuild *rb, uint32_t id, struct footer *footer)
{
        struct index_chunk page[REBUILD_PAGE];
        uint64_t after = 0;
        struct codec *codec;
        int n, r;

        r = codec_pool_get(rb->store->chunks->codecs, &codec);
        if (r < 0)
                return r;
        while (r == 0 && (n = index_chunks_in(rb->index, id, after, page, REBUILD_PAGE)) != 0) {
                r = n < 0 ? n : 0;
                for (int i = 0; r == 0 && i < n; i++)
                        r = rebuild_name_chunk(rb, codec, &page[i], footer);
                if (r == 0)
                        after = page[n - 1].at;
        }
        codec_pool_put(rb->store->chunks->codecs, codec);
        return r;
}

static int rebuild_describe(struct rebuild *rb, uint32_t id)
{
        struct footer footer = { 0 };
        uint64_t size;
        int r;

        r = rebuild_name_chunks(rb, id, &footer);
        if (r == 0)
                r = segments_add_footer(rb->store->chunks->segments, id, &footer, &size);
        footer_done(&footer);
        return r;
}

static int rebuild_describe_all(struct rebuild *rb)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < rb->n_undescribed; i++) {
                r = rebuild_describe(rb, rb->undescribed[i]);
                rebuild_tell(rb, "descriptions of segments", i + 1, rb->n_undescribed);
        }
        return r;
}

/* ---- moves ---- */

struct moved {
        struct moved_chunk *chunks;
        size_t n, room;
};

static int moved_add(struct moved *m, const struct index_chunk *c)
{
        struct moved_chunk *grown;

        if (m->n == m->room) {
                grown = reallocarray(m->chunks, m->room * 2 + 64, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                m->chunks = grown;
                m->room = m->room * 2 + 64;
        }
        m->chunks[m->n++] = (struct moved_chunk){ .place = c->place, .at = c->at, .stored_len = c->stored_len };
        return 0;
}

/* The table of the segment that was gathered, if anything was. */
static int moved_write(struct rebuild *rb, struct moved *m)
{
        int r;

        if (m->n == 0)
                return 0;
        r = rb->n_undescribed ? moves_record(rb->store->chunks->moves, m->chunks, m->n) : -EBADMSG;
        if (r == -EBADMSG) /* nothing of the table that was there is wanted, or can be had */
                r = moves_replace(rb->store->chunks->moves, place_segment(m->chunks[0].place), m->chunks, m->n);
        m->n = 0;
        return r;
}

static int moved_is_needed(void *ctx, uint32_t segment)
{
        struct rebuild *rb = ctx;
        struct index_chunk page[REBUILD_PAGE];
        uint64_t next = place_make(segment, 0);
        int n;

        while ((n = index_chunk_list(rb->index, next, page, REBUILD_PAGE)) > 0) {
                for (int i = 0; i < n && place_segment(page[i].place) == segment; i++)
                        if (page[i].at)
                                return 0;
                if (place_segment(page[n - 1].place) != segment)
                        break;
                next = page[n - 1].place + 1;
        }
        return n < 0 ? n : moves_replace(rb->store->chunks->moves, segment, NULL, 0);
}

/* The segments say where what they hold was before: the tables follow from that. */
static int rebuild_moves(struct rebuild *rb)
{
        struct index_chunk page[REBUILD_PAGE];
        struct moved m = { 0 };
        uint64_t next = 0;
        int n, r = 0;

        while (r == 0 && (n = index_chunk_list(rb->index, next, page, REBUILD_PAGE)) != 0) {
                r = n < 0 ? n : 0;
                for (int i = 0; r == 0 && i < n; i++) {
                        if (!page[i].at)
                                continue;
                        if (m.n > 0 && place_segment(m.chunks[0].place) != place_segment(page[i].place))
                                r = moved_write(rb, &m);
                        if (r == 0)
                                r = moved_add(&m, &page[i]);
                }
                if (r == 0)
                        next = page[n - 1].place + 1;
        }
        if (r == 0)
                r = moved_write(rb, &m);
        free(m.chunks);
        /* Where not every segment tells what is in it, a table that nobody seems to need may be the only one that does.
         */
        return r < 0 || rb->n_undescribed ? r : moves_each(rb->store->chunks->moves, moved_is_needed, rb);
}

int rebuild_index(struct blobstore *bs)
{
        struct rebuild rb = { .store = bs };
        int r;

        r = index_new(bs->dir_fd, bs->chunks->segments, &bs->chunks->degraded, &rb.index);
        if (r < 0)
                return r;
        r = segments_each(bs->chunks->segments, rebuild_segment, &rb);
        if (r == 0)
                r = map_file_each(bs, rebuild_map, &rb);
        if (r == 0)
                r = rebuild_dead_maps(&rb);
        if (r == 0)
                r = rebuild_moves(&rb); /* before chunks are read */
        if (r == 0)
                r = rebuild_describe_all(&rb);
        if (r == 0 && bs->far.was_lost)
                index_skip_segments(rb.index, SEGMENTS_ELSEWHERE);
        if (r == 0)
                r = index_import_end(rb.index);
        if (r == 0 && rb.is_short)
                r = account_set_short(bs, true); /* before an index is there that counts too little */
        if (r == 0)
                r = index_publish(rb.index, bs->dir_fd);
        if (r == 0 && !rb.is_short)
                r = account_set_short(bs, false);
        index_close(rb.index);
        free(rb.undescribed);
        return r;
}
