/* SPDX-License-Identifier: MIT */
/*
 * Counts by chunk, since references do not tell who they are from: a chunk is looked up by its place in a table that has
 * who had it first and who had it last. Images come region by region, so that who is last tells of a region, too, whether
 * it had the chunk before; last come blobs that no image has: snapshots', and what machines' disks were cloned from.
 *
 * Where the table would be too large the maps are read as often as it takes, each time for a part of the chunks.
 */

#include "model/usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/blob_row.h"
#include "model/core/stores.h"
#include "model/usage_rows.h"

/* ---- chunks ---- */

#define SHARED_BY_IMAGES  (UINT32_C(1) << 31)
#define SHARED_BY_REGIONS (UINT32_C(1) << 30)
#define OWNER_MASK        (SHARED_BY_REGIONS - 1)

struct chunk {
        uint64_t place; /* 0: free */
        uint32_t first; /* the number of an image, and what is known of the others */
        uint32_t last;
};

struct table {
        struct chunk *slots;
        size_t n, size; /* a power of two */
};

static uint64_t mixed(uint64_t place)
{
        return place * UINT64_C(0x9e3779b97f4a7c15);
}

static struct chunk *table_find(const struct table *t, uint64_t place)
{
        size_t i = (size_t)(mixed(place) >> 20) & (t->size - 1);

        while (t->slots[i].place && t->slots[i].place != place)
                i = (i + 1) & (t->size - 1);
        return &t->slots[i];
}

static int table_grow(struct table *t)
{
        struct table larger = { .n = t->n, .size = t->size ? 2 * t->size : 4096 };

        larger.slots = calloc(larger.size, sizeof(*larger.slots));
        if (!larger.slots)
                return -ENOMEM;
        for (size_t i = 0; i < t->size; i++)
                if (t->slots[i].place)
                        *table_find(&larger, t->slots[i].place) = t->slots[i];
        free(t->slots);
        *t = larger;
        return 0;
}

/* ---- who has them ---- */

struct blob_use {
        uint64_t blob, store;
        uint32_t image; /* the number of images: none */
};

struct counting {
        struct model *m;
        struct usage *u;
        struct blob_use *uses;
        size_t n_uses, size_uses, size_images, size_regions;
        struct table chunks; /* of one store, and of one pass */
        unsigned pass, passes; /* which of them, of how many */
        uint32_t image; /* whose chunks come */
        struct usage_part nobody; /* of what no image has */
};

static struct usage_part *image_part(struct counting *c, uint32_t image)
{
        return image < c->u->n_images ? &c->u->images[image].part : &c->nobody;
}

/* Those without an image are of a region of their own. */
static size_t region_of(const struct counting *c, uint32_t image)
{
        return image < c->u->n_images ? c->u->images[image].region : c->u->n_regions;
}

static struct usage_part *region_part(struct counting *c, uint32_t image)
{
        const size_t region = region_of(c, image);

        return region < c->u->n_regions ? &c->u->regions[region].part : &c->nobody;
}

static void part_add(struct usage_part *p, const struct blob_chunk *b)
{
        p->unique += b->raw_len;
        p->stored += b->stored_len;
}

/* They turned out to be others', too. */
static void part_share(struct usage_part *p, const struct blob_chunk *b)
{
        p->unique -= b->raw_len;
        p->stored -= b->stored_len;
        p->shared += b->raw_len;
}

static int count_chunk(void *ctx, const struct blob_chunk *b)
{
        struct counting *c = ctx;
        struct chunk *k;
        int r;

        if ((mixed(b->place) >> 48) % c->passes != c->pass)
                return 0;
        if (c->chunks.n * 3 >= c->chunks.size * 2) {
                r = table_grow(&c->chunks);
                if (r < 0)
                        return r;
        }
        k = table_find(&c->chunks, b->place);
        if (!k->place) {
                *k = (struct chunk){ .place = b->place, .first = c->image, .last = c->image };
                c->chunks.n++;
                part_add(image_part(c, c->image), b);
                part_add(region_part(c, c->image), b);
                return 0;
        }
        if (k->last == c->image)
                return 0;
        if (!(k->first & SHARED_BY_IMAGES))
                part_share(image_part(c, k->first & OWNER_MASK), b);
        k->first |= SHARED_BY_IMAGES;
        image_part(c, c->image)->shared += b->raw_len;
        if (region_of(c, k->last) != region_of(c, c->image)) {
                if (!(k->first & SHARED_BY_REGIONS))
                        part_share(region_part(c, k->first & OWNER_MASK), b);
                k->first |= SHARED_BY_REGIONS;
                region_part(c, c->image)->shared += b->raw_len;
        }
        k->last = c->image;
        return 0;
}

/* ---- the catalogue ---- */

/* ARRAY with room for one more than N, wherever it is then. NULL: there is no memory, and it is as it was. */
static void *room_for(void *array, size_t *size, size_t n, size_t each)
{
        void *larger;

        if (n < *size)
                return array;
        larger = reallocarray(array, n ? 2 * n : 16, each);
        if (larger)
                *size = n ? 2 * n : 16;
        return larger;
}

static int take_region(void *ctx, const struct db_row *row)
{
        struct counting *c = ctx;
        struct usage_region *region = room_for(c->u->regions, &c->size_regions, c->u->n_regions, sizeof(*region));

        if (!region)
                return -ENOMEM;
        c->u->regions = region;
        region += c->u->n_regions++;
        *region = (struct usage_region){ .id = (uint64_t)db_row_int(row, 0) };
        db_row_text(row, 1, region->handle, sizeof(region->handle));
        return 0;
}

