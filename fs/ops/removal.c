/* SPDX-License-Identifier: MIT */

#include "fs/ops/removal.h"

#include <string.h>

#include "blobstore/base/lock.h"
#include "fs/ops/process.h"
#include "fs/tree/parent.h"

struct walks {
        pthread_mutex_t mutex; /* of the list, and of what changes in it */
        TAILQ_HEAD(, walk) list; /* as many as directories are open; it is walked for who removes */
};

int walks_new(struct walks **ret)
{
        struct walks *ws = calloc(1, sizeof(*ws));

        if (!ws)
                return -ENOMEM;
        (void)pthread_mutex_init(&ws->mutex, NULL); /* cannot fail without attributes */
        TAILQ_INIT(&ws->list);
        *ret = ws;
        return 0;
}

void walks_free(struct walks *ws)
{
        if (!ws)
                return;
        (void)pthread_mutex_destroy(&ws->mutex);
        free(ws);
}

void walk_begin(struct walks *ws, struct walk *w, fuse_ino_t dir, const struct fuse_ctx *who)
{
        *w = (struct walk){ .dir = dir, .pid = who->pid, .uid = who->uid };

        LOCK_SCOPE(&ws->mutex);
        TAILQ_INSERT_HEAD(&ws->list, w, link);
}

void walk_listed(struct walks *ws, struct walk *w)
{
        LOCK_SCOPE(&ws->mutex);
        w->listed = true;
}

void walk_end(struct walks *ws, struct walk *w)
{
        LOCK_SCOPE(&ws->mutex);
        TAILQ_REMOVE(&ws->list, w, link);
}

/* Who asks, as a process. */
struct walker {
        struct walks *ws;
        pid_t pid;
        uid_t uid;
};

static bool is_walkers(const struct walk *w, const struct walker *who)
{
        return w->listed && w->uid == who->uid && (w->pid == who->pid || process_of(w->pid) == who->pid);
}

/* Of them no whole is removed that has anything in it. */
static bool is_far_above(fuse_ino_t dir)
{
        const enum node_kind kind = node_of(dir).kind;

        return kind == KIND_REGION || kind == KIND_REGIONS || kind == KIND_ROOT;
}

/* Has the process something open that it may remove? */
static bool may_remove(const struct walker *who)
{
        const struct walk *w;
        bool found = false;
        LOCK_SCOPE(&who->ws->mutex);

        TAILQ_FOREACH(w, &who->ws->list, link) {
                if (!is_walkers(w, who))
                        continue;
                if (is_far_above(w->dir))
                        return false;
                found = true;
        }
        return found;
}

/* Has the process listed DIR? *ret_removes: and removes it. */
static bool walks_in(const struct walker *who, struct node dir, bool *ret_removes)
{
        const fuse_ino_t ino = node_ino(dir);
        const struct walk *w;
        bool found = false;
        LOCK_SCOPE(&who->ws->mutex);

        *ret_removes = false;
        TAILQ_FOREACH(w, &who->ws->list, link) {
                if (w->dir != ino || !is_walkers(w, who))
                        continue;
                found = true;
                *ret_removes |= w->removes;
        }
        return found;
}

static void set_removes(const struct walker *who, struct node dir)
{
        const fuse_ino_t ino = node_ino(dir);
        struct walk *w;
        LOCK_SCOPE(&who->ws->mutex);

        TAILQ_FOREACH(w, &who->ws->list, link)
                if (w->dir == ino && is_walkers(w, who))
                        w->removes = true;
}

static int take_first(void *ctx, const struct child *c)
{
        char *name = ctx;

        if (c->type == DT_DIR)
                return 0;
        (void)snprintf(name, NAME_LEN_MAX + 1, "%s", c->name);
        return 1;
}

/* Is the file the first that DIR lists, or would be if files came before directories? */
static bool is_first_file(struct req *rq, struct node dir, const char *name)
{
        const struct dir_kind *kind = tree_kind(dir.kind);
        char first[NAME_LEN_MAX + 1];

        for (const struct entry *e = kind->entries; e && e->name; e++) {
                rq->entry = e;
                rq->oid = dir.oid;
                if (!e->dir && !(e->flags & ENTRY_UNLISTED) && (!e->visible || e->visible(rq)))
                        return strcmp(e->name, name) == 0;
        }
        return kind->list && kind->list(rq, dir.oid, take_first, first) == 1 && strcmp(first, name) == 0;
}

/* Can rmdir remove it, some day? */
static bool is_object(struct req *rq, struct node dir)
{
        const struct dir_kind *above;
        struct node up;

        if (tree_subdir_of(dir, &up))
                return false;
        if (parent_find(rq, dir, &up) < 0) /* what is shown in a second place */
                return true;
        above = tree_kind(up.kind);
        return above->child == dir.kind && above->remove;
}

bool removal_has(struct req *rq, struct node dir, const char *name, bool file)
{
        const struct fuse_ctx *ctx = fuse_req_ctx(rq->fuse);
        const struct walker who = { .ws = rq->fs->walks, .pid = process_of(ctx->pid), .uid = ctx->uid };
        bool from_here, removes;
        struct node n = dir;

        if (!may_remove(&who))
                return false;
        from_here = walks_in(&who, dir, &removes);
        while (!removes && n.kind != KIND_ROOT && parent_find(rq, n, &n) == 0)
                (void)walks_in(&who, n, &removes);
        if (!removes && file && from_here && is_object(rq, dir) && is_first_file(rq, dir, name)) {
                removes = true;
                set_removes(&who, dir);
        }
        return removes;
}
