/* SPDX-License-Identifier: MIT */
/*
 * Where an object is. Whoever reads a log or a list of refusals knows paths; numbers are the kernel's.
 */

#include "fs/tree/path.h"

#include "fs/tree/dir.h"

static int path_add_region(struct req *rq, struct strbuf *out, uint64_t id)
{
        const struct region *region;
        int r = req_region(rq, id, &region);

        if (r == 0)
                strbuf_addf(out, "/regions/%s", region->o.handle);
        return r;
}

/* What lies in directory NAME of its region. */
static int path_add_in(struct req *rq, struct strbuf *out, uint64_t region, const char *name, const struct object *o)
{
        int r = path_add_region(rq, out, region);

        if (r == 0)
                strbuf_addf(out, "/%s/%s", name, o->handle);
        return r;
}

int path_add(struct req *rq, enum object_kind kind, uint64_t id, bool shared, struct strbuf *out)
{
        const struct snapshot *s;
        const struct instance *i;
        const struct volume *v;
        const struct follow *f;
        const struct image *image;
        const struct task *t;
        int r = 0;

        switch (kind) {
        case OBJECT_NONE:
                return 0;
        case OBJECT_REGION:
                return path_add_region(rq, out, id);
        case OBJECT_IMAGE:
                r = req_image(rq, id, &image);
                return r < 0 ? r : path_add_in(rq, out, image->region, shared ? "shared" : image_class_name(image->class),
                                               &image->o);
        case OBJECT_SNAPSHOT:
                r = req_snapshot(rq, id, &s);
                return r < 0 ? r : path_add_in(rq, out, s->region, "snapshots", &s->o);
        case OBJECT_INSTANCE:
                r = req_instance(rq, id, &i);
                return r < 0 ? r : path_add_in(rq, out, i->region, "instances", &i->o);
        case OBJECT_VOLUME:
                r = req_volume(rq, id, &v);
                return r < 0 ? r : path_add_in(rq, out, v->region, "disks", &v->o);
        case OBJECT_FOLLOW:
                r = req_follow(rq, id, &f);
                return r < 0 ? r : path_add_in(rq, out, f->region, "follows", &f->o);
        case OBJECT_TASK:
                r = req_task(rq, id, &t);
                if (r == 0)
                        strbuf_addf(out, "/tasks/%s", t->o.handle);
                return r;
        }
        return -ENOENT;
}
