/* SPDX-License-Identifier: MIT */
/*
 * follows/ of a region: upstreams that are looked at now and then, each with links to what was imported from it.
 */

#include "fs/tree/dir.h"

static int follows_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return follow_each(rq->fs->model, oid, dir_add_object, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int follows_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        return dir_found(follow_find(rq->fs->model, oid, name, ret_object), ret, ret_object);
}

static int follows_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return follow_create(rq->fs->model, &rq->caller, oid, name, &rq->diag, ret_child);
}

static int follows_remove(struct req *rq, uint64_t child)
{
        return follow_remove(rq->fs->model, &rq->caller, child, &rq->diag);
}

static int follows_rename(struct req *rq, uint64_t child, struct node to, const char *name)
{
        const struct follow *f;
        int r;

        r = req_follow(rq, child, &f);
        if (r < 0)
                return r;
        if (to.kind != KIND_FOLLOWS || to.row != 0 || to.oid != f->region)
                return diag_set(&rq->diag, -EPERM, "what follows an upstream stays in follows/ of its region");
        return follow_rename(rq->fs->model, &rq->caller, child, name, &rq->diag);
}

const struct dir_kind dir_follows = {
        .name = "follows",
        .mode = 0777,
        .child = KIND_FOLLOW,
        .child_name = "<follow>",
        .object_kind = OBJECT_REGION,
        .object = dir_region_object,
        .list = follows_list,
        .find = follows_find,
        .make = follows_make,
        .remove = follows_remove,
        .crowded = true,
        .rename = follows_rename,
};

/* ---- one of them ---- */

static int follow_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return follow_get_object(rq->fs->model, oid, ret);
}

#define DEFINE_SHOW(name, statement) DIR_SHOW_LINE(follow, f, name, statement)

static void add_every(struct strbuf *out, uint64_t hours)
{
        if (hours % 24 == 0)
                strbuf_addf(out, "%llud", (unsigned long long)hours / 24);
        else
                strbuf_addf(out, "%lluh", (unsigned long long)hours);
}

DEFINE_SHOW(url, strbuf_add(out, f->url))
DEFINE_SHOW(every, add_every(out, f->every_hours))
DEFINE_SHOW(keep, strbuf_addf(out, "%llu", (unsigned long long)f->keep))
DEFINE_SHOW(family, strbuf_add(out, f->family))
DEFINE_SHOW(sums, strbuf_add(out, f->sums))
DEFINE_SHOW(status, strbuf_add(out, follow_status_name(f->status)))
DEFINE_SHOW(last_run, strbuf_add_time(out, f->last_run_us))
DEFINE_SHOW(next_run, strbuf_add_time(out, f->next_run_us))
DEFINE_SHOW(owner, dir_add_owner(rq->fs->model, out, f->o.uid))

#define DEFINE_STORE(name)                                                                              \
        static int store_##name(struct req *rq, const char *text)                                       \
        {                                                                                               \
                return follow_set_##name(rq->fs->model, rq->oid, text, &rq->diag);                      \
        }

DEFINE_STORE(every)
DEFINE_STORE(keep)
DEFINE_STORE(family)
DEFINE_STORE(status)

static int store_url(struct req *rq, const char *text)
{
        return follow_set_url(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

static int store_sums(struct req *rq, const char *text)
{
        return follow_set_sums(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

static int store_run(struct req *rq, const char *text)
{
        return follow_start(rq->fs->model, rq->oid, text, &rq->diag);
}

static int show_keyring(struct req *rq, struct strbuf *out)
{
        int r = follow_add_keyring(rq->fs->model, rq->oid, out);

        if (r == 0 && out->len == 0)
                strbuf_add(out, "\n");
        return r;
}

static int store_keyring(struct req *rq, const char *bytes)
{
        return follow_set_keyring(rq->fs->model, rq->oid, bytes, rq->stored_bytes, &rq->diag);
}

/* What was refused last, or what the last run had to say, whichever is newer. */
static int show_last_error(struct req *rq, struct strbuf *out)
{
        const struct follow *f;
        int r;

        r = req_follow(rq, rq->oid, &f);
        if (r < 0)
                return r;
        if (!f->error[0] || dir_last_error_us(rq) > f->ended_us)
                r = dir_show_last_error(rq, out);
        if (r < 0 || !f->error[0] || out->len > 1)
                return r;
        strbuf_reset(out);
        strbuf_add_time(out, f->ended_us);
        strbuf_addf(out, " run: %s\n", f->error);
        return 0;
}

#define RO(number, name, show_fn, help)           { number, name, help, 0444, ENTRY_LINE, .show = show_fn }
#define RW(number, name, show_fn, store_fn, help) { number, name, help, 0666, ENTRY_LINE, .show = show_fn, .store = store_fn }

static const struct entry follow_entries[] = {
        RW(1, "url", show_url, store_url, "http://…, https://… or ftp://… of a disk's file that changes"),
        RW(2, "every", show_every, store_every, "how often it is looked at, from 1h to 30d"),
        RW(3, "keep", show_keep, store_keep, "how many images of it are kept; older ones go to recycle/"),
        RW(4, "family", show_family, store_family, "the family that they are in: families/FAMILY/latest leads to the newest"),
        RW(5, "sums", show_sums, store_sums, "address of a SHA256SUMS or SHA512SUMS that has the file"),
        { 6, "keyring", "OpenPGP public keys (gpg --export) by which sums must be signed", 0666,
          ENTRY_TEXT | ENTRY_PIECES | ENTRY_BYTES, .show = show_keyring, .store = store_keyring },
        RW(7, "status", show_status, store_status, "idle running error paused; write paused or idle"),
        RO(8, "owner", show_owner, "user name"),
        RO(9, "last-run", show_last_run, "when it was last looked at"),
        RO(10, "next-run", show_next_run, "when it will be"),
        { 11, "last-error", "why the last run failed, or something was last refused", 0444, .show = show_last_error },
        { 12, "images", "links to what was imported", 0777, .dir = KIND_FOLLOW_IMAGES },
        { 13, "run", "write now", 0666, .store = store_run },
        { 14, "wait", "reading waits for the end of the run", 0444, ENTRY_UNLISTED | ENTRY_WAIT, .show = NULL },
        { 0 },
};

const struct dir_kind dir_follow = {
        .name = "follow",
        .entries = follow_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_FOLLOW,
        .object = follow_object,
        .access = true,
};

/* ---- what it imported; a child's oid is the image's ---- */

static int add_link(void *ctx, const struct object *o)
{
        const struct dir_children *v = ctx;

        return v->fn(v->ctx, &(struct child){ .name = o->handle, .oid = o->id, .type = DT_LNK });
}

static int links_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return follow_each_image(rq->fs->model, oid, add_link, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int links_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        (void)ret_object;
        return dir_find_in(links_list, rq, oid, name, ret);
}

static int link_object(struct req *rq, uint64_t child, struct object *ret)
{
        return image_get_object(rq->fs->model, child, ret);
}

/* From regions/<r>/follows/<follow>/images/. */
static int link_target(struct req *rq, uint64_t child, struct strbuf *out)
{
        const struct image *i;
        int r = req_image(rq, child, &i);

        if (r == 0)
                strbuf_addf(out, "../../../%s/%s", image_class_name(i->class), i->o.handle);
        return r;
}

const struct dir_kind dir_follow_images = {
        .name = "images",
        .child = KIND_NONE,
        .object_kind = OBJECT_FOLLOW,
        .object = follow_object,
        .child_object = link_object,
        .list = links_list,
        .find = links_find,
        .target = link_target,
};
