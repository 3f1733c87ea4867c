/* SPDX-License-Identifier: MIT */
/*
 * The links in an image: to the snapshots that hold its disks, and to what keeps it from being deleted.
 */

#include "fs/tree/dir.h"

static int image_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return image_get_object(rq->fs->model, oid, ret);
}

/* ---- links to snapshots ---- */

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
        return v->fn(v->ctx, &(struct child){ .name = d->snapshot_handle, .oid = d->id, .type = DT_LNK });
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

/* ---- links to what uses it ---- */

/*
 * Tasks and instances. Of the instances of others, the owner of the image is told no more than whose they are: one
 * link for each user, to where instances are. The low bits of a link's oid say which it is; the rest is the id of the
 * task, of the instance, or of the user's first instance.
 */
enum used_by { USED_BY_TASK, USED_BY_INSTANCE, USED_BY_USER, USED_BY_DRIVE_OF_USER };
#define USED_BY_BITS 2

static enum used_by used_by_of(uint64_t child)
{
        return (enum used_by)(child & ((1U << USED_BY_BITS) - 1));
}

static int used_by_object(struct req *rq, uint64_t child, struct object *ret)
{
        const uint64_t id = child >> USED_BY_BITS;
        const struct instance *i;
        int r;

        switch (used_by_of(child)) {
        case USED_BY_TASK:
                return task_get_object(rq->fs->model, id, ret);
        case USED_BY_INSTANCE:
                return instance_get_object(rq->fs->model, id, ret);
        case USED_BY_USER: /* the link itself is the owner's to see */
        case USED_BY_DRIVE_OF_USER:
                r = req_instance(rq, id, &i);
                if (r < 0)
                        return r;
                return image_get_object(rq->fs->model, used_by_of(child) == USED_BY_USER ? i->image : i->cdrom, ret);
        }
        return -ENOENT;
}

static int used_by_add(struct dir_children *v, const char *name, uint64_t id, enum used_by what)
{
        return v->fn(v->ctx, &(struct child){ .name = name, .oid = id << USED_BY_BITS | what, .type = DT_LNK });
}

static int used_by_add_task(void *ctx, const struct object *task)
{
        return used_by_add(ctx, task->handle, task->id, USED_BY_TASK);
}

static int used_by_add_instance(void *ctx, const struct object *instance)
{
        return used_by_add(ctx, instance->handle, instance->id, USED_BY_INSTANCE);
}

struct used_by_users {
        struct dir_children *children;
        struct req *rq;
        uint64_t image;
};

static int used_by_add_user(void *ctx, const struct object *instance)
{
        const struct used_by_users *v = ctx;
        char user[NAME_LEN_MAX + 1], name[sizeof("instances-of-") + NAME_LEN_MAX];
        const struct instance *i;
        int r;

        user_name(instance->uid, user, sizeof(user));
        (void)snprintf(name, sizeof(name), "instances-of-%s", user);
        r = req_instance(v->rq, instance->id, &i);
        if (r < 0)
                return r == -ENOENT ? 0 : r; /* removed meanwhile */
        return used_by_add(v->children, name, instance->id,
                           i->image == v->image ? USED_BY_USER : USED_BY_DRIVE_OF_USER);
}

static int used_by_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        struct dir_children v = { .fn = fn, .ctx = ctx };
        struct object image;
        int r;

        r = image_get_object(rq->fs->model, oid, &image);
        if (r == 0)
                r = image_used_by(rq->fs->model, oid, used_by_add_task, &v);
        if (r == 0)
                r = instance_each_user_of_image(rq->fs->model, oid, used_by_add_instance, &v);
        if (r == 0 && image.uid == rq->caller.uid && !rq->caller.admin)
                r = instance_each_other_user_of_image(rq->fs->model, oid, image.uid, used_by_add_user,
                                                      &(struct used_by_users){ &v, rq, oid });
        return r;
}

static int used_by_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        (void)ret_object;
        return dir_find_in(used_by_list, rq, oid, name, ret);
}

/* From regions/<r>/<class>/<image>/used-by/. */
static int used_by_target(struct req *rq, uint64_t child, struct strbuf *out)
{
        struct object o;
        int r;

        r = used_by_object(rq, child, &o);
        if (r < 0)
                return r;
        switch (used_by_of(child)) {
        case USED_BY_TASK:
                strbuf_addf(out, "../../../../../tasks/%s", o.handle);
                break;
        case USED_BY_INSTANCE:
                strbuf_addf(out, "../../../instances/%s", o.handle);
                break;
        case USED_BY_USER:
        case USED_BY_DRIVE_OF_USER:
                strbuf_add(out, "../../../instances");
                break;
        }
        return 0;
}

const struct dir_kind dir_image_used_by = {
        .name = "used-by",
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = image_object,
        .child_object = used_by_object,
        .list = used_by_list,
        .find = used_by_find,
        .target = used_by_target,
};
