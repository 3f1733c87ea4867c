/* SPDX-License-Identifier: MIT */
/* Where images could be copied to: the quotas of every other region, and what copies would take there. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "model/core/limits_row.h"
#include "model/core/quota.h"
#include "model/core/region.h"
#include "model/image/image_disk_row.h"
#include "model/image/image_row.h"
#include "model/image/snapshot.h"
#include "model/work/copy.h"

enum { BY_IDENT };
static const char *const copy_targets_sql[] = {
        [BY_IDENT] = "SELECT id FROM image WHERE ident = ?2 AND region = ?1 AND class = 'private'",
};
const struct db_statements copy_targets_statements = DB_STATEMENTS(copy_targets_sql);

struct region_ids {
        uint64_t *id;
        size_t n, size;
};

static void region_ids_done(struct region_ids *ids)
{
        free(ids->id);
}

static int collect_region(void *ctx, const struct object *o)
{
        struct region_ids *ids = ctx;

        if (ids->n == ids->size) {
                size_t size = ids->size ? 2 * ids->size : 16;
                uint64_t *id = reallocarray(ids->id, size, sizeof(*id));

                if (!id)
                        return -ENOMEM;

                ids->id = id;
                ids->size = size;
        }

        ids->id[ids->n++] = o->id;
        return 0;
}

/* What the image's disks amount to. */
static int sum_data(struct model *m, const struct disk_list *disks, uint64_t *sum)
{
        struct snapshot snapshot;
        int r;

        for (size_t i = 0; i < disks->n; i++) {
                if (disks->disk[i].snapshot == 0)
                        continue;

                r = snapshot_get(m, disks->disk[i].snapshot, &snapshot);
                if (r < 0)
                        return r;

                *sum += snapshot.blob.data_bytes;
        }

        return 0;
}

/* STORE has the bytes. */
static int fill_target(struct model *m, uid_t uid, uint64_t id, uint64_t store, uint64_t data_bytes,
                       struct copy_target *target)
{
        struct region region;
        struct quota quota;
        int r;

        r = region_get(m, id, &region);
        if (r < 0)
                return r;

        memcpy(target->region, region.o.handle, sizeof(target->region));

        r = quota_get(m, id, uid, LIMIT_PRIVATE_IMAGES, &quota);
        if (r < 0)
                return r;

        target->private_images.used = quota.used;
        target->private_images.limit = quota.limit;

        r = quota_get(m, id, uid, LIMIT_SNAPSHOTS, &quota);
        if (r < 0)
                return r;

        target->snapshots.used = quota.used;
        target->snapshots.limit = quota.limit;
        target->bytes_to_move = region.store == store ? 0 : data_bytes;
        return 0;
}

/* For whom a copy counts: it is the owner's, whoever makes it; who can make none is not told what the owner has. */
static uid_t charged_uid(const struct image *image, const struct caller *c)
{
        return object_allows(&image->o, c, 03) ? image->o.uid : c->uid;
}

/* What is to be copied, of all images. */
struct load {
        uint64_t region, store;
        uid_t uid;
        uint64_t snapshots, data_bytes;
};

/* Adds an image to it. 1: it can be; 0: never. */
static int add_image(struct model *m, const struct caller *c, uint64_t id, struct load *load)
{
        struct disk_list disks;
        struct image image;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r < 0)
                        return r;

                r = image_load_with_store(&t, id, &image, &load->store);
                if (r < 0)
                        return r;

                r = disk_list_load(&t, id, &disks);
                if (r < 0)
                        return r;
        }

        if (image.class != CLASS_PRIVATE || image.type != TYPE_CLOUD)
                return 0;

        load->region = image.region;
        load->uid = charged_uid(&image, c);
        load->snapshots += disks.n;
        r = sum_data(m, &disks, &load->data_bytes);
        return r < 0 ? r : 1;
}

