/* SPDX-License-Identifier: MIT */
/*
 * A request: who asks, and the objects that were loaded for it.
 */

#include "fs/tree/req.h"

#include <limits.h>

/* The kernel says so only in /proc, which is read once for a request: lists ask for many groups. */
static void load_groups(struct req *rq)
{
        int n;

        if (rq->groups || !rq->fuse)
                return;
        n = fuse_req_getgroups(rq->fuse, 0, NULL);
        if (n <= 0)
                return;
        rq->groups = calloc((size_t)n, sizeof(*rq->groups));
        if (!rq->groups)
                return;
        rq->n_groups = fuse_req_getgroups(rq->fuse, n, rq->groups);
        if (rq->n_groups > n) /* they became more between the two */
                rq->n_groups = n;
}

static bool req_in_group(const struct caller *c, gid_t gid)
{
        struct req *rq = (struct req *)((char *)c - offsetof(struct req, caller));

        load_groups(rq);
        for (int i = 0; i < rq->n_groups; i++)
                if (rq->groups[i] == gid)
                        return true;
        return false;
}

void req_init_as(struct req *rq, struct fs *fs, fuse_req_t fuse, uid_t uid, gid_t gid)
{
        *rq = (struct req){
                .fs = fs,
                .fuse = fuse && fuse_req_ctx(fuse)->uid == uid ? fuse : NULL,
                .caller = {
                        .uid = uid,
                        .gid = gid,
                        .admin = uid == 0 || uid == fs->uid,
                        .in_group = req_in_group,
                },
        };
}

void req_init(struct req *rq, fuse_req_t fuse)
{
        const struct fuse_ctx *ctx = fuse_req_ctx(fuse);

        req_init_as(rq, fuse_req_userdata(fuse), fuse, ctx->uid, ctx->gid);
}

void req_forget(struct req *rq)
{
        free(TAKE_PTR(rq->image));
        free(TAKE_PTR(rq->snapshot));
        free(TAKE_PTR(rq->task));
        free(TAKE_PTR(rq->region));
        free(TAKE_PTR(rq->instance));
        free(TAKE_PTR(rq->volume));
        free(TAKE_PTR(rq->follow));
}

void req_done(struct req *rq)
{
        free(TAKE_PTR(rq->groups));
        req_forget(rq);
}

/* One loader per kind of object: they differ in nothing but the type. */
#define DEFINE_REQ_LOADER(type, get, object_of)                                                  \
        int req_##type(struct req *rq, uint64_t id, const struct type **ret)                     \
        {                                                                                        \
                CLEANUP_FREE struct type *loaded = NULL;                                         \
                int r;                                                                           \
                                                                                                 \
                if (!rq->type || rq->type->object_of.id != id) {                                 \
                        loaded = malloc(sizeof(*loaded));                                        \
                        if (!loaded)                                                             \
                                return -ENOMEM;                                                  \
                        r = get(rq->fs->model, id, loaded);                                      \
                        if (r < 0)                                                               \
                                return r;                                                        \
                        free(rq->type);                                                          \
                        rq->type = TAKE_PTR(loaded);                                             \
                }                                                                                \
                *ret = rq->type;                                                                 \
                return 0;                                                                        \
        }

DEFINE_REQ_LOADER(image, image_get, o)
DEFINE_REQ_LOADER(snapshot, snapshot_get, o)
DEFINE_REQ_LOADER(task, task_get, o)
DEFINE_REQ_LOADER(region, region_get, o)
DEFINE_REQ_LOADER(instance, instance_get, o)
DEFINE_REQ_LOADER(volume, volume_get, o)
DEFINE_REQ_LOADER(follow, follow_get, o)
