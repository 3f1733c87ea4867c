/* SPDX-License-Identifier: MIT */
/*
 * A guest's file, open to be read. Where its bytes are is asked for as they are read, so that all reading is for the threads
 * that read disks (later.h).
 */

#include <fcntl.h>

#include "fs/ops/file.h"
#include "fs/ops/guest_node.h"
#include "fs/ops/reply.h"
#include "fs/ops/reply_buffer.h"

struct open_guest {
        struct file file;
        struct guest_file *content;
};

static void file_read(struct req *rq, struct file *f, size_t size, off_t off)
{
        const struct open_guest *g = (const struct open_guest *)f;
        struct guest_asker a;
        char *buf = reply_buffer(size);
        ssize_t n;

        if (!buf) {
                reply_error(rq, -ENOMEM);
                return;
        }
        n = guest_node_asker(rq, f->node, &a);
        if (n == 0)
                n = guest_pread(rq->fs->model, &a, g->content, buf, size, (uint64_t)off, &rq->diag);
        if (n == -EBADMSG && !rq->diag.error)
                n = diag_set(&rq->diag, -EIO, "stored data is damaged there: restore the image from a copy, imagefs check names "
                             "what else is concerned");
        if (n == -ESTALE)
                reply_error(rq, (int)n);
        else if (n < 0)
                reply_refusal(rq, f->node, (int)n);
        else
                reply_data(rq, buf, (size_t)n);
}

static void file_release(struct file *f)
{
        struct open_guest *g = (struct open_guest *)f;

        guest_close(g->content);
        free(g);
}

static const struct file_ops guest_ops = {
        .read = file_read,
        .release = file_release,
};

int guest_file_open(struct req *rq, struct node n, struct fuse_file_info *fi)
{
        struct guest_asker a;
        struct open_guest *g;
        int r;

        if ((fi->flags & O_ACCMODE) != O_RDONLY)
                return guest_node_refuse_change(rq, n);
        g = calloc(1, sizeof(*g));
        if (!g)
                return -ENOMEM;
        r = guest_node_asker(rq, n, &a);
        if (r == 0)
                r = guest_open(rq->fs->model, &a, guest_number(n), &rq->diag, &g->content);
        if (r < 0) {
                free(g);
                return r;
        }
        g->file = (struct file){ .ops = &guest_ops, .node = n };
        fi->keep_cache = 1;
        fi->noflush = 1;
        fi->fh = (uintptr_t)g;
        return 0;
}
