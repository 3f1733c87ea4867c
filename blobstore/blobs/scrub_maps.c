/* SPDX-License-Identifier: MIT */

/*
 * The maps of a pass. Each map's own pages are read once, whoever borrows them. When something was found to be damaged,
 * all that blobs are made of is gone through, borrowed pages too, and what is damaged is read once more: that
 * decides what is told, and of whom.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/lend_priv.h"
#include "blobstore/blobs/map_file_priv.h"
#include "blobstore/blobs/scrub_priv.h"

/* Some at a time; what comes or goes meanwhile is the next pass's. */
#define SCRUB_BLOBS 64
/* Pages of a map that are read before somebody is asked whether to go on. */
#define SCRUB_ROWS 128

int scrub_pace(struct scrub *s, uint64_t n)
{
        s->read += n;
        return s->ops->pace(s->ops->ctx, n);
}

void scrub_report(struct scrub *s, enum blobstore_problem kind, const struct blob_id *id, const char *fmt, ...)
{
        char text[256];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap); /* cut, if it must be */
        va_end(ap);
        s->ops->problem(s->ops->ctx, kind, id, text);
}

/* DEAD: as one that others may borrow of. */
static bool scrub_is_there(struct scrub *s, const struct blob_id *id, bool dead)
{
        struct index_blob row;

        return index_blob_get(s->chunks->index, id, &row) == 0 && (dead || row.state == BLOB_LIVE);
}

/* Of a blob that is pinned. 1: open; 0: it is gone, or was never there; -EBADMSG, *RET_WHAT says why it cannot be. */
static int scrub_open_map(struct scrub *s, const struct blob_id *id, bool dead, struct map **ret,
                          const char **ret_what)
{
        int r = map_file_open(s->store, id, dead, ret);

        if (r == 0)
                return 1;
        if (r == -ENOENT && !scrub_is_there(s, id, dead))
                return 0;
        if (r != -ENOENT && !scrub_is_damage(r))
                return r;
        *ret_what = r == -ENOENT ? "the map is missing" :
                    r == -EIO    ? "the map cannot be read from the disk" :
                                   "the map is damaged";
        return -EBADMSG;
}

