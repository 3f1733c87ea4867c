/* SPDX-License-Identifier: MIT */
/*
 * Blobs as files, in each of their formats: immutable, so that what the kernel has cached stays good for ever, and
 * nothing is to be flushed. Stored data is never mapped: an I/O error would then kill the daemon instead of failing one
 * read.
 */

#include <fcntl.h>

#include "blobstore/base/log.h"
#include "fs/ops/file.h"
#include "fs/ops/read_ahead.h"
#include "fs/ops/reply.h"
#include "fs/ops/reply_buffer.h"
#include "fs/ops/spread.h"

/* Reads up to this are small: a sequential reader's come in larger pieces, since the kernel reads ahead. */
#define DATA_SMALL (32 << 10)

struct data {
        struct file file;
        struct export *content;
};

/* Answers a small read within one chunk from the whole of it, which the kernel then gets too. False: it did not. */
static bool data_read_spread(struct req *rq, const struct data *d, size_t size, uint64_t off)
{
        struct spread *spread = rq->fs->spread;
        struct spread_piece *piece;
        uint64_t from;
        bool good;
        size_t n;

        if (size > DATA_SMALL || export_stretch(d->content, off, &from, &n) <= 0)
                return false;
        if (n > SPREAD_BYTES_MAX || n <= size || off - from > n - size)
                return false;
        piece = spread_take(spread);
        if (!piece)
                return false;

        piece->ino = node_ino(d->file.node);
        piece->off = from;
        good = export_pread(d->content, piece->bytes, n, from) == (ssize_t)n;
        if (good)
                reply_data(rq, piece->bytes + (off - from), size);
        piece->n = good ? n : 0;
        spread_give(spread, piece);
        return good;
}

static void data_read(struct req *rq, struct file *f, size_t size, off_t off)
{
        struct data *d = (struct data *)f;
        char *buf;
        ssize_t n;

        if (data_read_spread(rq, d, size, (uint64_t)off))
                return;
        buf = reply_buffer(size);
        if (!buf) {
                reply_error(rq, -ENOMEM);
                return;
        }
        n = export_pread(d->content, buf, size, (uint64_t)off);
        if (n == -EBADMSG)
                n = diag_set(&rq->diag, -EIO, "stored data is damaged at offset %lld: restore it from a copy, imagefs "
                             "check names what else is concerned", (long long)off);
        if (n < 0)
                reply_refusal(rq, f->node, (int)n);
        else
                reply_data(rq, buf, (size_t)n);
}

static ssize_t data_fetch(struct file *f, void *buf, size_t n, uint64_t off)
{
        return export_pread(((struct data *)f)->content, buf, n, off);
}

static struct blob *data_blob(struct file *f)
{
        return export_get_blob(((struct data *)f)->content);
}

static int data_seek(struct req *rq, struct file *f, off_t off, int whence, off_t *ret)
{
        struct data *d = (struct data *)f;
        uint64_t found;
        int r;

        (void)rq;
        if (off < 0)
                return -ENXIO;
        r = export_seek(d->content, (uint64_t)off, whence, &found);
        if (r < 0)
                return r;
        *ret = (off_t)found;
        return 0;
}

static uint64_t data_store(const struct req *rq, const struct file *f)
{
        return model_store_of(rq->fs->model, export_store(((const struct data *)f)->content));
}

static void data_release(struct file *f)
{
        struct data *d = (struct data *)f;

        export_close(d->content);
        free(d);
}

static const struct file_ops data_ops = {
        .read = data_read,
        .seek = data_seek,
        .fetch = data_fetch,
        .blob = data_blob,
        .store = data_store,
        .release = data_release,
};

int data_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi)
{
        const struct blob_ops *blob = n.row == ROW_CHILD ? tree_kind(n.kind)->blob : tree_entry(n)->blob;
        struct data *d;
        int r;

        if ((flags & O_ACCMODE) != O_RDONLY)
                return diag_set(&rq->diag, -EROFS, "images and snapshots never change");

        read_ahead_raise(rq->fs);
        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        r = blob->open(rq, n.oid, &d->content);
        if (r < 0) {
                free(d);
                return r == -ENOENT ? -ESTALE : r;
        }
        d->file = (struct file){ .ops = &data_ops, .node = n };
        fi->keep_cache = 1;
        fi->noflush = 1;
        fi->fh = (uintptr_t)d;
        return 0;
}
