/* SPDX-License-Identifier: MIT */
/*
 * regions/<region>/copy-targets/<id>,<id>…: where a selection of images could be copied to. Nothing in it is listed.
 */

#include "fs/tree/dir.h"
#include "fs/tree/selection.h"

int dir_add_copy_target(void *ctx, const struct copy_target *t)
{
        strbuf_addf(ctx, "%s private-images=%llu/%llu snapshots=%llu/%llu needs-snapshots=%llu bytes-to-move=%llu\n",
                    t->region, (unsigned long long)t->private_images.used, (unsigned long long)t->private_images.limit,
                    (unsigned long long)t->snapshots.used, (unsigned long long)t->snapshots.limit,
                    (unsigned long long)t->needs_snapshots, (unsigned long long)t->bytes_to_move);
        return 0;
}

static int targets_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        CLEANUP_FREE uint64_t *images = NULL;
        uint64_t number;
        size_t n;
        int r;

        (void)ret_object;
        r = copy_selection_find(rq->fs->model, &rq->caller, oid, name, &rq->diag, &images, &n);
        if (r == 0)
                r = selection_number(rq->fs->selections, rq->caller.uid, images, n, &number);
        if (r == 0)
                *ret = (struct child){ .oid = number, .type = DT_REG };
        return r;
}

/* Whoever has the file: the caller's rights are looked at now. */
static int targets_show(struct req *rq, uint64_t child, struct strbuf *out)
{
        CLEANUP_FREE uint64_t *images = NULL;
        size_t n;
        int r;

        r = selection_get(rq->fs->selections, child, &images, &n);
        if (r == 0)
                r = copy_selection_check(rq->fs->model, &rq->caller, images, n, &rq->diag);
        return r < 0 ? r : image_copy_targets(rq->fs->model, &rq->caller, images, n, dir_add_copy_target, out);
}

const struct dir_kind dir_copy_targets = {
        .name = "copy-targets",
        .mode = 0755,
        .child = KIND_NONE,
        .object_kind = OBJECT_REGION,
        .object = dir_region_object,
        .child_object = dir_root_object,
        .find = targets_find,
        .show_child = targets_show,
};
