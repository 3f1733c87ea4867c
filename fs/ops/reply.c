/* SPDX-License-Identifier: MIT */

#include "fs/ops/reply.h"

#include <string.h>

#include "blobstore/base/log.h"
#include "fs/ops/attr.h"
#include "fs/tree/tree.h"
#include "fs/tree/ways.h"
#include "model/core/user.h"

void reply_error(struct req *rq, int error)
{
        /* the store's own word for damage is not one that users know */
        if (error == -EBADMSG)
                error = -EIO;
        (void)fuse_reply_err(rq->fuse, -error); /* fails only when nobody waits for the answer any more */
}

/* The object whose last-error is to say it. */
struct answerable {
        enum object_kind kind; /* OBJECT_NONE: there is none */
        uint64_t id;
        char device[8]; /* of an instance's own disk, which has no directory to have a last-error in */
};

static void reply_find_answerable(struct req *rq, struct node n, struct answerable *ret)
{
        const struct volume *v;
        struct object o;

        *ret = (struct answerable){ .kind = OBJECT_NONE };
        if (attr_object(rq, n, &o) < 0)
                return;
        ret->kind = tree_kind(n.kind)->object_kind;
        ret->id = o.id;
        if (ret->kind != OBJECT_VOLUME || req_volume(rq, o.id, &v) < 0 || v->cloud)
                return;
        ret->kind = OBJECT_INSTANCE;
        ret->id = v->instance;
        (void)snprintf(ret->device, sizeof(ret->device), "%s", v->device);
}

static void reply_add_dir(struct strbuf *out, struct node dir, uint64_t id)
{
        const char *name = tree_subdir_name(dir, id);

        if (name)
                strbuf_addf(out, "%s/", name);
}

/* A name that could be one, whole; of others the beginning. */
static void reply_add_name(struct strbuf *out, const char *name)
{
        size_t n = text_fit(name, NAME_LEN_MAX);

        strbuf_add_bytes(out, name, n);
        if (name[n])
                strbuf_add(out, "…");
}

/* What was done, where the object's directory is the working directory. */
static void reply_operation(const struct req *rq, struct node n, const struct answerable *a, struct diag *ret)
{
        CLEANUP_STRBUF struct strbuf path = { 0 };
        const struct doing *d = &rq->doing;
        const struct entry *entry = tree_entry(n);

        if (d->name) {
                if (tree_kind(d->in.kind) && tree_kind(d->in.kind)->object_kind == a->kind)
                        reply_add_dir(&path, d->in, a->id);
                reply_add_name(&path, d->name);
        } else if (a->device[0]) {
                strbuf_addf(&path, "disks/%s.raw", a->device);
        } else {
                reply_add_dir(&path, (struct node){ .kind = n.kind, .oid = n.oid }, a->id);
                if (entry)
                        strbuf_add(&path, entry->name);
                else if (path.len > 0)
                        path.text[--path.len] = '\0';
        }
        if (d->to) {
                strbuf_add(&path, " to ");
                reply_add_name(&path, d->to);
        }
        (void)diag_set(ret, -EINVAL, "%s%s%s", d->verb ?: "use", path.len ? " " : "", strbuf_text(&path));
}

void reply_refusal(struct req *rq, struct node n, int error)
{
        const char *sentence = rq->diag.text;
        struct diag operation = { 0 };
        struct answerable a;

        if (error == -EINTR) { /* who asked has gone */
                reply_error(rq, error);
                return;
        }
        user_name_in(&rq->diag);
        reply_find_answerable(rq, n, &a);
        reply_operation(rq, n, &a, &operation);
        if (!rq->diag.error) {
                (void)diag_set(&rq->diag, error, "%s: %s", strerror(-error), ways_out(error));
        }
        if (error == -EIO || error == -EBADMSG || error == -ENOMEM)
                log_errno(error, "%s of node %#llx", sentence, (unsigned long long)node_ino(n));
        refusal_record(rq->fs->model, &rq->caller, a.kind, a.id, error, operation.text, sentence);
        reply_error(rq, error);
}

void reply_done(struct req *rq, struct node n)
{
        struct answerable a;

        if (!refusal_is_told(rq->fs->model, &rq->caller))
                return;
        reply_find_answerable(rq, n, &a);
        if (a.kind != OBJECT_NONE)
                refusal_over(rq->fs->model, &rq->caller, a.kind, a.id);
}

int reply_fill_entry(struct req *rq, struct node n, const struct object *o, struct fuse_entry_param *ret)
{
        int r;

        *ret = (struct fuse_entry_param){ .ino = node_ino(n), .generation = node_generation(n) };
        r = attr_get(rq, n, o && o->id ? o : NULL, &ret->attr, &ret->attr_timeout);
        if (r < 0)
                return r;
        ret->entry_timeout = attr_entry_timeout(n, ret->attr_timeout);
        return 0;
}
