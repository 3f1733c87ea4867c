/* SPDX-License-Identifier: MIT */

#include "fs/tree/dir.h"

#include "fs/tree/watch.h"

int dir_add_object(void *ctx, const struct object *o)
{
        struct dir_children *v = ctx;

        return v->fn(v->ctx, &(struct child){ .name = o->handle, .oid = o->id, .type = DT_DIR, .object = o,
                                              .places = o->places });
}

int dir_found(int r, struct child *ret, const struct object *object)
{
        if (r == 0)
                *ret = (struct child){ .oid = object->id, .type = DT_DIR, .places = object->places };
        return r;
}

struct dir_search {
        const char *name;
        struct child *ret;
};

static int dir_search_step(void *ctx, const struct child *c)
{
        const struct dir_search *s = ctx;

        if (strcmp(c->name, s->name) != 0)
                return 0;
        *s->ret = *c;
        s->ret->name = NULL; /* borrowed for the call only, as is the object */
        s->ret->object = NULL;
        return 1;
}

int dir_find_in(dir_list_fn *list, struct req *rq, uint64_t oid, const char *name, struct child *ret)
{
        int r = list(rq, oid, dir_search_step, &(struct dir_search){ name, ret });

        return r < 0 ? r : r ? 0 : -ENOENT;
}

int dir_root_object(struct req *rq, uint64_t oid, struct object *ret)
{
        *ret = (struct object){
                .id = oid,
                .uid = rq->fs->uid,
                .gid = rq->fs->gid,
                .mode = 0755,
                .created_us = rq->fs->born_us,
                .updated_us = rq->fs->born_us,
        };
        return 0;
}

static uint64_t listed_region(const struct req *rq)
{
        return rq->dir->object_kind == OBJECT_REGION ? rq->oid : LISTING_ALL_REGIONS;
}

/* Since when who asks has waited; a list of any moment from then on is an answer. */
static int64_t asked_us(const struct req *rq)
{
        struct watched what = { 0 };

        if (rq->fuse)
                watch_get(rq->fs->watch, &what);
        return what.since_us ?: LISTING_NOW;
}

int dir_list_text(struct req *rq, struct text **ret, int64_t *ret_changed_us)
{
        return listing_get(rq->fs->model, &rq->caller, listed_region(rq), (enum listing_format)rq->entry->arg,
                           asked_us(rq), &rq->diag, ret, ret_changed_us);
}

int dir_measure_list(struct req *rq, uint64_t *ret_size, int64_t *ret_changed_us)
{
        return listing_measure(rq->fs->model, &rq->caller, listed_region(rq), (enum listing_format)rq->entry->arg,
                               asked_us(rq), &rq->diag, ret_size, ret_changed_us);
}

int dir_region_object(struct req *rq, uint64_t oid, struct object *ret)
{
        const struct region *region;
        int r;

        r = req_region(rq, oid, &region);
        if (r < 0)
                return r;
        *ret = region->o;
        return 0;
}

void dir_add_user(struct model *m, struct strbuf *out, uid_t uid)
{
        char name[NAME_LEN_MAX + 1];

        user_name(m, uid, name, sizeof(name));
        strbuf_add(out, name);
}

void dir_add_owner(struct model *m, struct strbuf *out, uid_t uid)
{
        char name[NAME_LEN_MAX + 1];

        user_name_soon(m, uid, name, sizeof(name));
        strbuf_add(out, name);
}

void dir_add_progress(struct strbuf *out, const struct progress *p)
{
        strbuf_addf(out, "percent %u\nbytes-done %llu\nbytes-total %llu\n", p->percent,
                    (unsigned long long)p->done_bytes, (unsigned long long)p->total_bytes);
}

void dir_add_checksum(struct strbuf *out, const struct blob_info *info, const char *name)
{
        for (size_t i = 0; i < BLOB_CHECKSUM_SIZE; i++)
                strbuf_addf(out, "%02x", info->checksum.bytes[i]);
        strbuf_addf(out, "  %s\n", name);
}

int dir_add_image_path(struct req *rq, struct strbuf *out, const char *up, uint64_t image)
{
        const struct region *region;
        const struct image *i;
        int r;

        r = req_image(rq, image, &i);
        if (r < 0)
                return r;
        r = req_region(rq, i->region, &region);
        if (r < 0)
                return r;
        strbuf_addf(out, "%s/%s/%s/%s", up, region->o.handle, image_class_name(i->class), i->o.handle);
        return 0;
}

int dir_show_last_error(struct req *rq, struct strbuf *out)
{
        CLEANUP(cleanup_refusal) const struct refusal *last =
                refusal_last(rq->fs->model, &rq->caller, rq->dir->object_kind, rq->oid);

        if (last) {
                strbuf_add_time(out, last->at_us);
                strbuf_addf(out, " %s: %s", last->operation, last->sentence);
        }
        strbuf_add(out, "\n");
        return 0;
}

int64_t dir_last_error_us(struct req *rq)
{
        CLEANUP(cleanup_refusal) const struct refusal *last =
                refusal_last(rq->fs->model, &rq->caller, rq->dir->object_kind, rq->oid);
        struct object o;

        if (last)
                return last->at_us;
        return rq->dir->object(rq, rq->oid, &o) < 0 ? 0 : o.updated_us;
}

/* ---- last-verified ---- */

int dir_show_verified(struct req *rq, dir_verified_fn *get, struct strbuf *out)
{
        int64_t us;
        int r;

        r = get(rq->fs->model, rq->oid, &us);
        if (r < 0)
                return r;
        if (us)
                strbuf_add_time(out, us);
        strbuf_add(out, "\n");
        return 0;
}

int64_t dir_verified_us(struct req *rq, dir_verified_fn *get)
{
        int64_t us;

        return get(rq->fs->model, rq->oid, &us) == 0 && us ? us : rq->fs->born_us;
}
