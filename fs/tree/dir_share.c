/* SPDX-License-Identifier: MIT */
/*
 * Sharing, from both sides: shares/ of an image, which names the users that it is shared with, and shared/ of a region,
 * under which they find it (the image itself and its disks are in dir_image.c, its instances in dir_instance.c).
 *
 * An image that is shared with one user has its name in shared/ for all, as everything has, and its attributes there
 * are in the kernel's cache for all. So the modes let everybody in, and who may is asked at each request
 * (shared_enter()); only the lookup of a directory is answered to anybody. The end of a share needs no word to the
 * kernel for that: what it knows is of no use without a further answer.
 */

#include "fs/tree/dir.h"

/* ---- shares/ ---- */

static int image_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return image_get_object(rq->fs->model, oid, ret);
}

static int share_add(void *ctx, const struct share *s)
{
        return dir_add_object(ctx, &s->o);
}

static int shares_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return share_each(rq->fs->model, oid, share_add, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int shares_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        struct share s;
        int r;

        (void)ret_object;
        r = share_find(rq->fs->model, oid, name, &s);
        return dir_found(r, ret, &s.o);
}

static int shares_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return share_create(rq->fs->model, &rq->caller, oid, name, &rq->diag, ret_child);
}

static int shares_remove(struct req *rq, uint64_t child)
{
        return share_remove(rq->fs->model, &rq->caller, child, &rq->diag);
}

const struct dir_kind dir_shares = {
        .name = "shares",
        .child = KIND_SHARE,
        .child_name = "<user>",
        .object_kind = OBJECT_IMAGE,
        .object = image_object,
        .list = shares_list,
        .find = shares_find,
        .make = shares_make,
        .remove = shares_remove,
        .users = true,
};

/* ---- one share ---- */

/* Refusals are the image's. */
static int share_object(struct req *rq, uint64_t oid, struct object *ret)
{
        struct share s;
        int r;

        r = share_get(rq->fs->model, oid, &s);
        if (r < 0)
                return r;
        *ret = s.o;
        ret->id = s.image;
        return 0;
}

static int show_user(struct req *rq, struct strbuf *out)
{
        struct share s;
        int r;

        r = share_get(rq->fs->model, rq->oid, &s);
        if (r < 0)
                return r;
        dir_add_user(rq->fs->model, out, s.uid);
        strbuf_add(out, "\n");
        return 0;
}

static int show_created(struct req *rq, struct strbuf *out)
{
        struct share s;
        int r;

        r = share_get(rq->fs->model, rq->oid, &s);
        if (r < 0)
                return r;
        strbuf_add_time(out, s.o.created_us);
        strbuf_add(out, "\n");
        return 0;
}

static const struct entry share_entries[] = {
        { 1, "user", "with whom the image is shared", 0444, ENTRY_LINE | ENTRY_USERS, .show = show_user },
        { 2, "created", "since when", 0444, ENTRY_LINE, .show = show_created },
        { 0 },
};

const struct dir_kind dir_share = {
        .name = "share",
        .entries = share_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = share_object,
};

/* ---- shared/ of a region ---- */

int shared_object(struct req *rq, uint64_t oid, struct object *ret)
{
        int r = image_get_object(rq->fs->model, oid, ret);

        if (r == 0)
                ret->mode = 0777;
        return r;
}

int shared_enter(struct req *rq, const struct object *o)
{
        return share_check(rq->fs->model, &rq->caller, o->id, &rq->diag);
}

static int shared_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return share_each_image(rq->fs->model, &rq->caller, oid, dir_add_object,
                                &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int shared_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        return dir_found(share_find_image(rq->fs->model, oid, name, ret_object), ret, ret_object);
}

static int shared_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        (void)oid;
        (void)ret_child;
        return diag_set(&rq->diag, -EPERM,
                        "%s: images come here when they are shared: mkdir private/<image>/shares/<user>", name);
}

static int shared_remove(struct req *rq, uint64_t child)
{
        return share_give_back(rq->fs->model, &rq->caller, child, &rq->diag);
}

/* Not sticky: whoever an image is shared with gives it back by rmdir, and it is not hers. */
const struct dir_kind dir_shared = {
        .name = "shared",
        .mode = 0777,
        .child = KIND_SHARED_IMAGE,
        .child_name = "<image>",
        .object_kind = OBJECT_REGION,
        .object = dir_region_object,
        .list = shared_list,
        .find = shared_find,
        .make = shared_make,
        .remove = shared_remove,
        .parting = KIND_SHARED_PARTING,
};

/* What stands for a shared image while one of those who have it gives it back: see ops/parting.h. */
const struct dir_kind dir_shared_parting = {
        .name = "parting",
        .mode = 0555,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = shared_object,
};

/* ---- copies and shares of a shared image: what only its owner may do, there to say so ---- */

static int closed_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return shared_object(rq, oid >> 1, ret);
}

static int closed_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        struct object o;
        int r;

        (void)name;
        (void)ret_child;
        r = closed_object(rq, oid, &o);
        if (r < 0)
                return r;
        return diag_set_user(&rq->diag, -EPERM, o.uid, "",
                             "%s is shared with you, and only its owner copies and shares it: ask ", o.handle);
}

const struct dir_kind dir_shared_closed = {
        .name = "closed",
        .mode = 0777,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = closed_object,
        .enter = shared_enter,
        .make = closed_make,
};
