/* SPDX-License-Identifier: MIT */
/*
 * download/<device>.<format> of an image: an address for a disk, for some hours.
 */

#include "fs/http/http.h"
#include "fs/tree/dir.h"

static int downloads_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return image_get_object(rq->fs->model, oid, ret);
}

static int download_add(void *ctx, const struct download *d)
{
        const struct dir_children *v = ctx;
        char name[DOWNLOAD_NAME_SIZE];

        download_name(d, name);
        return v->fn(v->ctx, &(struct child){ .name = name, .oid = d->id, .type = DT_DIR });
}

static int downloads_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return download_each(rq->fs->model, oid, download_add, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int downloads_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        struct download d;
        int r;

        (void)ret_object;
        r = download_find(rq->fs->model, oid, name, &d);
        if (r == 0)
                *ret = (struct child){ .oid = d.id, .type = DT_DIR };
        return r;
}

static int downloads_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        if (!rq->fs->http)
                return diag_set(&rq->diag, -EOPNOTSUPP,
                                "downloads are off: they take a mount with -o http=ADDRESS:PORT");
        return download_create(rq->fs->model, oid, name, &rq->diag, ret_child);
}

static int downloads_remove(struct req *rq, uint64_t child)
{
        return download_remove(rq->fs->model, child);
}

const struct dir_kind dir_downloads = {
        .name = "download",
        .child = KIND_DOWNLOAD,
        .child_name = "<device>.<format>",
        .object_kind = OBJECT_IMAGE,
        .object = downloads_object,
        .list = downloads_list,
        .find = downloads_find,
        .make = downloads_make,
        .remove = downloads_remove,
};

/* ---- one address ---- */

/* The image's, but for its age. */
static int download_object(struct req *rq, uint64_t oid, struct object *ret)
{
        struct download d;
        int r;

        r = download_get(rq->fs->model, oid, &d);
        if (r == 0)
                r = image_get_object(rq->fs->model, d.image, ret);
        if (r == 0)
                ret->created_us = ret->updated_us = d.created_us;
        return r;
}

/* Empty while nothing serves it. */
static int show_url(struct req *rq, struct strbuf *out)
{
        struct download d;
        int r;

        r = download_get(rq->fs->model, rq->oid, &d);
        if (r < 0)
                return r;
        if (rq->fs->http)
                http_add_url(rq->fs->http, &d, out);
        strbuf_add(out, "\n");
        return 0;
}

static int show_expires(struct req *rq, struct strbuf *out)
{
        struct download d;
        int r;

        r = download_get(rq->fs->model, rq->oid, &d);
        if (r < 0)
                return r;
        strbuf_add_time(out, d.expires_us);
        strbuf_add(out, "\n");
        return 0;
}

static const struct entry download_entries[] = {
        { 1, "url", "the address: whoever knows it may download", 0444, ENTRY_LINE, .show = show_url },
        { 2, "expires", "until when", 0444, ENTRY_LINE, .show = show_expires },
        { 0 },
};

const struct dir_kind dir_download = {
        .name = "download",
        .entries = download_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = download_object,
};
