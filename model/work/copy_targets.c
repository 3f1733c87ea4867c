/* SPDX-License-Identifier: MIT */
/* Where an image could be copied to: the quotas of every other region, and what a copy would take there. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "model/core/quota.h"
#include "model/core/region.h"
#include "model/image/image_disk_row.h"
#include "model/image/image_row.h"
#include "model/image/snapshot.h"
#include "model/work/copy.h"

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
static int sum_data(struct model *m, const struct disk_list *disks, uint64_t *ret)
{
        struct snapshot snapshot;
        uint64_t bytes = 0;
        int r;

        for (size_t i = 0; i < disks->n; i++) {
                if (disks->disk[i].snapshot == 0)
                        continue;

                r = snapshot_get(m, disks->disk[i].snapshot, &snapshot);
                if (r < 0)
                        return r;

                bytes += snapshot.blob.data_bytes;
        }

        *ret = bytes;
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

int image_copy_targets(struct model *m, const struct caller *c, uint64_t id, copy_target_fn *fn, void *ctx)
{
        CLEANUP(region_ids_done) struct region_ids regions = { 0 };
        struct disk_list disks;
        struct image image;
        uint64_t store, data_bytes;
        uid_t uid;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r < 0)
                        return r;

                r = image_load_with_store(&t, id, &image, &store);
                if (r < 0)
                        return r;

                r = disk_list_load(&t, id, &disks);
                if (r < 0)
                        return r;
        }

        /* One that can never be copied has no targets. */
        if (image.class != CLASS_PRIVATE || image.type != TYPE_CLOUD)
                return 0;

        /* a copy is the owner's, whoever makes it; who can make none is not told what the owner has */
        uid = object_allows(&image.o, c, 03) ? image.o.uid : c->uid;

        r = sum_data(m, &disks, &data_bytes);
        if (r < 0)
                return r;

        r = region_each(m, collect_region, &regions);
        if (r < 0)
                return r;

        for (size_t i = 0; i < regions.n; i++) {
                struct copy_target target = { .needs_snapshots = disks.n };

                if (regions.id[i] == image.region)
                        continue;

                r = fill_target(m, uid, regions.id[i], store, data_bytes, &target);
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
