/* SPDX-License-Identifier: MIT */
/*
 * The links in an image, to the snapshots that hold its disks: named by device.
 */

#include "fs/tree/dir.h"

static int image_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return image_get_object(rq->fs->model, oid, ret);
}

/* The image that a disk belongs to. */
static int disk_image(struct req *rq, uint64_t disk, struct object *ret)
{
        struct image_disk d;
        uint64_t image;
        int r;

        r = image_disk_get(rq->fs->model, disk, &d, &image);
        return r < 0 ? r : image_get_object(rq->fs->model, image, ret);
}

static int snapshot_link_add(void *ctx, const struct image_disk *d)
{
        const struct dir_children *v = ctx;

        if (!d->snapshot)
                return 0;
        return v->fn(v->ctx, &(struct child){ .name = d->device, .oid = d->id, .type = DT_LNK });
}

static int snapshot_links_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return image_disk_each(rq->fs->model, oid, snapshot_link_add, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int snapshot_links_find(struct req *rq, uint64_t oid, const char *name, struct child *ret,
                               struct object *ret_object)
{
        (void)ret_object;
        return dir_find_in(snapshot_links_list, rq, oid, name, ret);
}

/* From regions/<r>/<class>/<image>/snapshots/. */
static int snapshot_link_target(struct req *rq, uint64_t child, struct strbuf *out)
{
        struct image_disk d;
        uint64_t image;
        int r;

        r = image_disk_get(rq->fs->model, child, &d, &image);
        if (r < 0)
                return r;
        strbuf_addf(out, "../../../snapshots/%s", d.snapshot_handle);
        return 0;
}

const struct dir_kind dir_image_snapshots = {
        .name = "snapshots",
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = image_object,
        .child_object = disk_image,
        .list = snapshot_links_list,
        .find = snapshot_links_find,
        .target = snapshot_link_target,
};