int image_copy_targets(struct model *m, const struct caller *c, const uint64_t *ids, size_t n, copy_target_fn *fn,
                       void *ctx)
{
        CLEANUP(region_ids_done) struct region_ids regions = { 0 };
        struct load load = { 0 };
        int r;

        for (size_t i = 0; i < n; i++) {
                r = add_image(m, c, ids[i], &load);
                if (r <= 0)
                        return r;
        }

        r = region_each(m, collect_region, &regions);
        if (r < 0)
                return r;

        for (size_t i = 0; i < regions.n; i++) {
                struct copy_target target = { .needs_snapshots = load.snapshots };

                if (regions.id[i] == load.region)
                        continue;

                r = fill_target(m, load.uid, regions.id[i], load.store, load.data_bytes, &target);
                if (r == -ENOENT)
                        continue; /* removed meanwhile */
                if (r < 0)
                        return r;

                r = fn(ctx, &target);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* ---- selections ---- */

/* IDS, of which the caller may read all or -ENOENT, whatever the reason. */
static int check_images(struct db_txn *t, const struct caller *c, const uint64_t *ids, size_t n, struct diag *diag)
{
        struct image image;
        uid_t first = 0;
        int r;

        for (size_t i = 0; i < n; i++) {
                r = image_load(t, ids[i], &image);
                if (r < 0)
                        return r;
                if (image.class != CLASS_PRIVATE || !object_allows(&image.o, c, 05))
                        return -ENOENT;
                if (i == 0)
                        first = charged_uid(&image, c);
                else if (charged_uid(&image, c) != first)
                        return diag_set(diag, -EINVAL, "the copies would count for several users: ask for the images "
                                                       "of each by themselves");
        }
        return 0;
}

int copy_selection_check(struct model *m, const struct caller *c, const uint64_t *ids, size_t n, struct diag *diag)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : check_images(&t, c, ids, n, diag);
}

/* The one that TEXT begins with the id of; *ret_next is behind it. */
static int find_one(struct db_txn *t, uint64_t region, const char *text, const char **ret_next, int64_t *ret)
{
        const size_t len = strcspn(text, ",");
        char ident[IDENT_MAX];

        if (len >= sizeof(ident))
                return -ENOENT;
        memcpy(ident, text, len);
        ident[len] = '\0';
        *ret_next = text + len + (text[len] == ',');
        return db_int(t, copy_targets_sql[BY_IDENT], ret, DB_INT(region), DB_TEXT(ident));
}

static int find_all(struct db_txn *t, uint64_t region, const char *names, uint64_t *ids, size_t n)
{
        const char *next = names;
        int64_t id;
        int r;

        for (size_t i = 0; i < n; i++) {
                r = find_one(t, region, next, &next, &id);
                if (r < 0)
                        return r;
                ids[i] = (uint64_t)id;
        }
        return 0;
}

static int refuse_twice(const uint64_t *ids, size_t n, struct diag *diag)
{
        for (size_t i = 0; i < n; i++) {
                for (size_t j = 0; j < i; j++) {
                        if (ids[j] == ids[i])
                                return diag_set(diag, -EINVAL, "an image is named twice");
                }
        }
        return 0;
}

int copy_selection_find(struct model *m, const struct caller *c, uint64_t region, const char *names, struct diag *diag,
                        uint64_t **ret, size_t *ret_n)
{
        CLEANUP_FREE uint64_t *ids = NULL;
        DB_TXN(t);
        uint64_t limit;
        size_t n = 1;
        int r;

        for (const char *p = names; (p = strchr(p, ',')); p++)
                n++;
        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = limit_read(&t, LIMIT_IMAGES_PER_BATCH, &limit);
        if (r < 0)
                return r;
        if (n > limit)
                return diag_set(diag, -E2BIG, "%zu images at once: at most %llu are taken", n, (unsigned long long)limit);
        ids = calloc(n, sizeof(*ids));
        if (!ids)
                return -ENOMEM;
        r = find_all(&t, region, names, ids, n);
        if (r == 0)
                r = check_images(&t, c, ids, n, diag);
        if (r == 0) /* not before: who may not read an image is not told that there is one */
                r = refuse_twice(ids, n, diag);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(ids);
        *ret_n = n;
        return 0;
}
