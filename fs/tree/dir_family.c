/* SPDX-License-Identifier: MIT */
/*
 * families/ of a region: a directory for each family, with a link to each of its images that the caller sees, and
 * `latest`. What it holds is another thing for each who looks; so nothing of the links is kept by the kernel, and which
 * image `latest` leads to is asked at each readlink.
 */

#include "fs/tree/dir.h"
#include "model/image/family.h"

#define LATEST "latest"

/* A child's oid: an image's, or the family's for `latest`. */
static uint64_t image_link(uint64_t image)
{
        return image << 1;
}

static uint64_t latest_link(uint64_t family)
{
        return family << 1 | 1;
}

static int families_object(struct req *rq, uint64_t oid, struct object *ret)
{
        int r = dir_region_object(rq, oid, ret);

        if (r == 0)
                ret->mode = 0777;
        return r;
}

static int family_add(void *ctx, const struct family *f)
{
        const struct dir_children *v = ctx;

        return v->fn(v->ctx, &(struct child){ .name = f->name, .oid = f->id, .type = DT_DIR });
}

static int families_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return family_each(rq->fs->model, &rq->caller, oid, family_add, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int families_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        struct family f;
        int r;

        (void)ret_object;
        r = family_find(rq->fs->model, &rq->caller, oid, name, &f);
        if (r == 0)
                *ret = (struct child){ .oid = f.id, .type = DT_DIR };
        return r;
}

const struct dir_kind dir_families = {
        .name = "families",
        .mode = 0777, /* so that who makes something is told how it comes there */
        .child = KIND_FAMILY,
        .child_name = "<family>",
        .object_kind = OBJECT_REGION,
        .object = families_object,
        .list = families_list,
        .find = families_find,
};

/* ---- one family ---- */

static int family_object(struct req *rq, uint64_t oid, struct object *ret)
{
        struct family f;
        int r = family_get(rq->fs->model, oid, &f);

        return r < 0 ? r : families_object(rq, f.region, ret);
}

static int link_object(struct req *rq, uint64_t child, struct object *ret)
{
        const struct image *i;
        int r;

        if (child & 1)
                return family_object(rq, child >> 1, ret);
        r = req_image(rq, child >> 1, &i);
        return r < 0 ? r : families_object(rq, i->region, ret);
}

static int link_add(void *ctx, const struct family_image *i)
{
        const struct dir_children *v = ctx;

        return v->fn(v->ctx, &(struct child){ .name = i->link, .oid = image_link(i->id), .type = DT_LNK });
}

static int family_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        const struct child latest = { .name = LATEST, .oid = latest_link(oid), .type = DT_LNK };
        struct family_image i;
        int r;

        r = family_get_latest(rq->fs->model, &rq->caller, oid, &i);
        if (r == 0)
                r = fn(ctx, &latest);
        if (r != 0 && r != -ENOENT)
                return r;
        return family_each_image(rq->fs->model, &rq->caller, oid, link_add, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int family_find_link(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        const bool latest = strcmp(name, LATEST) == 0;
        struct family_image i;
        int r;

        (void)ret_object;
        r = latest ? family_get_latest(rq->fs->model, &rq->caller, oid, &i) :
                     family_find_image(rq->fs->model, &rq->caller, oid, name, &i);
        if (r == 0)
                *ret = (struct child){ .oid = latest ? latest_link(oid) : image_link(i.id), .type = DT_LNK };
        return r;
}

/* From regions/<r>/families/<family>/. */
static int link_target(struct req *rq, uint64_t child, struct strbuf *out)
{
        struct family_image i;
        int r;

        r = child & 1 ? family_get_latest(rq->fs->model, &rq->caller, child >> 1, &i) :
                        family_get_image(rq->fs->model, &rq->caller, child >> 1, &i);
        if (r == 0)
                strbuf_addf(out, "../../%s/%s", i.shared ? "shared" : image_class_name(i.class), i.handle);
        return r;
}

const struct dir_kind dir_family = {
        .name = "family",
        .mode = 0777, /* so that who makes something is told how it comes there */
        .child = KIND_NONE,
        .object_kind = OBJECT_REGION,
        .object = family_object,
        .child_object = link_object,
        .list = family_list,
        .find = family_find_link,
        .target = link_target,
};
