/* SPDX-License-Identifier: MIT */
/*
 * guest/ of images, where they are shared, and of snapshots. What is in it is no table's: requests on it are answered by
 * ops/guest.c. Here is whose it is, for who may come in: those who may read the disk, whatever modes the guest's files have.
 */

#include "fs/tree/dir.h"
#include "fs/tree/guest.h"

/* The disk that it is on. -ENOENT: the slot is nobody's. */
static int find_disk(struct req *rq, enum node_kind kind, uint64_t oid, uint64_t *ret)
{
        struct guest_at at;
        const struct node n = { .kind = kind, .oid = oid };

        if (!rq->fs->guest_find_slot || !rq->fs->guest_find_slot(rq->fs, n, &at))
                return -ENOENT;
        *ret = at.id;
        return 0;
}

static int find_image(struct req *rq, enum node_kind kind, uint64_t oid, uint64_t *ret)
{
        struct image_disk d;
        uint64_t disk;
        int r;

        *ret = oid >> 1;
        if (!(oid & 1))
                return 0;
        r = find_disk(rq, kind, oid, &disk);
        return r < 0 ? r : image_disk_get(rq->fs->model, disk, &d, ret);
}

static int image_guest_object(struct req *rq, uint64_t oid, struct object *ret)
{
        uint64_t image;
        int r = find_image(rq, KIND_IMAGE_GUEST, oid, &image);

        return r < 0 ? r : image_get_object(rq->fs->model, image, ret);
}

static int shared_guest_object(struct req *rq, uint64_t oid, struct object *ret)
{
        uint64_t image;
        int r = find_image(rq, KIND_SHARED_GUEST, oid, &image);

        return r < 0 ? r : shared_object(rq, image, ret);
}

static int snapshot_guest_object(struct req *rq, uint64_t oid, struct object *ret)
{
        uint64_t snapshot = oid >> 1;
        int r = oid & 1 ? find_disk(rq, KIND_SNAPSHOT_GUEST, oid, &snapshot) : 0;

        return r < 0 ? r : snapshot_get_object(rq->fs->model, snapshot, ret);
}

const struct dir_kind dir_image_guest = {
        .name = "guest",
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = image_guest_object,
};

const struct dir_kind dir_shared_guest = {
        .name = "guest",
        .mode = 0555,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = shared_guest_object,
        .enter = shared_enter,
};

const struct dir_kind dir_snapshot_guest = {
        .name = "guest",
        .child = KIND_NONE,
        .object_kind = OBJECT_SNAPSHOT,
        .object = snapshot_guest_object,
};
