/* SPDX-License-Identifier: MIT */
/*
 * Things that are shown, made and removed in a second place: an instance below its image, an image below the instance
 * that it was made of, a disk below its snapshot, a snapshot below its disk.
 *
 * A directory cannot have two places (Linux keeps one name for each), and a link to it could not be removed with rmdir.
 * So the second place is a directory that holds a link to each entry of the first: paths through it work, and a backup
 * finds every byte once.
 *
 * What it shows of other things in turn (the images made of an instance …) is found there and not listed: things can be
 * made of each other in a circle, and who follows links would walk it without end.
 *
 * oid is that of the thing; a link's is oid << MIRROR_BITS | number of the entry.
 */

#include "fs/tree/dir.h"

#define MIRROR_BITS 8
_Static_assert(ENTRY_NUMBER_MAX < 1 << MIRROR_BITS, "an entry's number must fit into a link's oid");

/* Are there second places in that directory? */
static bool leads_on(const struct entry *e)
{
        return e->dir == KIND_IMAGE_INSTANCES || e->dir == KIND_INSTANCE_IMAGES || e->dir == KIND_SNAPSHOT_VOLUMES ||
               e->dir == KIND_VOLUME_SNAPSHOTS;
}

static int mirror_each(struct req *rq, const struct dir_kind *of, uint64_t oid, bool unlisted, child_fn *fn, void *ctx)
{
        int r;

        for (const struct entry *e = of->entries; e->name; e++) {
                if (((e->flags & ENTRY_UNLISTED) || leads_on(e)) && !unlisted)
                        continue;
                rq->entry = e;
                rq->oid = oid;
                if (e->visible && !e->visible(rq))
                        continue;
                r = fn(ctx, &(struct child){ .name = e->name, .oid = oid << MIRROR_BITS | e->number, .type = DT_LNK });
                if (r != 0)
                        return r;
        }
        return 0;
}

static int mirror_target(struct strbuf *out, const struct dir_kind *of, uint64_t child)
{
        const struct entry *e = kind_entry(of, child & ((1U << MIRROR_BITS) - 1));

        if (!e)
                return -ENOENT;
        strbuf_addf(out, "/%s", e->name);
        return 0;
}

/*
 * One kind of second place: TITLE of what the kind OF shows, with OBJECT_GET to get the thing's object, and PATH to
 * lead to its first place. What follows is set besides.
 */
#define DEFINE_MIRROR(stem, title, of, kind_of_object, object_get, path, ...)                                       \
        static int stem##_object(struct req *rq, uint64_t oid, struct object *ret)                                  \
        {                                                                                                           \
                return object_get(rq->fs->model, oid, ret);                                                         \
        }                                                                                                           \
        static int stem##_child_object(struct req *rq, uint64_t child, struct object *ret)                          \
        {                                                                                                           \
                return object_get(rq->fs->model, child >> MIRROR_BITS, ret);                                        \
        }                                                                                                           \
        static int stem##_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)                               \
        {                                                                                                           \
                return mirror_each(rq, of, oid, false, fn, ctx);                                                    \
        }                                                                                                           \
        static int stem##_list_all(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)                           \
        {                                                                                                           \
                return mirror_each(rq, of, oid, true, fn, ctx);                                                     \
        }                                                                                                           \
        static int stem##_find(struct req *rq, uint64_t oid, const char *name, struct child *ret,                   \
                               struct object *ret_object)                                                           \
        {                                                                                                           \
                (void)ret_object;                                                                                   \
                return dir_find_in(stem##_list_all, rq, oid, name, ret);                                            \
        }                                                                                                           \
        static int stem##_target(struct req *rq, uint64_t child, struct strbuf *out)                                \
        {                                                                                                           \
                int r = path(rq, child >> MIRROR_BITS, out);                                                        \
                                                                                                                    \
                return r < 0 ? r : mirror_target(out, of, child);                                                   \
        }                                                                                                           \
        const struct dir_kind dir_##stem = {                                                                        \
                .name = title,                                                                                      \
                .child = KIND_NONE,                                                                                 \
                .object_kind = kind_of_object,                                                                      \
                .object = stem##_object,                                                                            \
                .child_object = stem##_child_object,                                                                \
                .list = stem##_list,                                                                                \
                .find = stem##_find,                                                                                \
                .target = stem##_target,                                                                            \
                __VA_ARGS__                                                                                         \
        }

/* From regions/<r>/<class>/<image>/instances/<instance>/. */
static int instance_path(struct req *rq, uint64_t id, struct strbuf *out)
{
        struct object o;
        int r = instance_get_object(rq->fs->model, id, &o);

        if (r == 0)
                strbuf_addf(out, "../../../../instances/%s", o.handle);
        return r;
}

/* In shared/ for as long as the image is shared. */
static int shared_instance_enter(struct req *rq, const struct object *o)
{
        const struct instance *i;
        int r = req_instance(rq, o->id, &i);

        return r < 0 ? r : share_check(rq->fs->model, &rq->caller, i->image, &rq->diag);
}

/* From regions/<r>/instances/<instance>/images/<image>/. */
static int image_path(struct req *rq, uint64_t id, struct strbuf *out)
{
        const struct image *i;
        int r = req_image(rq, id, &i);

        if (r == 0)
                strbuf_addf(out, "../../../../%s/%s", image_class_name(i->class), i->o.handle);
        return r;
}

/* From regions/<r>/snapshots/<snapshot>/disks/<disk>/. */
static int volume_path(struct req *rq, uint64_t id, struct strbuf *out)
{
        struct object o;
        int r = volume_get_object(rq->fs->model, id, &o);

        if (r == 0)
                strbuf_addf(out, "../../../../disks/%s", o.handle);
        return r;
}

/* From regions/<r>/disks/<disk>/snapshots/<snapshot>/. */
static int snapshot_path(struct req *rq, uint64_t id, struct strbuf *out)
{
        struct object o;
        int r = snapshot_get_object(rq->fs->model, id, &o);

        if (r == 0)
                strbuf_addf(out, "../../../../snapshots/%s", o.handle);
        return r;
}

DEFINE_MIRROR(image_instance, "instance", &dir_instance, OBJECT_INSTANCE, instance_get_object, instance_path);
DEFINE_MIRROR(shared_instance, "instance", &dir_instance, OBJECT_INSTANCE, instance_get_object, instance_path,
              .enter = shared_instance_enter);
DEFINE_MIRROR(instance_image, "image", &dir_image, OBJECT_IMAGE, image_get_object, image_path);
DEFINE_MIRROR(snapshot_volume, "disk", &dir_volume, OBJECT_VOLUME, volume_get_object, volume_path);
DEFINE_MIRROR(volume_snapshot, "snapshot", &dir_snapshot, OBJECT_SNAPSHOT, snapshot_get_object, snapshot_path);
