/* SPDX-License-Identifier: MIT */
/*
 * The way up. Fixed sub-directories have it in the tables; of children it is in the object, a row here for each kind.
 */

#include "fs/tree/parent.h"

#include "fs/tree/dir.h"
#include "fs/tree/tree.h"
#include "model/image/download.h"
#include "model/image/family.h"
#include "model/image/share.h"

typedef int up_fn(struct req *rq, uint64_t oid, struct node *ret);

static int up_top(struct req *rq, uint64_t oid, struct node *ret)
{
        (void)rq;
        (void)oid;
        ret->oid = FUSE_ROOT_ID;
        return 0;
}

static int up_image_class(struct req *rq, uint64_t oid, struct node *ret)
{
        const struct image *image;
        int r = req_image(rq, oid, &image);

        if (r == 0)
                ret->oid = dir_class_oid(image->region, image->class);
        return r;
}

/* Defines up_NAME(): the object of TYPE says in FIELD whose directory it is in. */
#define UP(name, type, field)                                                           \
        static int up_##name(struct req *rq, uint64_t oid, struct node *ret)            \
        {                                                                               \
                const struct type *o;                                                   \
                int r = req_##type(rq, oid, &o);                                        \
                                                                                        \
                if (r == 0)                                                             \
                        ret->oid = o->field;                                            \
                return r;                                                               \
        }
UP(image_region, image, region)
UP(copy, task, image)
UP(snapshot, snapshot, region)
UP(volume, volume, region)
UP(instance, instance, region)
UP(follow, follow, region)
UP(instance_image, instance, image)

static int up_image_disk(struct req *rq, uint64_t oid, struct node *ret)
{
        struct image_disk disk;

        return image_disk_get(rq->fs->model, oid, &disk, &ret->oid);
}

static int up_download(struct req *rq, uint64_t oid, struct node *ret)
{
        struct download download;
        int r = download_get(rq->fs->model, oid, &download);

        if (r == 0)
                ret->oid = download.image;
        return r;
}

static int up_share(struct req *rq, uint64_t oid, struct node *ret)
{
        struct share share;
        int r = share_get(rq->fs->model, oid, &share);

        if (r == 0)
                ret->oid = share.image;
        return r;
}

static int up_family(struct req *rq, uint64_t oid, struct node *ret)
{
        struct family family;
        int r = family_get(rq->fs->model, oid, &family);

        if (r == 0)
                ret->oid = family.region;
        return r;
}

static const struct {
        enum node_kind kind;
        enum node_kind up;
        up_fn *fn;
} ups[] = {
        { KIND_REGION, KIND_REGIONS, up_top },
        { KIND_TASK, KIND_TASKS, up_top },
        { KIND_IMAGE, KIND_IMAGES, up_image_class },
        { KIND_IMAGE_DISK, KIND_IMAGE_DISKS, up_image_disk },
        { KIND_COPY, KIND_COPIES, up_copy },
        { KIND_DOWNLOAD, KIND_DOWNLOADS, up_download },
        { KIND_SHARE, KIND_SHARES, up_share },
        { KIND_FAMILY, KIND_FAMILIES, up_family },
        { KIND_FOLLOW, KIND_FOLLOWS, up_follow },
        { KIND_SHARED_IMAGE, KIND_SHARED, up_image_region },
        { KIND_SHARED_INSTANCE, KIND_SHARED_INSTANCES, up_instance_image },
        { KIND_IMAGE_INSTANCE, KIND_IMAGE_INSTANCES, up_instance_image },
        { KIND_SNAPSHOT, KIND_SNAPSHOTS, up_snapshot },
        { KIND_VOLUME, KIND_VOLUMES, up_volume },
        { KIND_INSTANCE, KIND_INSTANCES, up_instance },
};

/* Images have places, and all below them is at the same one; what they lie in has none. */
static unsigned place_above(struct node n)
{
        return n.kind == KIND_IMAGE || n.kind == KIND_SHARED_IMAGE ? 0 : n.place;
}

int parent_find(struct req *rq, struct node n, struct node *ret)
{
        int r;

        *ret = (struct node){ .kind = KIND_ROOT, .oid = FUSE_ROOT_ID };
        if (n.kind == KIND_ROOT || tree_subdir_of(n, ret))
                return 0;
        for (size_t i = 0; i < sizeof(ups) / sizeof(ups[0]); i++) {
                if (ups[i].kind != n.kind)
                        continue;
                *ret = (struct node){ .kind = ups[i].up, .place = place_above(n) };
                r = ups[i].fn(rq, n.oid, ret);
                return r == -ENOENT || (r == 0 && !ret->oid) ? -ESTALE : r;
        }
        return -ESTALE;
}