static int take_use(struct counting *c, uint64_t blob, uint64_t store, uint32_t image)
{
        struct blob_use *uses = room_for(c->uses, &c->size_uses, c->n_uses, sizeof(*uses));

        if (!uses)
                return -ENOMEM;
        c->uses = uses;
        c->uses[c->n_uses++] = (struct blob_use){ .blob = blob, .store = store, .image = image };
        return 0;
}

static int take_disk(void *ctx, const struct db_row *row)
{
        const uint64_t id = (uint64_t)db_row_int(row, 1);
        struct counting *c = ctx;
        struct usage *u = c->u;
        struct usage_image *image;
        struct usage_part *region;

        if (u->n_images == 0 || u->images[u->n_images - 1].id != id) {
                image = u->n_images < OWNER_MASK ? room_for(u->images, &c->size_images, u->n_images, sizeof(*image)) : NULL;
                if (!image)
                        return -ENOMEM;
                u->images = image;
                image += u->n_images++;
                *image = (struct usage_image){ .id = id, .region = u->n_images > 1 ? image[-1].region : 0 };
                while (u->regions[image->region].id != (uint64_t)db_row_int(row, 0)) /* they are in the same order */
                        image->region++;
                db_row_text(row, 2, image->class, sizeof(image->class));
                db_row_text(row, 3, image->handle, sizeof(image->handle));
        }
        if (db_row_is_null(row, 4))
                return 0;
        image = &u->images[u->n_images - 1];
        region = &u->regions[image->region].part;
        image->part.size += (uint64_t)db_row_int(row, 6);
        image->part.logical += (uint64_t)db_row_int(row, 7);
        region->size += (uint64_t)db_row_int(row, 6);
        region->logical += (uint64_t)db_row_int(row, 7);
        return take_use(c, (uint64_t)db_row_int(row, 4), (uint64_t)db_row_int(row, 5), (uint32_t)(u->n_images - 1));
}

static int take_other(void *ctx, const struct db_row *row)
{
        struct counting *c = ctx;

        return take_use(c, (uint64_t)db_row_int(row, 0), (uint64_t)db_row_int(row, 1), (uint32_t)c->u->n_images);
}

static int load_catalogue(struct counting *c)
{
        int r;
        DB_TXN(t);

        r = db_begin(c->m->db, DB_READ, &t);
        if (r == 0)
                r = db_each(&t, usage_rows_sql[USAGE_REGIONS], take_region, c);
        if (r == 0)
                r = db_each(&t, usage_rows_sql[USAGE_DISKS], take_disk, c);
        if (r == 0)
                r = db_each(&t, usage_rows_sql[USAGE_OTHERS], take_other, c);
        return r;
}

/* ---- all of it ---- */

struct walk {
        struct counting *c;
        model_progress_fn *progress;
        void *ctx;
        uint64_t done;
};

/* A blob that cannot be read is the check's to tell of. */
static int walk_pass(struct walk *w, uint64_t store)
{
        struct counting *c = w->c;
        int r = 0;

        for (size_t i = 0; i < c->n_uses && r == 0; i++) {
                struct blob *b;

                if (c->uses[i].store != store)
                        continue;
                c->image = c->uses[i].image;
                r = blob_row_open(c->m, c->uses[i].blob, NULL, &b);
                if (r == 0) {
                        r = blob_each_chunk(b, count_chunk, c);
                        blob_close(b);
                }
                if (r < 0 && r != -ENOMEM) {
                        c->u->unread += c->pass == 0;
                        r = 0;
                }
                if (w->progress)
                        w->progress(w->ctx, "maps", ++w->done, c->n_uses * c->passes);
        }
        free(TAKE_PTR(c->chunks.slots));
        c->chunks = (struct table){ 0 };
        return r;
}

static int walk_store(void *ctx, uint64_t store, struct blobstore *bs)
{
        struct walk *w = ctx;
        int r = 0;

        (void)bs;
        for (w->c->pass = 0; w->c->pass < w->c->passes && r == 0; w->c->pass++)
                r = walk_pass(w, store);
        return r;
}

/* As many as there are parts of the chunks, all stores' taken for one's. */
static unsigned count_passes(const struct model_stats *total, size_t at_once)
{
        const uint64_t passes = total->blobs.chunks / at_once + 1;

        return passes < UINT16_MAX ? (unsigned)passes : UINT16_MAX;
}

int model_usage(const char *dir, size_t at_once, model_progress_fn *progress, void *ctx, struct diag *diag,
                struct usage *ret)
{
        struct usage u = { 0 };
        struct counting c = { .u = &u };
        struct walk w = { .c = &c, .progress = progress, .ctx = ctx };
        int r;

        r = model_open(dir, &(struct model_opts){ .read_only = true, .idle = true }, diag, &c.m);
        if (r < 0)
                return r;
        r = model_get_stats(c.m, &u.total);
        c.passes = count_passes(&u.total, at_once);
        if (r == 0)
                r = load_catalogue(&c);
        if (r == 0)
                r = stores_each(c.m, walk_store, &w);
        model_close(c.m);
        free(c.uses);
        if (r < 0) {
                usage_done(&u);
                return diag_set(diag, r, "%s: cannot be counted: %s", dir, strerror(-r));
        }
        *ret = u;
        return 0;
}

void usage_done(struct usage *u)
{
        free(u->regions);
        free(u->images);
}
