/* SPDX-License-Identifier: MIT */

#include "fs/ops/permit.h"

#include "fs/ops/attr.h"
#include "fs/ops/grant.h"
#include "fs/ops/guest_node.h"

int permit_enter(struct req *rq, struct node n)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        struct object o;
        int r;

        if (!kind || !kind->enter)
                return 0;
        r = attr_object(rq, n, &o);
        return r < 0 ? r : kind->enter(rq, &o);
}

static int permit_refuse(struct req *rq, const struct object *o)
{
        if (!o->handle[0])
                return -EACCES;
        return diag_set(&rq->diag, -EACCES, "%s: its modes do not let you: ask its owner, or the administrator",
                        o->handle);
}

int permit(struct req *rq, struct node n, mode_t rwx)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        struct object o;
        int r;

        if (!kind)
                return -ESTALE;
        if (rq->caller.admin || grant_allows(rq, n, rwx))
                return 0;
        r = attr_object(rq, n, &o);
        if (r < 0)
                return r;

        /* a file is as far away as its directory */
        if (n.row != 0 && !kind->mode && !object_allows(&o, &rq->caller, PERMIT_SEARCH))
                return permit_refuse(rq, &o);
        if (kind->enter) {
                r = kind->enter(rq, &o);
                if (r < 0)
                        return r;
        }
        attr_access(rq, n, &o);
        return object_allows(&o, &rq->caller, rwx) ? 0 : permit_refuse(rq, &o);
}

int permit_change(struct req *rq, struct node dir)
{
        const struct dir_kind *kind = tree_kind(dir.kind);
        int r;

        r = guest_node_refuse_change(rq, dir);
        if (r == 0)
                r = permit(rq, dir, PERMIT_WRITE | PERMIT_SEARCH);
        return r == 0 && kind->change && !rq->caller.admin ? kind->change(rq, dir.oid) : r;
}
