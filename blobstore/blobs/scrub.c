/* SPDX-License-Identifier: MIT */

/*
 * Scrubbing reads what is stored, not what blobs are made of: each chunk once, where it lies, however many blobs share
 * it, and then each map's own pages. So a pass costs what the disk holds, and its memory does not depend on that. The
 * segments are read in order, whatever moves meanwhile: what is written or moved after a pass began lies in a segment
 * that comes later, or in one that was read when it was there.
 *
 * Whose a damaged chunk is only the maps know, all of them. They are gone through when something damaged was found and
 * as much was read since as that took the last time; so a disk that is rotten all over makes a pass twice as long, and
 * not a thousand times. Until they were, the position stays before what was found.
 *
 * What the kernel has of a file in memory may be whole where the disk is not: it is dropped before.
 */

#include "blobstore/blobs/scrub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/blobs/scrub_priv.h"
#include "blobstore/chunks/index_move.h"

/* Read with one asking of the index, and before somebody is asked whether to go on: 2 MiB at the most. */
#define SCRUB_PAGE 8

/* ---- what is damaged ---- */

static int scrub_note(struct scrub *s, uint64_t place)
{
        size_t i;
        int r;

        if (s->n_bad == SCRUB_BAD_MAX) {
                r = scrub_tell(s);
                if (r < 0)
                        return r;
                s->n_bad = 0;
        }
        if (!s->bad) {
                s->bad = malloc(SCRUB_BAD_MAX * sizeof(*s->bad)); /* touched only as far as there are */
                if (!s->bad)
                        return -ENOMEM;
        }
        for (i = s->n_bad; i > 0 && s->bad[i - 1] >= place; i--) /* most come in order */
                if (s->bad[i - 1] == place)
                        return 0;
        memmove(s->bad + i + 1, s->bad + i, (s->n_bad - i) * sizeof(*s->bad));
        s->bad[i] = place;
        s->n_bad++;
        s->untold = true;
        return 0;
}

/* ---- segments ---- */

/* 1: it is what it should be; 0: it is not, or only a map can tell, and nobody shares it any more. */
static int scrub_chunk(struct scrub *s, const struct index_chunk *c, const struct chunk_name *should)
{
        struct chunk_name is;
        int r;

        r = chunk_store_read(s->chunks, c->place, c->stored_len, NULL, s->buffer, c->raw_len);
        if (r == 0)
                r = chunk_name_of(s->buffer, c->raw_len, &is);
        if (r < 0 && !scrub_is_damage(r))
                return r;
        if (r == 0 && chunk_name_equal(should, &is))
                return 1;
        index_distrust(s->chunks->index, c->place);
        return 0;
}

/* Puts it aside until its segment was read: its base may come before it, and be healed with it. */
static int scrub_defer(struct scrub *s, uint64_t place, const struct chunk_name *name)
{
        if (s->n_sick == SCRUB_SICK_MAX || !chunk_name_is_known(name))
                return scrub_note(s, place);
        if (!s->sick) {
                s->sick = calloc(SCRUB_SICK_MAX, sizeof(*s->sick));
                if (!s->sick)
                        return -ENOMEM;
        }
        s->sick[s->n_sick++] = (struct heal_chunk){ .place = place, .name = *name };
        return 0;
}

/* Heals what it can of that, and notes the rest. A disk that is full, or does not take writes, heals nothing. */
static int scrub_heal(struct scrub *s)
{
        const size_t n = s->n_sick;
        size_t healed = 0;
        int r = 0;

        s->n_sick = 0;
        if (n > 0 && s->ops->find)
                r = heal_chunks(s->store, s->sick, n, s->ops, &healed);
        if (r == -ENOMEM)
                return r;
        r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = s->sick[i].healed ? 0 : scrub_note(s, s->sick[i].place);
        if (healed > 0)
                s->ops->healed(s->ops->ctx, SCRUB_HEALED_CHUNKS, healed);
        return r;
}

/* Made again, or else told of. */
static int scrub_lost_table(struct scrub *s, uint32_t segment, const char *what)
{
        int r = s->ops->find ? heal_table(s->store, segment) : 0;

        if (r > 0)
                s->ops->healed(s->ops->ctx, SCRUB_HEALED_TABLES, 1);
        else if (r == 0)
                scrub_report(s, BLOBSTORE_PROBLEM_INDEX, NULL, "moved/%08x is %s", segment, what);
        return r < 0 ? r : 0;
}

/* Is there a table that tells where it lies? One that is damaged is found when all are looked at. */
static int scrub_place(struct scrub *s, const struct index_chunk *c)
{
        const uint32_t segment = place_segment(c->place);
        struct moved_chunk moved;

        if (c->at == c->place || segment == s->no_table || moves_find(s->chunks->moves, c->place, &moved) != 0)
                return 0;
        s->no_table = segment;
        return scrub_lost_table(s, segment, "missing, or a part of it");
}

