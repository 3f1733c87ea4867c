/* SPDX-License-Identifier: MIT */
/*
 * What uses an image, a snapshot or an instance, as texts. They are no directories of links: one that leads back to
 * where it is would be followed without end by what follows links (zip -r, rsync -L).
 *
 *      task task-…             a task that works on it
 *      instance instances/web1 an instance that was made from it
 *      image private/web       an image that refers to it
 *      instances-of alice      others', of whom one is told no more than who they are; likewise images-of
 *
 * What belongs to others is told to whoever may write to the object, since it keeps her from removing it; a stranger
 * who may read a public image learns what of it is hers. Rows are copied first: to look up a user may take long.
 */

#include "fs/tree/users.h"

#include "fs/tree/dir.h"

static int copy_object(void *ctx, const struct object *o)
{
        strbuf_add_bytes(ctx, o, sizeof(*o));
        return strbuf_error(ctx);
}

static bool is_enterable(struct req *rq, const struct object *o)
{
        return object_allows(o, &rq->caller, 01);
}

/* May the caller be told of what others have made of it? */
static bool is_manager(struct req *rq, const struct object *o)
{
        return object_allows(o, &rq->caller, 03);
}

static void end_text(struct strbuf *out)
{
        if (out->len == 0)
                strbuf_add(out, "\n");
}

/* Tasks of others are told of by their ids to whoever may manage what they work on. */
static void add_tasks(struct req *rq, const struct strbuf *tasks, bool all, struct strbuf *out)
{
        const struct object *task = (const struct object *)tasks->text;

        for (size_t i = 0; i < tasks->len / sizeof(*task); i++) {
                if (all || is_enterable(rq, &task[i]))
                        strbuf_addf(out, "task %s\n", task[i].handle);
        }
}

/* ---- of an image ---- */

struct users_view {
        struct model *m;
        struct strbuf *out;
};

static int add_instance(void *ctx, const struct object *instance)
{
        const struct users_view *v = ctx;

        strbuf_addf(v->out, "instance instances/%s\n", instance->handle);
        return 0;
}

/* May look up the user: called when the walk over the database has ended. */
static int add_other(void *ctx, const struct object *instance)
{
        const struct users_view *v = ctx;

        strbuf_add(v->out, "instances-of ");
        dir_add_user(v->m, v->out, instance->uid);
        strbuf_add(v->out, "\n");
        return 0;
}

int users_show_of_image(struct req *rq, struct strbuf *out)
{
        CLEANUP_STRBUF struct strbuf tasks = { 0 };
        struct users_view v = { .m = rq->fs->model, .out = out };
        const uid_t uid = rq->caller.uid;
        struct object image;
        bool manager;
        int r;

        r = image_get_object(v.m, rq->oid, &image);
        if (r == 0)
                r = image_used_by(v.m, rq->oid, copy_object, &tasks);
        if (r < 0)
                return r;
        manager = is_manager(rq, &image);
        add_tasks(rq, &tasks, manager, out);
        r = instance_each_user_of_image(v.m, rq->oid, rq->caller.admin ? NULL : &uid, add_instance, &v);
        if (r == 0 && manager && !rq->caller.admin)
                r = instance_each_other_user_of_image(v.m, rq->oid, uid, add_other, &v);
        end_text(out);
        return r;
}

int users_show_of_instance(struct req *rq, struct strbuf *out)
{
        CLEANUP_STRBUF struct strbuf tasks = { 0 };
        struct object instance;
        int r;

        r = instance_get_object(rq->fs->model, rq->oid, &instance);
        if (r == 0)
                r = instance_used_by(rq->fs->model, rq->oid, copy_object, &tasks);
        if (r < 0)
                return r;
        add_tasks(rq, &tasks, is_manager(rq, &instance), out);
        end_text(out);
        return 0;
}

/* ---- of a snapshot ---- */

struct reference {
        struct object image;
        enum image_class class;
};

static int copy_reference(void *ctx, const struct object *image, enum image_class class)
{
        const struct reference ref = { .image = *image, .class = class };

        strbuf_add_bytes(ctx, &ref, sizeof(ref));
        return strbuf_error(ctx);
}

/* Has an image before number N, which the caller may not enter either, the same owner? */
static bool was_told(struct req *rq, const struct reference *refs, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (refs[i].image.uid == refs[n].image.uid && !is_enterable(rq, &refs[i].image))
                        return true;
        }
        return false;
}

int users_show_of_snapshot(struct req *rq, struct strbuf *out)
{
        CLEANUP_STRBUF struct strbuf tasks = { 0 }, copies = { 0 };
        struct model *m = rq->fs->model;
        const struct reference *refs;
        struct object snapshot;
        bool manager;
        int r;

        r = snapshot_get_object(m, rq->oid, &snapshot);
        if (r == 0)
                r = snapshot_used_by(m, rq->oid, copy_object, &tasks);
        if (r == 0)
                r = snapshot_images(m, rq->oid, copy_reference, &copies);
        if (r < 0)
                return r;
        manager = is_manager(rq, &snapshot);
        add_tasks(rq, &tasks, manager, out);
        refs = (const struct reference *)copies.text;
        for (size_t i = 0; i < copies.len / sizeof(*refs); i++) {
                if (is_enterable(rq, &refs[i].image)) {
                        strbuf_addf(out, "image %s/%s\n", image_class_name(refs[i].class), refs[i].image.handle);
                } else if (manager && !was_told(rq, refs, i)) {
                        strbuf_add(out, "images-of ");
                        dir_add_user(rq->fs->model, out, refs[i].image.uid);
                        strbuf_add(out, "\n");
                }
        }
        end_text(out);
        return 0;
}

int users_add_image(struct req *rq, struct strbuf *out, uint64_t id, const char *ident)
{
        const struct image *i;
        int r = id ? req_image(rq, id, &i) : -ENOENT;

        if (r < 0 && r != -ENOENT)
                return r;
        strbuf_add(out, ident);
        if (r == 0 && is_enterable(rq, &i->o))
                strbuf_addf(out, " %s/%s", image_class_name(i->class), i->o.handle);
        return 0;
}

int users_show_images(struct req *rq, struct strbuf *out)
{
        CLEANUP_STRBUF struct strbuf copies = { 0 };
        const struct reference *refs;
        int r;

        r = snapshot_images(rq->fs->model, rq->oid, copy_reference, &copies);
        if (r < 0)
                return r;
        refs = (const struct reference *)copies.text;
        for (size_t i = 0; i < copies.len / sizeof(*refs); i++) {
                const struct image *image;

                if (!is_enterable(rq, &refs[i].image))
                        continue;
                r = req_image(rq, refs[i].image.id, &image);
                if (r == -ENOENT) /* removed meanwhile */
                        continue;
                if (r < 0)
                        return r;
                strbuf_addf(out, "%s %s/%s\n", image->ident, image_class_name(image->class), image->o.handle);
        }
        end_text(out);
        return 0;
}
