/* SPDX-License-Identifier: MIT */

#include <stdlib.h>

#include "blobstore/blobs/scrub_priv.h"

static int compare_records(const void *a, const void *b)
{
        const uint32_t *offset = a;
        const struct footer_record *record = b;

        return *offset < record->offset ? -1 : *offset > record->offset;
}

struct chunk_name scrub_name_of(const struct index_chunk *c, const struct footer *footer)
{
        const uint32_t offset = place_offset(c->at);
        const struct footer_record *record;

        if (chunk_name_is_known(&c->name) || footer->n == 0)
                return c->name;
        record = bsearch(&offset, footer->records, footer->n, sizeof(*footer->records), compare_records);
        return record && record->place == c->place ? record->name : c->name;
}

int scrub_name_at(struct chunk_store *cs, uint64_t place, struct chunk_name *ret)
{
        CLEANUP(footer_done) struct footer footer = { 0 };
        struct index_chunk row;
        int r;

        *ret = (struct chunk_name){ 0 };
        r = index_chunk_list(cs->index, place, &row, 1);
        if (r <= 0 || row.place != place)
                return r < 0 ? r : 0;
        if (row.at == 0)
                row.at = row.place;
        if (!chunk_name_is_known(&row.name) && segments_describe(cs->segments, place_segment(row.at), &footer) < 0)
                return 0;
        *ret = scrub_name_of(&row, &footer);
        return 0;
}
