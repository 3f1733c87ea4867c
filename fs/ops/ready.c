/* SPDX-License-Identifier: MIT */

#include "fs/ops/ready.h"

#include <string.h>

#include "fs/ops/permit.h"
#include "fs/ops/reply.h"
#include "fs/tree/tree.h"

/* What is behind the name: sub-directories are there whatever is ready, and who has no children knows what is not there. */
static bool is_told_at_once(const struct dir_kind *kind, const char *name)
{
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return true;
        for (const struct entry *e = kind->entries; e && e->name; e++)
                if (strcmp(e->name, name) == 0)
                        return e->dir;
        return !kind->find;
}

bool ready_concerns(struct node n)
{
        const struct dir_kind *kind = tree_kind(n.kind);

        return kind && kind->make_ready;
}

bool ready_awaits(fuse_req_t fuse, struct node n, const char *name)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        CLEANUP_REQ struct req rq = { 0 };

        if (!ready_concerns(n) || (name && is_told_at_once(kind, name)))
                return false;
        req_init(&rq, fuse);
        return !kind->is_ready(&rq, n);
}

bool ready_make(fuse_req_t fuse, struct node n, const char *verb)
{
        CLEANUP_REQ struct req rq = { 0 };
        int r;

        req_init(&rq, fuse);
        rq.doing.verb = verb;
        r = permit(&rq, n, n.row ? PERMIT_READ : PERMIT_SEARCH);
        if (r == 0)
                r = tree_kind(n.kind)->make_ready(&rq, n);
        if (r == 0 || r == -EACCES) /* who may not is told so as ever */
                return true;
        if (rq.diag.error)
                reply_refusal(&rq, n, r);
        else
                reply_error(&rq, r);
        return false;
}