static int compare_places(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

struct scrub_found {
        uint64_t n_bad, first_bad; /* its byte */
        bool damaged;              /* a page cannot be read */
};

/* Whole again, by what else is known of the blob? */
static int scrub_heal_in(struct scrub *s, const struct map *map, const struct map_entry *e, const struct blob_id *id)
{
        struct heal_chunk c = { .place = e->place };
        int r;

        if (!s->ops->find)
                return 0;
        r = scrub_name_at(s->chunks, e->place, &c.name);
        if (r < 0 || !chunk_name_is_known(&c.name) || e->offset < e->skip)
                return r == -ENOMEM ? r : 0;
        r = heal_in_blob(s->store, &c, id, map_info(map)->size_bytes, e->offset - e->skip, e->raw_len, s->ops, s->buffer);
        s->healed += r > 0;
        return r;
}

/* Puts the cursor before a row's page, which is healed where TELLING of a blob. */
static int scrub_seek(struct scrub *s, const struct map *map, uint64_t row, const struct blob_id *telling, struct map_cursor *ret)
{
        int healed, r;

        r = map_seek_row(map, row, ret);
        if (!telling || !s->ops->find || (!scrub_is_damage(r) && r != -ENOENT))
                return r;
        healed = heal_page(s->store, map, row, telling, s->ops, s->buffer);
        if (healed <= 0)
                return healed < 0 ? healed : r;
        s->healed_maps++;
        return map_seek_row(map, row, ret);
}

/* All entries of a row's page; those of bad chunks are read again where TELLING of a blob. */
static int scrub_row(struct scrub *s, const struct map *map, uint64_t row, const struct blob_id *telling, struct scrub_found *f)
{
        struct map_cursor cursor;
        struct map_page page;
        struct map_entry e;
        int r;

        (void)map_row_get(map, row, &page);
        r = scrub_seek(s, map, row, telling, &cursor);
        for (unsigned i = 0; r >= 0 && i < page.entries; i++) {
                r = map_next(&cursor, &e);
                if (r <= 0 || !telling || s->n_bad == 0 ||
                    !bsearch(&e.place, s->bad, s->n_bad, sizeof(*s->bad), compare_places))
                        continue;
                r = chunk_store_read(s->chunks, e.place, e.stored_len, &e.name, s->buffer, e.raw_len);
                if (!scrub_is_damage(r))
                        continue;
                r = scrub_heal_in(s, map, &e, telling);
                if (r == 0 && f->n_bad++ == 0)
                        f->first_bad = e.offset;
        }
        if (scrub_is_damage(r) || r == -ENOENT) /* -ENOENT: the lender's file */
                f->damaged = true;
        else if (r < 0)
                return r;
        return 0;
}

/* ---- what each map owns ---- */

static int scrub_own(struct scrub *s, const struct map *map, struct lent *lent, struct scrub_found *f)
{
        struct map_page page;
        uint64_t pages = 0;
        int r = 0;

        for (uint64_t row = 0; r >= 0 && row < map_rows(map); row++) {
                if (!map_row_get(map, row, &page))
                        continue;
                r = lent ? lent_has(lent, page.page) : 1;
                if (r > 0)
                        r = scrub_row(s, map, row, NULL, f);
                if (r == 0 && ++pages % SCRUB_ROWS == 0)
                        r = scrub_pace(s, SCRUB_ROWS * MAP_PAGE_SIZE);
        }
        return r < 0 ? r : scrub_pace(s, pages % SCRUB_ROWS * MAP_PAGE_SIZE);
}

static int scrub_map(struct scrub *s, const struct blob_id *id, bool dead)
{
        CLEANUP(blob_closep) struct blob *pin = NULL;
        CLEANUP(map_closep) struct map *map = NULL;
        struct lent lent = { .index = s->chunks->index, .lender = *id };
        struct scrub_found f = { 0 };
        const char *what;
        int r;

        r = dead ? 0 : blob_pin(s->store, id, &pin);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        map_file_drop_cached(s->store, id, dead);
        r = scrub_open_map(s, id, dead, &map, &what);
        if (r > 0)
                r = scrub_own(s, map, dead ? &lent : NULL, &f);
        if (r == -EBADMSG || f.damaged) {
                s->untold = true; /* it is told with those that borrow of it */
                return 0;
        }
        return r;
}

static int scrub_stage_maps(struct scrub *s)
{
        const bool live = s->pos.stage == SCRUB_MAPS;
        struct index_blob page[SCRUB_BLOBS];
        int n, r = 0;

        while ((n = index_blob_list(s->chunks->index, live, &s->pos.map, page, SCRUB_BLOBS)) > 0) {
                for (int i = 0; r == 0 && i < n; i++)
                        r = scrub_map(s, &page[i].id, !live);
                if (r < 0)
                        return r;
                s->pos.map = page[n - 1].id;
                if (s->untold)
                        continue; /* told at the end: what the position stays before is not read long */
                r = s->ops->reached(s->ops->ctx, &s->pos);
                if (r < 0)
                        return r;
        }
        return n;
}

int scrub_maps(struct scrub *s)
{
        int r = 0;

        for (; r == 0 && s->pos.stage < SCRUB_DONE; s->pos = (struct scrub_position){ .stage = s->pos.stage + 1 })
                r = scrub_stage_maps(s);
        return r == 0 && s->untold ? scrub_tell(s) : r;
}

/* ---- whose it is ---- */

static int scrub_tell_blob(struct scrub *s, const struct blob_id *id)
{
        CLEANUP(blob_closep) struct blob *pin = NULL;
        CLEANUP(map_closep) struct map *map = NULL;
        struct scrub_found f = { 0 };
        const char *what;
        int r;

        r = blob_pin(s->store, id, &pin);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = scrub_open_map(s, id, false, &map, &what);
        if (r == -EBADMSG && s->ops->find && (r = heal_map(s->store, id)) >= 0) {
                s->healed_maps += r > 0;
                r = scrub_open_map(s, id, false, &map, &what);
        }
        if (r == -EBADMSG)
                scrub_report(s, BLOBSTORE_PROBLEM_MAP, id, "%s", what);
        if (r <= 0)
                return r == -EBADMSG ? 0 : r;
        r = 0;
        for (uint64_t row = 0; r == 0 && row < map_rows(map); row++) {
                r = scrub_row(s, map, row, id, &f);
                if (r == 0 && (row + 1) % SCRUB_ROWS == 0)
                        r = scrub_pace(s, SCRUB_ROWS * MAP_PAGE_SIZE);
        }
        if (r < 0)
                return r;
        if (f.damaged)
                scrub_report(s, BLOBSTORE_PROBLEM_MAP, id, "the map is damaged in part");
        if (f.n_bad)
                scrub_report(s, BLOBSTORE_PROBLEM_CHUNK, id,
                             "%" PRIu64 " chunks are missing or damaged, the first one at byte %" PRIu64, f.n_bad,
                             f.first_bad);
        return scrub_pace(s, map_rows(map) % SCRUB_ROWS * MAP_PAGE_SIZE);
}

int scrub_tell(struct scrub *s)
{
        struct index_blob page[SCRUB_BLOBS];
        struct blob_id after = { 0 };
        uint64_t began = s->read;
        int n, r = 0;

        while ((n = index_blob_list(s->chunks->index, true, &after, page, SCRUB_BLOBS)) > 0) {
                for (int i = 0; r == 0 && i < n; i++)
                        r = scrub_tell_blob(s, &page[i].id);
                if (r < 0)
                        return r;
                after = page[n - 1].id;
        }
        if (n < 0)
                return n;
        if (s->healed > 0)
                s->ops->healed(s->ops->ctx, SCRUB_HEALED_CHUNKS, s->healed);
        if (s->healed_maps > 0)
                s->ops->healed(s->ops->ctx, SCRUB_HEALED_MAPS, s->healed_maps);
        s->healed = s->healed_maps = 0;
        s->untold = false;
        s->telling = s->read - began;
        s->told_at = s->read;
        return 0;
}