/* Reads a few chunks behind AFTER, which stay there while they are read. Gives how many, and where the last lies. */
static int scrub_some_chunks(struct scrub *s, uint32_t id, const struct footer *footer, uint64_t *after)
{
        struct index_chunk page[SCRUB_PAGE];
        struct index_writer hold;
        struct chunk_name name;
        uint64_t bytes = 0;
        int n, r = 0;

        index_writer_begin(s->chunks->index, &hold);
        n = index_chunks_in(s->chunks->index, id, *after, page, SCRUB_PAGE);
        for (int i = 0; i < n && r >= 0; i++) {
                if (page[i].raw_len == 0) /* of a base that only others' payloads name, it is read with them */
                        continue;
                bytes += page[i].stored_len;
                name = scrub_name_of(&page[i], footer);
                r = scrub_place(s, &page[i]);
                if (r == 0)
                        r = scrub_chunk(s, &page[i], &name);
                if (r == 0)
                        r = scrub_defer(s, page[i].place, &name);
        }
        index_writer_end(s->chunks->index, &hold);
        if (n <= 0 || r < 0)
                return n < 0 ? n : r < 0 ? r : 0;
        *after = page[n - 1].at;
        r = scrub_pace(s, bytes);
        return r < 0 ? r : n;
}

/*
 * Is it being given back, or was when the power went? Its bytes go before its row does. One that is gone while something lives in it
 * is told of by what is lost.
 */
static int scrub_is_going(struct scrub *s, uint32_t id)
{
        struct index_chunk alive;
        uint64_t size, allocated;
        int r;

        r = segments_stat(s->chunks->segments, id, &size, &allocated);
        if (r != -ENOENT)
                return r < 0 ? r : 0;
        r = index_chunks_in(s->chunks->index, id, 0, &alive, 1);
        return r < 0 ? r : r == 0;
}

/* What a sealed segment says of itself, if it can be read; else that is told. */
static int scrub_describe(struct scrub *s, const struct segment_state *segment, struct footer *ret)
{
        int r, going;

        if (!segment->sealed)
                return 0;
        r = segments_describe(s->chunks->segments, segment->id, ret);
        if (r == 0 || (r != -ENOENT && !scrub_is_damage(r)))
                return r;
        going = scrub_is_going(s, segment->id);
        if (going < 0)
                return going;
        if (!going)
                scrub_report(s, BLOBSTORE_PROBLEM_INDEX, NULL, "segment %08x does not say what is in it: %s",
                             segment->id, r == -ENOENT ? "its end is missing" : strerror(-r));
        return 0;
}

static int scrub_segment(struct scrub *s, const struct segment_state *segment)
{
        CLEANUP(footer_done) struct footer footer = { 0 };
        uint64_t after = 0;
        int r;

        segments_drop_cached(s->chunks->segments, segment->id);
        r = scrub_describe(s, segment, &footer);
        if (r < 0)
                return r;
        while ((r = scrub_some_chunks(s, segment->id, &footer, &after)) > 0)
                ;
        segments_drop_cached(s->chunks->segments, segment->id); /* nobody else wanted it */
        return r < 0 ? r : scrub_heal(s);
}

/* A moves_each_fn. Readers go by the index where such a table is damaged, as where it is missing. */
static int scrub_table(void *ctx, uint32_t segment)
{
        struct scrub *s = ctx;
        int r = moves_verify(s->chunks->moves, segment);

        if (!scrub_is_damage(r))
                return r;
        return scrub_lost_table(s, segment, "damaged");
}

static int scrub_segments(struct scrub *s)
{
        struct segment_state segment;
        int r;

        while ((r = index_segment_next(s->chunks->index, s->pos.segment, &segment)) > 0) {
                r = scrub_segment(s, &segment);
                if (r < 0)
                        return r;
                s->pos.segment = segment.id;
                if (s->untold && s->read - s->told_at >= s->telling)
                        r = scrub_tell(s);
                if (r == 0 && !s->untold)
                        r = s->ops->reached(s->ops->ctx, &s->pos);
                if (r < 0)
                        return r;
        }
        return r;
}

static int scrub_run(struct scrub *s)
{
        int r = 0;

        if (s->pos.stage == SCRUB_SEGMENTS) {
                r = scrub_segments(s);
                if (r == 0)
                        r = moves_each(s->chunks->moves, scrub_table, s);
                if (r == 0 && s->untold)
                        r = scrub_tell(s);
                if (r < 0)
                        return r;
                s->pos = (struct scrub_position){ .stage = SCRUB_MAPS };
        }
        r = scrub_maps(s);
        return r < 0 ? r : s->ops->reached(s->ops->ctx, &(struct scrub_position){ .stage = SCRUB_DONE });
}

int blob_scrub(struct blobstore *bs, const struct scrub_position *pos, const struct scrub_ops *ops)
{
        struct scrub *s = calloc(1, sizeof(*s)); /* with its buffer too much for a stack */
        int r;

        if (!s)
                return -ENOMEM;
        s->store = bs;
        s->chunks = bs->chunks;
        s->ops = ops;
        s->pos = *pos;
        r = bs->chunks->index ? scrub_run(s) : -EBADMSG;
        free(s->bad);
        free(s->sick);
        free(s);
        return r;
}

struct scrub_left {
        uint32_t after;
        uint64_t bytes;
};

static int scrub_add_segment(void *ctx, const struct segment_state *segment)
{
        struct scrub_left *left = ctx;

        left->bytes += segment->id > left->after ? segment->end : 0;
        return 0;
}

int blob_scrub_left(struct blobstore *bs, const struct scrub_position *pos, uint64_t *ret)
{
        struct scrub_left left = { .after = pos->segment };
        int r = 0;

        if (!bs->chunks->index)
                return -EBADMSG;
        if (pos->stage == SCRUB_SEGMENTS) /* maps are a thousandth of that */
                r = index_segment_each(bs->chunks->index, scrub_add_segment, &left);
        if (r == 0)
                *ret = left.bytes;
        return r;
}
