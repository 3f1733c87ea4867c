/* SPDX-License-Identifier: MIT */
/*
 * Uploads as files. What is opened for writing alone may be stored while it comes, and reads as empty; one that somebody
 * has opened for both can be read while it lasts.
 */

#include <fcntl.h>
#include <stdatomic.h>

#include "fs/ops/alias.h"
#include "fs/ops/file.h"
#include "fs/ops/frozen.h"
#include "fs/ops/handles.h"
#include "fs/ops/process.h"
#include "fs/ops/reply.h"
#include "fs/ops/reply_buffer.h"
#include "fs/ops/resent.h"
#include "model/intake/upload.h"

struct inflow {
        struct file file;
        struct upload *upload;
        struct aliases *aliases; /* NULL: of a data disk, which has one name */
};

static void inflow_read(struct req *rq, struct file *f, size_t size, off_t off)
{
        char *buf = reply_buffer(size);
        ssize_t n = -ENOMEM;

        if (buf)
                n = upload_read(((struct inflow *)f)->upload, buf, size, (uint64_t)off, &rq->diag);
        if (n < 0)
                reply_refusal(rq, f->node, (int)n);
        else
                (void)fuse_reply_buf(rq->fuse, buf, (size_t)n);
}

struct inflow_answer {
        struct req *rq;
        size_t size;
};

static void inflow_taken(void *ctx)
{
        const struct inflow_answer *a = ctx;

        reply_taken(a->rq, a->size);
}

/*
 * Where >> goes. The kernel takes the end from the last attributes, and who merely looks sees a file without a byte. One that
 * is sent once more may be there already.
 */
static uint64_t inflow_end(const struct inflow *i, size_t size, uint64_t off)
{
        const uint64_t end = upload_end_of(i->upload);

        return resent_is() && off + size <= end ? off : end;
}

/* Once answered, the file may be closed. */
static void inflow_write(struct req *rq, struct file *f, const char *bytes, size_t size, off_t off)
{
        struct inflow_answer answer = { .rq = rq, .size = size };
        struct inflow *i = (struct inflow *)f;
        int r;

        atomic_store(&f->how->writer, process_of(fuse_req_ctx(rq->fuse)->pid));
        if (f->how->flags & O_APPEND)
                off = (off_t)inflow_end(i, size, (uint64_t)off);
        r = upload_write(i->upload, bytes, size, (uint64_t)off, inflow_taken, &answer, &rq->diag);
        if (r < 0)
                reply_refusal(rq, f->node, r);
}

/* What who writes is told, for lseek(SEEK_END). */
static bool inflow_frozen(const struct file *f, struct frozen_as *ret)
{
        *ret = (struct frozen_as){ .size = upload_end_of(((const struct inflow *)f)->upload) };
        return true;
}

static int inflow_truncate(struct req *rq, struct file *f, uint64_t size)
{
        return upload_truncate(((struct inflow *)f)->upload, size, &rq->diag);
}

/* Whoever else has inherited the descriptor may end as it likes. */
static bool inflow_is_interrupted(const struct inflow *i, pid_t thread)
{
        const pid_t writer = atomic_load(&i->file.how->writer);

        return writer > 0 && writer == process_of(thread) && process_is_killed(thread);
}

static int inflow_flush(struct req *rq, struct file *f)
{
        struct inflow *i = (struct inflow *)f;

        if (inflow_is_interrupted(i, fuse_req_ctx(rq->fuse)->pid)) {
                upload_interrupt(i->upload);
                return 0; /* nobody is there to be told */
        }
        return upload_check(i->upload, &rq->diag);
}

static uint64_t inflow_store(const struct req *rq, const struct file *f)
{
        (void)rq;
        return upload_store(((const struct inflow *)f)->upload);
}

static void inflow_release(struct file *f)
{
        struct inflow *i = (struct inflow *)f;

        if (i->aliases)
                alias_end(i->aliases, upload_image(i->upload), upload_is_only_made(i->upload), upload_end_of(i->upload));
        upload_close(i->upload);
        free(i);
}

static const struct file_ops inflow_ops = {
        .read = inflow_read,
        .write = inflow_write,
        .frozen = inflow_frozen,
        .truncate = inflow_truncate,
        .flush = inflow_flush,
        .store = inflow_store,
        .release = inflow_release,
};

static const struct file_ops inflow_reader_ops = {
        .read = inflow_read,
        .store = inflow_store,
        .release = inflow_release,
};

static struct inflow *inflow_new(struct req *rq, struct node n, const struct file_ops *file_ops)
{
        struct inflow *i = calloc(1, sizeof(*i));

        if (!i)
                return NULL;
        i->file = (struct file){ .ops = file_ops, .node = n };
        if (n.kind != KIND_IMAGE_DISK)
                i->aliases = rq->fs->aliases;
        return i;
}

int inflow_resume(struct req *rq, struct node n, struct fuse_file_info *fi)
{
        struct inflow *i = inflow_new(rq, n, &inflow_ops);
        int r;

        if (!i)
                return -ENOMEM;
        r = upload_resume(rq->fs->model, &rq->caller, i->aliases ? n.oid : 0, i->aliases ? 0 : n.oid, &i->upload);
        if (r < 0) {
                free(i);
                return r;
        }
        if ((fi->flags & O_ACCMODE) == O_RDWR)
                upload_make_readable(i->upload);
        fi->fh = (uintptr_t)i;
        return 0;
}

int inflow_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi)
{
        const bool reader = (flags & O_ACCMODE) == O_RDONLY;
        struct inflow *i = inflow_new(rq, n, reader ? &inflow_reader_ops : &inflow_ops);
        int r;

        if (!i)
                return -ENOMEM;
        if (reader)
                r = i->aliases ? upload_join(rq->fs->model, n.oid, &i->upload) : -ENOENT;
        else if (i->aliases)
                r = upload_open(rq->fs->model, &rq->caller, n.oid, &rq->diag, &i->upload);
        else
                r = upload_open_disk(rq->fs->model, &rq->caller, n.oid, &rq->diag, &i->upload);
        if (r < 0) {
                free(i);
                return r;
        }
        if ((flags & O_ACCMODE) == O_RDWR)
                upload_make_readable(i->upload);
        if (!reader && (flags & O_TRUNC)) {
                r = upload_truncate(i->upload, 0, &rq->diag);
                if (r < 0) {
                        inflow_release(&i->file);
                        return r;
                }
        }
        if (i->aliases)
                alias_begin(i->aliases, n.oid);
        fi->direct_io = 1;
        fi->fh = (uintptr_t)i;
        return 0;
}
