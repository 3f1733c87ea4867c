/* SPDX-License-Identifier: MIT */

#include "fs/permit.h"

#include "fs/attr.h"

int permit(struct req *rq, struct node n, mode_t rwx)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        struct object o;
        int r;

        if (!kind)
                return -ESTALE;
        if (rq->caller.admin)
                return 0;
        r = attr_object(rq, n, &o);
        if (r < 0)
                return r;

        /* a file is as far away as its directory */
        if (n.row != 0 && !kind->mode && !object_allows(&o, &rq->caller, PERMIT_SEARCH))
                return -EACCES;
        attr_access(rq, n, &o);
        return object_allows(&o, &rq->caller, rwx) ? 0 : -EACCES;
}
