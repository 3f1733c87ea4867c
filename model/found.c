/* SPDX-License-Identifier: MIT */

/*
 * An image for a blob that was found goes the way of every other: it is made private and goes to the recycle bin, in
 * one transaction, so that mv brings it back and its time runs from now.
 */

#include "model/found.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/strbuf.h"
#include "blobstore/disks/disk.h"
#include "model/check_rules.h"
#include "model/core/blob_row.h"
#include "model/core/clock.h"
#include "model/core/stores.h"
#include "model/core/unnamed.h"
#include "model/image/image_disk_row.h"
#include "model/image/image_row.h"
#include "model/model.h"

#define ID_HEX (2 * BLOB_ID_SIZE)

struct thing {
        struct blob_id id;
        uint64_t size_bytes;
};

struct region {
        uint64_t id; /* 0: none uses the store */
        char handle[NAME_LEN_MAX + 1];
};

struct finder {
        struct model *m;
        found_fn *fn;
        void *ctx;
        bool name;   /* or only list */
        bool remake; /* the indices of stores */
        int n;       /* found, or named */

        /* of the store that is being looked at */
        uint64_t store;
        struct blobstore *bs;
        char path[PATH_MAX];
        struct region region;
        struct thing *blob; /* all of them, and then those that nothing names */
        size_t n_blobs, size;
};

static int say(struct finder *f, struct strbuf *line)
{
        if (strbuf_error(line) == 0)
                f->fn(f->ctx, strbuf_text(line));
        return strbuf_error(line);
}

/* ---- what is there, and named ---- */

static int collect_blob(void *ctx, const struct blob_id *id, const struct blob_info *info)
{
        struct finder *f = ctx;

        if (f->n_blobs == f->size) {
                size_t size = f->size ? 2 * f->size : 64;
                struct thing *blob = reallocarray(f->blob, size, sizeof(*blob));

                if (!blob)
                        return -ENOMEM;
                f->blob = blob;
                f->size = size;
        }
        f->blob[f->n_blobs++] = (struct thing){ .id = *id, .size_bytes = info->size_bytes };
        return 0;
}

static int keep_unnamed(struct finder *f)
{
        size_t n = 0;
        int64_t row;
        DB_TXN(t);
        int r;

        r = db_begin(f->m->db, DB_READ, &t);
        for (size_t i = 0; r == 0 && i < f->n_blobs; i++) {
                const struct blob_id *id = &f->blob[i].id;

                r = db_int(&t, check_sql[CHECK_BLOB_ID], &row, DB_INT(f->store), DB_BLOB(id->bytes, sizeof(id->bytes)));
                if (r != -ENOENT)
                        continue;
                f->blob[n++] = f->blob[i];
                r = 0;
        }
        f->n_blobs = n;
        return r;
}

static int take_region(void *ctx, const struct db_row *row)
{
        struct region *region = ctx;

        region->id = (uint64_t)db_row_int(row, 0);
        db_row_text(row, 1, region->handle, sizeof(region->handle));
        return 0;
}

static int find_region(struct finder *f)
{
        DB_TXN(t);
        int r;

        f->region = (struct region){ 0 };
        r = db_begin(f->m->db, DB_READ, &t);
        if (r == 0)
                r = db_one(&t, check_sql[CHECK_REGION], take_region, &f->region, DB_INT(f->store));
        return r == -ENOENT ? 0 : r;
}

/* ---- listing ---- */

static int list_blob(struct finder *f, const struct thing *blob)
{
        CLEANUP_STRBUF struct strbuf line = { 0 };
        char id[ID_HEX + 1];

        put_hex(id, blob->id.bytes, sizeof(blob->id.bytes));
        strbuf_addf(&line, "blob %s in %s, %llu bytes: no image names it, and it goes when unnamed-days are over; ", id,
                    f->path, (unsigned long long)blob->size_bytes);
        if (f->region.id)
                strbuf_addf(&line, "\"imagefs check %s --repair\" makes it %s/recycle/found-%s", f->m->dir,
                            f->region.handle, id);
        else
                strbuf_add(&line, "make a region with that store first, then --repair makes it an image there");
        return say(f, &line);
}

/* A disk_each_fn. There is no telling what machine it was part of, so that a person has to look at it. */
static int list_disk(void *ctx, const struct disk_id *key)
{
        CLEANUP_STRBUF struct strbuf line = { 0 };
        struct finder *f = ctx;
        char id[2 * DISK_ID_SIZE + 1];
        int64_t named;
        int r;

        {
                DB_TXN(t);

                r = db_begin(f->m->db, DB_READ, &t);
                if (r == 0)
                        r = db_int(&t, check_sql[CHECK_NAMES_DISK], &named, DB_INT(f->store),
                                   DB_BLOB(key->bytes, sizeof(key->bytes)));
                if (r < 0 || named)
                        return r;
        }
        put_hex(id, key->bytes, sizeof(key->bytes));
        strbuf_addf(&line, "disk %s in %s: no machine and no disk names it, and it goes when unnamed-days are over", id,
                    f->path);
        f->n++;
        return say(f, &line);
}

/* ---- naming ---- */

