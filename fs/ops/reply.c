/* SPDX-License-Identifier: MIT */

#include "fs/ops/reply.h"

#include <string.h>

#include "blobstore/base/log.h"
#include "fs/ops/attr.h"
#include "fs/tree/tree.h"
#include "model/core/user.h"

void reply_error(struct req *rq, int error)
{
        /* the store's own word for damage is not one that users know */
        if (error == -EBADMSG)
                error = -EIO;
        (void)fuse_reply_err(rq->fuse, -error); /* fails only when nobody waits for the answer any more */
}

/* The object whose last-error is to say it. An instance's own disk has no directory to have one in. */
static enum object_kind reply_answerable(struct req *rq, struct node n, uint64_t *ret_id)
{
        enum object_kind kind;
        const struct volume *v;
        struct object o;

        if (attr_object(rq, n, &o) < 0)
                return OBJECT_NONE;
        kind = tree_kind(n.kind)->object_kind;
        *ret_id = o.id;
        if (kind != OBJECT_VOLUME || req_volume(rq, o.id, &v) < 0 || v->cloud)
                return kind;
        *ret_id = v->instance;
        return OBJECT_INSTANCE;
}

void reply_refusal(struct req *rq, struct node n, int error)
{
        const char *sentence = rq->diag.text;
        enum object_kind kind;
        uint64_t id = 0;

        if (error == -EINTR) { /* who asked has gone */
                reply_error(rq, error);
                return;
        }
        user_name_in(&rq->diag);
        kind = reply_answerable(rq, n, &id);
        if (!rq->diag.error) {
                (void)diag_set(&rq->diag, error, "%s: not possible here", strerror(-error));
                if (error == -EIO || error == -EBADMSG)
                        (void)diag_set(&rq->diag, error, "the library's disk failed, or its data is damaged: run "
                                       "imagefs check");
        }
        if (error == -EIO || error == -EBADMSG || error == -ENOMEM)
                log_errno(error, "%s of node %#llx", sentence, (unsigned long long)node_ino(n));
        refusal_record(rq->fs->model, &rq->caller, kind, id, error, sentence);
        reply_error(rq, error);
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
