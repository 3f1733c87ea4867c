/* SPDX-License-Identifier: MIT */
/*
 * Uploads as files: what is written goes straight into the store's incoming file, spliced where the kernel allows it.
 */

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>

#include "blobstore/base/io.h"
#include "fs/alias.h"
#include "fs/file.h"
#include "fs/ops.h"
#include "model/upload.h"

struct inflow {
        struct file file;
        struct upload *upload;
        struct aliases *aliases;
        atomic_uint_fast64_t written; /* bytes, of all writes */
};

/* What can only be written reads as empty. */
static void inflow_read(struct req *rq, struct file *f, size_t size, off_t off)
{
        (void)f;
        (void)size;
        (void)off;
        (void)fuse_reply_buf(rq->fuse, NULL, 0);
}

static void inflow_write(struct req *rq, struct file *f, struct fuse_bufvec *in, off_t off)
{
        struct inflow *i = (struct inflow *)f;
        size_t size = fuse_buf_size(in);
        struct fuse_bufvec out = FUSE_BUFVEC_INIT(size);
        ssize_t n;
        int r;

        r = upload_may_write(i->upload, (uint64_t)off, size, &rq->diag);
        if (r < 0) {
                upload_lost(i->upload, r);
                ops_refuse(rq, f->node, r);
                return;
        }
        out.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
        out.buf[0].fd = upload_fd(i->upload);
        out.buf[0].pos = off;
        n = fuse_buf_copy(&out, in, 0);
        if (n == -ENOSPC || n == -EDQUOT)
                n = diag_set(&rq->diag, -ENOSPC, "the store's disk is full: delete something, or have it enlarged");
        if (n < 0) {
                upload_lost(i->upload, (int)n);
                ops_refuse(rq, f->node, (int)n);
                return;
        }
        upload_wrote(i->upload, (uint64_t)off, (uint64_t)n);
        io_let_go(upload_fd(i->upload), atomic_fetch_add(&i->written, (uint64_t)n), (uint64_t)n);
        (void)fuse_reply_write(rq->fuse, (size_t)n);
}

static int inflow_truncate(struct req *rq, struct file *f, uint64_t size)
{
        return upload_truncate(((struct inflow *)f)->upload, size, &rq->diag);
}

static int inflow_flush(struct req *rq, struct file *f)
{
        return upload_check(((struct inflow *)f)->upload, &rq->diag);
}

static void inflow_release(struct file *f)
{
        struct inflow *i = (struct inflow *)f;

        alias_end(i->aliases, upload_image(i->upload));
        upload_close(i->upload);
        free(i);
}

static const struct file_ops inflow_ops = {
        .read = inflow_read,
        .write = inflow_write,
        .truncate = inflow_truncate,
        .flush = inflow_flush,
        .release = inflow_release,
};

int inflow_open(struct req *rq, struct node n, uint64_t image, int flags, struct fuse_file_info *fi)
{
        struct inflow *i;
        int r;

        i = calloc(1, sizeof(*i));
        if (!i)
                return -ENOMEM;
        i->file = (struct file){ .ops = &inflow_ops, .node = n };
        i->aliases = rq->fs->aliases;
        r = upload_open(rq->fs->model, &rq->caller, image, &rq->diag, &i->upload);
        if (r < 0) {
                free(i);
                return r;
        }
        if (flags & O_TRUNC) {
                r = upload_truncate(i->upload, 0, &rq->diag);
                if (r < 0) {
                        inflow_release(&i->file);
                        return r;
                }
        }
        fi->direct_io = 1;
        fi->fh = (uintptr_t)i;
        return 0;
}