static void fill_image(const struct finder *f, const struct thing *blob, struct image *ret)
{
        CLEANUP_STRBUF struct strbuf now = { 0 };
        char id[ID_HEX + 1];

        put_hex(id, blob->id.bytes, sizeof(blob->id.bytes));
        strbuf_add_time(&now, clock_now_us());
        *ret = (struct image){
                .region = f->region.id,
                .class = CLASS_PRIVATE,
                .source = CLASS_PRIVATE,
                .status = IMAGE_AVAILABLE,
                .type = TYPE_LOCAL,
                .format = "raw",
        };
        ret->o.uid = getuid();
        ret->o.gid = getgid();
        ret->o.mode = 0700;
        (void)snprintf(ret->o.handle, sizeof(ret->o.handle), "found-%s", id);
        (void)snprintf(ret->name, sizeof(ret->name), "found-%s", id);
        (void)snprintf(ret->description, sizeof(ret->description),
                       "found by imagefs check --repair, %s: no image named "
                       "this blob",
                       strbuf_text(&now));
}

/* The image, its disk and the blob's row, and into the recycle bin with it. */
static int insert_image(struct finder *f, const struct blob *b, struct image *image)
{
        const struct caller c = { .uid = getuid(), .gid = getgid(), .admin = true };
        const struct blob_id *id = blob_get_id(b);
        struct changes ch = { 0 };
        struct image made;
        uint64_t row;
        DB_TXN(t);
        int r;

        r = db_begin(f->m->db, DB_WRITE, &t);
        if (r == 0)
                r = image_insert(&t, image, true, NULL);
        if (r == 0)
                r = blob_row_insert(&t, f->store, b, &row);
        if (r == 0)
                r = image_disk_insert(&t, image->o.id, "vda", true, 0, row);
        if (r == 0)
                r = unnamed_forget(&t, f->store, id->bytes);
        if (r == 0)
                r = image_load(&t, image->o.id, &made);
        if (r == 0)
                r = image_remove_in(&t, &c, &made, &ch, NULL);
        if (r == 0)
                r = image_load(&t, image->o.id, image);
        return r < 0 ? r : db_commit(&t);
}

DEFINE_CLEANUP(struct blob *, blob_closep, blob_close)

/* 1: it is an image now; 0: it is left as it was. */
static int name_blob(struct finder *f, const struct thing *blob)
{
        CLEANUP_STRBUF struct strbuf line = { 0 };
        CLEANUP(blob_closep) struct blob *b = NULL;
        struct image image;
        char id[ID_HEX + 1];
        int r;

        if (!f->region.id)
                return list_blob(f, blob);
        put_hex(id, blob->id.bytes, sizeof(blob->id.bytes));
        r = blob_open(f->bs, &blob->id, &b);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                strbuf_addf(&line, "blob %s in %s: cannot be made an image: %s", id, f->path, strerror(-r));
                return say(f, &line);
        }
        fill_image(f, blob, &image);
        r = insert_image(f, b, &image);
        if (r < 0)
                return r;
        strbuf_addf(&line, "blob %s in %s is %s/recycle/%s now", id, f->path, f->region.handle, image.o.handle);
        r = say(f, &line);
        return r < 0 ? r : 1;
}

/* ---- all stores ---- */

/* A stores_fn. */
static int look_at_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct finder *f = ctx;
        int r;

        if (!stores_are_ours(f->m, id))
                return 0;
        f->store = id;
        f->bs = bs;
        f->n_blobs = 0;
        r = stores_get_path(f->m, id, f->path, sizeof(f->path));
        if (r == 0)
                r = blobstore_each(bs, collect_blob, f);
        if (r == -EBADMSG && !f->name) /* no index to list them by: model_check() says so */
                return 0;
        if (r == 0)
                r = keep_unnamed(f);
        if (r == 0)
                r = find_region(f);
        for (size_t i = 0; r >= 0 && i < f->n_blobs; i++) {
                r = f->name ? name_blob(f, &f->blob[i]) : list_blob(f, &f->blob[i]);
                f->n += f->name ? r > 0 : 1;
        }
        return r >= 0 && !f->name ? disk_each(bs, list_disk, f) : r;
}

DEFINE_CLEANUP(struct model *, model_closep, model_close)

static int look(const char *dir, struct finder *f, struct diag *diag)
{
        const struct model_opts opts = { .read_only = !f->name, .idle = true, .remake = f->remake };
        CLEANUP(model_closep) struct model *m = NULL;
        int r;

        r = model_open(dir, &opts, diag, &m);
        if (r < 0)
                return r;
        f->m = m;
        r = stores_each(m, look_at_store, f);
        free(f->blob);
        if (r < 0)
                return diag_set(diag, r, "%s: what no image names cannot be looked for to the end: %s", dir,
                                strerror(-r));
        return f->n;
}

int model_found_list(const char *dir, found_fn *fn, void *ctx, struct diag *diag)
{
        return look(dir, &(struct finder){ .fn = fn, .ctx = ctx }, diag);
}

int model_found_name(const char *dir, bool remake, found_fn *fn, void *ctx, struct diag *diag)
{
        return look(dir, &(struct finder){ .fn = fn, .ctx = ctx, .name = true, .remake = remake }, diag);
}
