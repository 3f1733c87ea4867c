/* SPDX-License-Identifier: MIT */

/*
 * The index against what was counted from the maps: both are read by place, side by side.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/blobs/check_priv.h"
#include "blobstore/blobs/map_file_priv.h"

#define CHECK_PAGE 256

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

/*
 * Does what is known by PLACE begin before END, where the one before it, known by BEFORE, ends? A map that was made after that
 * was moved says how long it is where it lies now, and it may have become longer.
 */
static bool check_overlaps(struct check *c, uint64_t place, uint64_t before, uint64_t end)
{
        struct moved_chunk moved;

        return place < end && moves_find(c->chunks->moves, before, &moved) <= 0;
}

static int check_compare(struct check *c, struct check_differences *d)
{
        CLEANUP_FREE struct check_chunks *is = calloc(1, sizeof(*is)), *should = calloc(1, sizeof(*should));
        const struct index_chunk *a = NULL, *b = NULL;
        uint64_t before = 0, end = 0;
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
                d->overlaps += check_overlaps(c, b->place, before, end);
                before = b->place;
                end = b->place + b->stored_len;
                should->i++;
                if (!have_a || b->place < a->place) {
                        d->missing++;
                        continue;
                }
                check_count_row(d, a);
                is->i++;
                d->counts += c->incomplete ? a->refs < b->refs : a->refs != b->refs;
                /* What is only a base is in no map that would say how long it is, and what was moved may be of another
                 * length. */
                d->contents += b->raw_len && (a->raw_len != b->raw_len || (!a->at && a->stored_len != b->stored_len));
        }
}

int check_index(struct check *c)
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
