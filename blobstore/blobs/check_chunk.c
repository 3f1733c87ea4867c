/* SPDX-License-Identifier: MIT */

/*
 * Segments, and whether a chunk is there where a map says that it is.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/blobs/check_priv.h"

/* Places known to be damaged, so that every blob they belong to can be named; more are read again each time. */
#define CHECK_BAD_MAX 65536

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
        if (r == -ENOMEM || r == -EHOSTDOWN || r == 0)
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

int check_segments(struct check *c)
{
        CLEANUP_FREE uint8_t *known = NULL;
        struct check_segments cs = { .check = c };
        int r;

        r = segments_each(c->chunks->segments, check_segment_file, c);
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

static bool check_is_in_segment(const struct check *c, uint64_t place, size_t stored_len)
{
        const uint32_t segment = place_segment(place);

        return segment < c->n_sizes && place_offset(place) >= SEGMENT_HEADER_SIZE &&
               place_offset(place) + (uint64_t)stored_len <= c->sizes[segment];
}

/* It is not where it was first: then it may be where the index says, which goes for a table that is missing. */
static bool check_is_moved(struct check *c, uint64_t place)
{
        const uint32_t segment = place_segment(place);
        struct moved_chunk moved;

        if (!chunk_store_find_lost(c->chunks, place, &moved))
                return false;
        if (segment != c->no_table)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL, "moved/%08x is missing, or a part of it", segment);
        c->no_table = segment;
        return check_is_in_segment(c, moved.at, moved.stored_len);
}

int check_chunk(struct check *c, const struct map_entry *e, bool first)
{
        uint64_t place = e->place;
        size_t stored_len = e->stored_len;
        int r;

        r = chunk_store_resolve(c->chunks, &place, &stored_len);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        if (!check_is_in_segment(c, place, stored_len) && !check_is_moved(c, e->place))
                return 0;
        if (first)
                check_tell(c, c->n_seen + 1 < c->n_chunks ? ++c->n_seen : c->n_seen);
        if (!c->read_data)
                return 1;
        if (!first && c->n_bad < CHECK_BAD_MAX)
                return !check_is_bad(c, e->place);

        r = chunk_store_read(c->chunks, e->place, e->stored_len, &e->name, c->buffer, e->raw_len);
        if (r == -ENOMEM || r == -EHOSTDOWN)
                return r;
        if (r < 0 && check_note_bad(c, e->place) < 0)
                return -ENOMEM;
        return r == 0; /* what the disk cannot give is as good as damaged */
}
