/* SPDX-License-Identifier: MIT */
/*
 * Temporary files, wherever they are: children of a directory that is never found.
 */

#include "fs/tree/dir.h"
#include "fs/tree/scratch.h"

static struct node scratch_node(uint64_t oid)
{
        return (struct node){ .kind = KIND_SCRATCH, .row = ROW_CHILD, .oid = oid };
}

static int scratch_object(struct req *rq, uint64_t oid, struct object *ret)
{
        uint64_t ignored;

        return scratch_describe(rq->fs->scratches, scratch_node(oid), ret, &ignored);
}

static int scratch_measure(struct req *rq, uint64_t oid, struct stat *ret)
{
        uint64_t size_bytes;
        struct object o;
        int r;

        r = scratch_describe(rq->fs->scratches, scratch_node(oid), &o, &size_bytes);
        if (r < 0)
                return r;
        ret->st_size = (off_t)size_bytes;
        ret->st_blocks = (blkcnt_t)((size_bytes + 511) / 512);
        return 0;
}

const struct dir_kind dir_scratch = {
        .name = "scratch",
        .mode = 0700,
        .child = KIND_NONE,
        .object = scratch_object,
        .measure_child = scratch_measure,
};
