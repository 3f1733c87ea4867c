/* SPDX-License-Identifier: MIT */
/*
 * regions/<region>: the classes of images, the snapshots, quotas, lists, commands for several images at once.
 *
 * Classes are one kind of directory, told apart by the low bits of its oid.
 */

#include "fs/tree/dir.h"
#include "fs/tree/ways.h"
#include "model/intake/draft.h"

#define CLASS_BITS 3
_Static_assert(CLASS_COUNT <= 1 << CLASS_BITS, "a class must fit into an oid");

uint64_t dir_class_oid(uint64_t region, enum image_class class)
{
        return region << CLASS_BITS | (uint64_t)class;
}

uint64_t dir_class_region(uint64_t oid)
{
        return oid >> CLASS_BITS;
}

static enum image_class class_of(uint64_t oid)
{
        return (enum image_class)(oid & ((1U << CLASS_BITS) - 1));
}

/*
 * Where tenants make things: anyone may make, and who may rename and remove is asked of the object itself. The bit that
 * /tmp has for that lets its owner alone, and not the group that she gave it to.
 */
#define MODE_SHARED 0777

/* ---- files of a region ---- */

static void add_quota(struct strbuf *out, enum limit l, const struct quota *q)
{
        strbuf_addf(out, "%s used=%llu limit=%llu\n", limit_name(l), (unsigned long long)q->used,
                    (unsigned long long)q->limit);
}

static int show_quota(struct req *rq, struct strbuf *out)
{
        struct quota q;
        int r;

        for (enum limit l = 0; l < LIMIT_QUOTAS; l++) {
                r = quota_get(rq->fs->model, rq->oid, rq->caller.uid, l, &q);
                if (r < 0)
                        return r;
                add_quota(out, l, &q);
        }
        return 0;
}

struct quotas_view {
        struct model *m;
        struct strbuf *out;
};

/* As it is written to quota, where a number is to be changed. */
static int user_quota_add(void *ctx, uid_t uid, enum limit l, const struct quota *q)
{
        struct quotas_view *v = ctx;

        dir_add_user(v->m, v->out, uid);
        strbuf_add(v->out, " ");
        add_quota(v->out, l, q);
        return 0;
}

/* Has no text for others than the administrator, as info/store has none. */
static int show_quota_by_user(struct req *rq, struct strbuf *out)
{
        struct quotas_view v = { .m = rq->fs->model, .out = out };

        return rq->caller.admin ? quota_each(v.m, rq->oid, user_quota_add, &v) : 0;
}

