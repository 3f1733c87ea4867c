/* SPDX-License-Identifier: MIT */
/*
 * disks/ of a region: writable disks that can be attached to its instances.
 */

#include "fs/tree/dir.h"

static int volumes_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return volume_each(rq->fs->model, oid, dir_add_object, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int volumes_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        return dir_found(volume_find(rq->fs->model, oid, name, ret_object), ret, ret_object);
}

static int volumes_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return volume_create(rq->fs->model, &rq->caller, oid, name, &rq->diag, ret_child);
}

static int volumes_remove(struct req *rq, uint64_t child)
{
        return volume_remove(rq->fs->model, &rq->caller, child, &rq->diag);
}

static int volumes_rename(struct req *rq, uint64_t child, struct node to, const char *name)
{
        const struct volume *v;
        int r;

        r = req_volume(rq, child, &v);
        if (r < 0)
                return r;
        if (to.kind != KIND_VOLUMES || to.row != 0 || to.oid != v->region)
                return diag_set(&rq->diag, -EPERM, "a disk stays among the disks of its region");
        return volume_rename(rq->fs->model, &rq->caller, child, name, &rq->diag);
}

const struct dir_kind dir_volumes = {
        .name = "disks",
        .mode = 0777,
        .child = KIND_VOLUME,
        .child_name = "<disk>",
        .object_kind = OBJECT_REGION,
        .object = dir_region_object,
        .list = volumes_list,
        .find = volumes_find,
        .make = volumes_make,
        .remove = volumes_remove,
        .crowded = true,
        .rename = volumes_rename,
};

/* ---- a disk ---- */

static int volume_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return volume_get_object(rq->fs->model, oid, ret);
}

#define DEFINE_SHOW(name, statement) DIR_SHOW_LINE(volume, v, name, statement)

DEFINE_SHOW(id, strbuf_add(out, v->ident))
DEFINE_SHOW(name, strbuf_add(out, v->name))
DEFINE_SHOW(size, v->size_bytes ? strbuf_addf(out, "%llu", (unsigned long long)v->size_bytes) : (void)0)
DEFINE_SHOW(status, strbuf_add(out, v->instance ? "in-use" : "available"))
DEFINE_SHOW(instance, strbuf_add(out, v->instance_handle))
DEFINE_SHOW(created, strbuf_add_time(out, v->o.created_us))
DEFINE_SHOW(owner, dir_add_owner(rq->fs->model, out, v->o.uid))
DEFINE_SHOW(source, strbuf_add(out, v->source))

static int store_name(struct req *rq, const char *text)
{
        return volume_set_name(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

static int store_size(struct req *rq, const char *text)
{
        uint64_t size;

        if (parse_size(text, &size) < 0)
                return diag_set(&rq->diag, -EINVAL, "size: bytes, or a number with K, M, G or T");
        return volume_set_size(rq->fs->model, &rq->caller, rq->oid, size, &rq->diag);
}

/* The system disk of a local instance may wait for a size as well: truncate(2) needs a file to be called on. */
static bool data_visible(struct req *rq)
{
        const struct volume *v;

        return req_volume(rq, rq->oid, &v) == 0 && (v->size_bytes || v->system);
}

#define RO(number, name, show_fn, help) { number, name, help, 0444, ENTRY_LINE, .show = show_fn }

#define DISK_NUMBER 1

static const struct entry volume_entries[] = {
        { DISK_NUMBER, "data.raw", "the guest's bytes; truncate grows it", 0666, ENTRY_DISK, .visible = data_visible,
          .absent = "a disk has no bytes before it has a size: echo 20G > size, and then dd conv=notrunc of=data.raw" },
        RO(2, "id", show_id, "disk-…, never used again"),
        { 3, "name", "display name, may repeat", 0666, ENTRY_LINE, .show = show_name, .store = store_name },
        { 4, "size", "bytes; writing makes an empty disk, or grows one", 0666, ENTRY_LINE, .show = show_size,
          .store = store_size },
        RO(5, "status", show_status, "available in-use"),
        RO(6, "instance", show_instance, "which it is attached to"),
        RO(7, "created", show_created, "when it was made"),
        RO(8, "owner", show_owner, "user name"),
        RO(9, "source", show_source, "what it was made from"),
        { 10, "snapshots", "mkdir NAME takes one", 0777, .dir = KIND_VOLUME_SNAPSHOTS },
        DIR_LAST_ERROR(11),
        { 0 },
};

struct node dir_volume_disk(uint64_t volume)
{
        return (struct node){ .kind = KIND_VOLUME, .row = DISK_NUMBER, .oid = volume };
}

const struct dir_kind dir_volume = {
        .name = "disk",
        .entries = volume_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_VOLUME,
        .object = volume_object,
        .access = true,
};

/* ---- snapshots of a disk, disks of a snapshot: see dir_mirror.c for what is in them ---- */

static int volume_snapshots_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return volume_snapshots(rq->fs->model, oid, dir_add_object, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int volume_snapshots_find(struct req *rq, uint64_t oid, const char *name, struct child *ret,
                                 struct object *ret_object)
{
        (void)ret_object;
        return dir_find_in(volume_snapshots_list, rq, oid, name, ret);
}

static int volume_snapshots_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return volume_snapshot(rq->fs->model, &rq->caller, oid, name, &rq->diag, ret_child);
}

static int volume_snapshots_remove(struct req *rq, uint64_t child)
{
        return snapshot_remove(rq->fs->model, &rq->caller, child, &rq->diag);
}

const struct dir_kind dir_volume_snapshots = {
        .name = "snapshots",
        .child = KIND_VOLUME_SNAPSHOT,
        .child_name = "<snapshot>",
        .object_kind = OBJECT_VOLUME,
        .object = volume_object,
        .list = volume_snapshots_list,
        .find = volume_snapshots_find,
        .make = volume_snapshots_make,
        .remove = volume_snapshots_remove,
};

static int snapshot_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return snapshot_get_object(rq->fs->model, oid, ret);
}

static int snapshot_volumes_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return volume_each_of_snapshot(rq->fs->model, oid, dir_add_object,
                                       &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int snapshot_volumes_find(struct req *rq, uint64_t oid, const char *name, struct child *ret,
                                 struct object *ret_object)
{
        (void)ret_object;
        return dir_find_in(snapshot_volumes_list, rq, oid, name, ret);
}

static int snapshot_volumes_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return volume_create_from_snapshot(rq->fs->model, &rq->caller, oid, name, &rq->diag, ret_child);
}

const struct dir_kind dir_snapshot_volumes = {
        .name = "disks",
        .child = KIND_SNAPSHOT_VOLUME,
        .child_name = "<disk>",
        .object_kind = OBJECT_SNAPSHOT,
        .object = snapshot_object,
        .list = snapshot_volumes_list,
        .find = snapshot_volumes_find,
        .make = snapshot_volumes_make,
        .remove = volumes_remove,
};
