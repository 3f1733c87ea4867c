/* SPDX-License-Identifier: MIT */
/*
 * tasks/<id>: long operations, each the one's who started it. Listed in the order in which they were accepted.
 */

#include "fs/tree/dir.h"

#include "fs/tree/users.h"

static int tasks_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        (void)oid;
        return task_each(rq->fs->model, dir_add_object, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int tasks_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        (void)oid;
        return dir_found(task_find(rq->fs->model, name, ret_object), ret, ret_object);
}

static int tasks_remove(struct req *rq, uint64_t child)
{
        return task_remove(rq->fs->model, &rq->caller, child, &rq->diag);
}

const struct dir_kind dir_tasks = {
        .name = "tasks",
        .mode = 0777, /* rmdir is for everybody, each with her own */
        .child = KIND_TASK,
        .child_name = "<id>",
        .object = dir_root_object,
        .list = tasks_list,
        .find = tasks_find,
        .remove = tasks_remove,
};

static int task_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return task_get_object(rq->fs->model, oid, ret);
}

#define DEFINE_SHOW(name, statement) DIR_SHOW_LINE(task, t, name, statement)

DEFINE_SHOW(kind, strbuf_add(out, task_kind_name(t->kind)))
DEFINE_SHOW(status, strbuf_add(out, task_status_name(t->status)))
DEFINE_SHOW(region, strbuf_add(out, t->region_name))
DEFINE_SHOW(owner, dir_add_owner(rq->fs->model, out, t->o.uid))
DEFINE_SHOW(created, strbuf_add_time(out, t->o.created_us))
DEFINE_SHOW(started, strbuf_add_time(out, t->started_us))
DEFINE_SHOW(finished, strbuf_add_time(out, t->finished_us))
DEFINE_SHOW(error, strbuf_add(out, t->error))
DEFINE_SHOW(id, strbuf_add(out, t->o.handle))

static int show_image(struct req *rq, struct strbuf *out)
{
        const struct task *t;
        int r;

        r = req_task(rq, rq->oid, &t);
        if (r == 0)
                r = users_add_image(rq, out, t->image, t->image_ident);
        strbuf_add(out, "\n");
        return r;
}

static int show_progress(struct req *rq, struct strbuf *out)
{
        const struct task *t;
        int r;

        r = req_task(rq, rq->oid, &t);
        if (r < 0)
                return r;
        dir_add_progress(out, &t->progress);
        return 0;
}

static const struct entry task_entries[] = {
        { 1, "kind", "fetch import convert copy capture disk-snapshot", 0444, ENTRY_LINE, .show = show_kind },
        { 2, "status", "queued running done error cancelled", 0444, ENTRY_LINE, .show = show_status },
        { 3, "progress", "percent, bytes-done, bytes-total", 0444, .show = show_progress },
        { 4, "image", "`id class/image` of what it works on", 0444, ENTRY_LINE, .show = show_image },
        { 5, "region", "where the result is", 0444, ENTRY_LINE, .show = show_region },
        { 6, "owner", "who started it", 0444, ENTRY_LINE, .show = show_owner },
        { 7, "created", "when it was accepted", 0444, ENTRY_LINE, .show = show_created },
        { 8, "started", "when it began to run", 0444, ENTRY_LINE, .show = show_started },
        { 9, "finished", "when it ended", 0444, ENTRY_LINE, .show = show_finished },
        { 10, "error", "why the status is error", 0444, ENTRY_LINE, .show = show_error },
        { 0 },
};

const struct dir_kind dir_task = {
        .name = "task",
        .entries = task_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_TASK,
        .object = task_object,
        .access = true,
};

/* ---- copies/<region> of an image: the same task, seen from the image ---- */

static int copies_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return image_get_object(rq->fs->model, oid, ret);
}

/* Whoever may look at the image may look at its copies, whoever started them. */
static int copy_object(struct req *rq, uint64_t oid, struct object *ret)
{
        const struct task *t;
        struct object image;
        int r;

        r = req_task(rq, oid, &t);
        if (r == 0)
                r = image_get_object(rq->fs->model, t->image, &image);
        if (r < 0)
                return r;
        *ret = t->o;
        ret->uid = image.uid;
        ret->gid = image.gid;
        ret->mode = image.mode;
        return 0;
}

static int copy_add(void *ctx, const struct object *task)
{
        const struct dir_children *v = ctx;

        return v->fn(v->ctx, &(struct child){ .name = task->handle, .oid = task->id, .type = DT_DIR });
}

static int copies_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return copy_each(rq->fs->model, oid, copy_add, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int copies_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        int r = dir_found(copy_find(rq->fs->model, oid, name, ret_object), ret, ret_object);

        ret_object->id = 0; /* not with these modes */
        return r;
}

static int copies_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return image_copy(rq->fs->model, &rq->caller, oid, name, &rq->diag, ret_child);
}

static int copies_remove(struct req *rq, uint64_t child)
{
        return copy_remove(rq->fs->model, &rq->caller, child, &rq->diag);
}

const struct dir_kind dir_copies = {
        .name = "copies",
        .child = KIND_COPY,
        .child_name = "<region>",
        .object_kind = OBJECT_IMAGE,
        .object = copies_object,
        .list = copies_list,
        .find = copies_find,
        .make = copies_make,
        .remove = copies_remove,
};

/* A running copy's status is one word for the user, whether a worker has taken it up yet or not. */
static int show_copy_status(struct req *rq, struct strbuf *out)
{
        const struct task *t;
        int r;

        r = req_task(rq, rq->oid, &t);
        if (r < 0)
                return r;
        strbuf_addf(out, "%s\n", task_status_name(t->status == TASK_QUEUED ? TASK_RUNNING : t->status));
        return 0;
}

/* The replica, as long as it exists. */
static int copy_image_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        const struct task *t;
        int r;

        r = req_task(rq, oid, &t);
        if (r < 0)
                return r;
        if (!t->result)
                return 0;
        return fn(ctx, &(struct child){ .name = "image", .oid = oid, .type = DT_LNK });
}

static int copy_image_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        (void)ret_object;
        return dir_find_in(copy_image_list, rq, oid, name, ret);
}

/* From regions/<r>/private/<image>/copies/<region>/image. */
static int copy_image_target(struct req *rq, uint64_t child, struct strbuf *out)
{
        const struct task *t;
        int r;

        r = req_task(rq, child, &t);
        if (r < 0)
                return r;
        return t->result ? dir_add_image_path(rq, out, "../../../../..", t->result) : -ENOENT;
}

static const struct entry copy_entries[] = {
        { 1, "status", "running done error cancelled", 0444, ENTRY_LINE, .show = show_copy_status },
        { 2, "progress", "percent, bytes-done, bytes-total", 0444, .show = show_progress },
        { 3, "error", "why the status is error", 0444, ENTRY_LINE, .show = show_error },
        { 4, "task", "its id in /tasks", 0444, ENTRY_LINE, .show = show_id },
        { 0 },
};

const struct dir_kind dir_copy = {
        .name = "copy",
        .entries = copy_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_TASK,
        .object = copy_object,
        .list = copy_image_list,
        .find = copy_image_find,
        .target = copy_image_target,
};