static int store_quota(struct req *rq, const char *text)
{
        return quota_set_line(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

static int store_batch(struct req *rq, const char *text)
{
        return batch_run(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

static int show_region_store(struct req *rq, struct strbuf *out)
{
        const struct region *region;
        int r;

        r = req_region(rq, rq->oid, &region);
        if (r < 0)
                return r;
        strbuf_addf(out, "%s\n", region->store_path);
        return 0;
}

static int store_region_store(struct req *rq, const char *text)
{
        return region_set_store(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

#define ENTRY_CLASS(number, name, class, help) \
        { number, name, help, 0777, .dir = KIND_IMAGES, .arg = class, .arg_bits = CLASS_BITS }

static const struct entry region_entries[] = {
        ENTRY_CLASS(1, "public", CLASS_PUBLIC, "images for everybody"),
        ENTRY_CLASS(2, "marketplace", CLASS_MARKETPLACE, "images that others provide"),
        ENTRY_CLASS(3, "private", CLASS_PRIVATE, "your images; mkdir, or cp a file, makes one"),
        { 4, "shared", "images that others share with you", 0777, .dir = KIND_SHARED },
        ENTRY_CLASS(5, "iso", CLASS_ISO, "installation media; cp x.iso here makes one"),
        ENTRY_CLASS(6, "recycle", CLASS_RECYCLE, "deleted images; mv to private/ restores one"),
        { 7, "snapshots", "immutable disks that images refer to", 0777, .dir = KIND_SNAPSHOTS },
        { 8, "disks", "disks that instances can attach; mkdir makes one", 0777, .dir = KIND_VOLUMES },
        { 9, "instances", "machines; mkdir makes one", 0777, .dir = KIND_INSTANCES },
        { 18, "families", "families/FAMILY/latest leads to the newest image of it", 0777, .dir = KIND_FAMILIES },
        { 19, "follows", "files elsewhere that are imported when they change; mkdir makes one", 0777, .dir = KIND_FOLLOWS },
        { 10, "quota", "what you use and may use", 0644, ENTRY_COMMANDS | ENTRY_FIND, .show = show_quota,
          .store = store_quota },
        { 16, "quota-by-user", "what everybody uses and may use", 0400, ENTRY_ADMIN | ENTRY_USERS,
          .show = show_quota_by_user },
        DIR_LISTS(11, 12, 13, "the images you can see, a row each"),
        { 14, "batch", "write `copy REGION IMAGE…` or `delete IMAGE…`", 0666, ENTRY_COMMANDS, .store = store_batch },
        { 17, "copy-targets", "copy-targets/ID,ID…: what each other region has room for, of all these images", 0777,
          ENTRY_UNLISTED, .dir = KIND_COPY_TARGETS },
        { 15, "store", "where the region's blobs live: a directory, or a place in a bucket", 0644, ENTRY_LINE,
          .show = show_region_store, .store = store_region_store },
        { 0 },
};

/* What every tenant may do in a region is not narrowed by the region's own bits. */
static int region_files_object(struct req *rq, uint64_t oid, struct object *ret)
{
        int r = dir_region_object(rq, oid, ret);

        if (r == 0)
                ret->mode = 0777;
        return r;
}

const struct dir_kind dir_region = {
        .name = "region",
        .mode = 0755,
        .entries = region_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_REGION,
        .object = region_files_object,
};

/* ---- a class of images ---- */

static int images_object(struct req *rq, uint64_t oid, struct object *ret)
{
        int r;

        if (class_of(oid) >= CLASS_COUNT)
                return -ENOENT;
        r = dir_region_object(rq, dir_class_region(oid), ret);
        if (r == 0)
                ret->mode = MODE_SHARED;
        return r;
}

static int images_change(struct req *rq, uint64_t oid)
{
        const enum image_class class = class_of(oid);

        if (class != CLASS_PUBLIC && class != CLASS_MARKETPLACE)
                return 0;
        return diag_set(&rq->diag, -EACCES,
                        "%s: only the administrator changes what is in it: make the image in private/, and ask for it to be "
                        "published", image_class_name(class));
}

static int images_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return image_each(rq->fs->model, dir_class_region(oid), class_of(oid), dir_add_object,
                          &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int images_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        int r = image_find(rq->fs->model, dir_class_region(oid), class_of(oid), name, ret_object);

        return dir_found(r, ret, ret_object);
}

static int images_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return image_create(rq->fs->model, &rq->caller, dir_class_region(oid), class_of(oid), name, &rq->diag, ret_child);
}

static int images_create(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_image)
{
        return image_create_for_file(rq->fs->model, &rq->caller, dir_class_region(oid), class_of(oid), name, &rq->diag,
                                     ret_image);
}

static int images_created(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_image)
{
        return image_find_for_file(rq->fs->model, dir_class_region(oid), class_of(oid), name, ret_image);
}

static int images_draft(struct req *rq, uint64_t oid, uint64_t others, struct draft **ret)
{
        return draft_new(rq->fs->model, &rq->caller, dir_class_region(oid), class_of(oid), others, &rq->diag, ret);
}

static int images_remove(struct req *rq, uint64_t child)
{
        const bool binned = class_of(rq->doing.in.oid) == CLASS_RECYCLE;

        return (binned ? image_destroy : image_remove)(rq->fs->model, &rq->caller, child, &rq->diag);
}

static int images_rename(struct req *rq, uint64_t child, struct node to, const char *name)
{
        if (to.kind != KIND_IMAGES || to.row != 0)
                return diag_set(&rq->diag, -EPERM, "an image stays among the images of its region: %s", ways_in(to.kind));
        return image_move(rq->fs->model, &rq->caller, child, dir_class_region(to.oid), class_of(to.oid), name, &rq->diag);
}

/* Of what is in the recycle bin nobody chooses the name. */
static int images_taken(struct req *rq, uint64_t oid, const char *name)
{
        if (class_of(oid) == CLASS_RECYCLE)
                return diag_set(&rq->diag, -EEXIST, "recycle has one of the name %s already: rmdir deletes this one, too, and "
                                "numbers it", name);
        return diag_set(&rq->diag, -EEXIST, "%s is taken: choose another name, or remove it first", name);
}

const struct dir_kind dir_images = {
        .name = "images",
        .child = KIND_IMAGE,
        .child_name = "<image>",
        .object_kind = OBJECT_REGION,
        .object = images_object,
        .change = images_change,
        .list = images_list,
        .find = images_find,
        .make = images_make,
        .create = images_create,
        .created = images_created,
        .draft = images_draft,
        .imports = true,
        .remove = images_remove,
        .crowded = true,
        .rename = images_rename,
        .taken = images_taken,
};
