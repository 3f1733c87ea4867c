/* SPDX-License-Identifier: MIT */
/*
 * What stands for a file or a directory while the kernel is told that it was removed, and it was not: see ops/parting.h.
 * Who asked sees it for as long as that takes, nobody else ever.
 */

#include "fs/tree/dir.h"

static int buried_show(struct req *rq, uint64_t child, struct strbuf *out)
{
        (void)rq;
        (void)child;
        (void)out;
        return 0;
}

const struct dir_kind dir_buried = {
        .name = "buried",
        .mode = 0555,
        .child = KIND_NONE,
        .object = dir_root_object,
        .show_child = buried_show,
};
