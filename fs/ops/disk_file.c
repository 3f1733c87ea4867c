/* SPDX-License-Identifier: MIT */
/*
 * Writable disks as files, for qemu with any cache and aio mode: the page cache and mmap work, O_DIRECT goes through,
 * and fsync makes what was written durable. Locks are the kernel's own, since there are no lock handlers.
 *
 * A disk has one inode, wherever it is shown, so that there is one page cache of it; nothing else changes it while it
 * is open for writing, so that what is cached stays good between opens.
 */

#include <fcntl.h>
#include <linux/falloc.h>

#include "fs/ops/attr.h"
#include "fs/ops/disk_file.h"
#include "fs/ops/file.h"
#include "fs/ops/read_ahead.h"
#include "fs/ops/reply.h"
#include "fs/ops/reply_buffer.h"
#include "model/machine/volume.h"

struct disk_file {
        struct file file;
        struct volume_file *volume;
        bool writable;
};

/* NULL as long as the disk has no size: it reads as empty, and only truncate makes something of it. */
static struct disk *disk_of(struct file *f)
{
        return volume_disk(((struct disk_file *)f)->volume);
}

static void disk_file_read(struct req *rq, struct file *f, size_t size, off_t off)
{
        struct disk *d = disk_of(f);
        char *buf = reply_buffer(size);
        ssize_t n = 0;

        if (!buf)
                n = -ENOMEM;
        else if (d)
                n = disk_pread(d, buf, size, (uint64_t)off);
        if (n == -EBADMSG)
                n = diag_set(&rq->diag, -EIO, "stored data is damaged at offset %lld: restore it from a copy",
                             (long long)off);
        if (n < 0)
                reply_refusal(rq, f->node, (int)n);
        else
                reply_data(rq, buf, (size_t)n);
}

/* -ENOSPC where there is no disk yet. */
static int disk_begin_change(struct file *f)
{
        return disk_of(f) ? volume_file_make(((struct disk_file *)f)->volume) : -ENOSPC;
}

static int disk_file_refuse_end(struct req *rq, uint64_t end)
{
        return diag_set(&rq->diag, -ENOSPC, "the disk ends at %llu: truncate makes it larger, while its instance is "
                        "stopped", (unsigned long long)end);
}

static void disk_file_write(struct req *rq, struct file *f, const char *bytes, size_t size, off_t off)
{
        struct disk *d = disk_of(f);
        uint64_t end = d ? disk_get_size(d) : 0;
        ssize_t n;

        n = (uint64_t)off < end ? disk_begin_change(f) : -ENOSPC;
        if (n == 0)
                n = disk_pwrite(d, bytes, size, (uint64_t)off);
        if (n == -ENOSPC && (uint64_t)off >= end)
                n = disk_file_refuse_end(rq, end);
        else if (n == -ENOSPC || n == -EDQUOT)
                n = diag_set(&rq->diag, -ENOSPC, "the store's disk is full: delete something, or have it enlarged");
        if (n < 0)
                reply_refusal(rq, f->node, (int)n);
        else
                reply_taken(rq, (size_t)n);
}

static int disk_file_truncate(struct req *rq, struct file *f, uint64_t size)
{
        struct disk *d = disk_of(f);

        if (d && size == disk_get_size(d))
                return 0;
        return volume_file_set_size(((struct disk_file *)f)->volume, &rq->caller, size, &rq->diag);
}

static int disk_file_seek(struct req *rq, struct file *f, off_t off, int whence, off_t *ret)
{
        uint64_t found;
        int r;

        (void)rq;
        if (off < 0 || !disk_of(f))
                return -ENXIO;
        r = disk_seek(disk_of(f), (uint64_t)off, whence, &found);
        if (r < 0)
                return r;
        *ret = (off_t)found;
        return 0;
}

static int disk_file_sync(struct req *rq, struct file *f)
{
        struct disk *d = disk_of(f);

        (void)rq;
        return d && ((struct disk_file *)f)->writable ? disk_sync(d) : 0;
}

static int disk_file_flush(struct req *rq, struct file *f)
{
        (void)rq;
        return volume_flush(((struct disk_file *)f)->volume);
}

static int disk_file_allocate(struct req *rq, struct file *f, int mode, off_t off, off_t len)
{
        int r = disk_begin_change(f);

        (void)rq;
        if (r < 0)
                return r;
        /* zeros take no space here, so both come to the same; space cannot be promised beforehand */
        if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) &&
            !(mode & ~(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)))
                return disk_discard(disk_of(f), (uint64_t)off, (uint64_t)len);
        return -EOPNOTSUPP;
}

/*
 * ---- copies inside the mount ----
 *
 * What can be shared is, and the rest goes through the daemon's memory alone, holes as holes. Disks only: an upload may
 * be of any format, is read whole by its import, and shares its chunks from there; so the kernel copies to uploads.
 */

/*
 * In one call, so that a copy can be interrupted: bytes that are moved, and all, holes and what is shared, too. More
 * than 32 bits of these could not be told: up to Linux 6.17 the kernel asks for any length, and takes 4 GiB done for
 * none.
 */
#define COPY_MAX   (UINT64_C(64) << 20)
#define COPY_SPAN  (UINT64_C(1) << 30)
#define COPY_PIECE (1U << 20)

static ssize_t disk_file_fetch(struct file *f, void *buf, size_t n, uint64_t off)
{
        return disk_of(f) ? disk_pread(disk_of(f), buf, n, off) : 0;
}

static const struct file_ops disk_file_ops;

struct copy {
        struct req *rq;
        struct disk *to;
        struct file *from;
        struct disk_source source; /* the same; empty for what shares nothing */
        uint64_t moved; /* so far */
        uint64_t apart; /* so many bytes from here on share nothing: to ask goes through all of them */
};

static struct disk_source copy_source(struct file *from)
{
        if (from->ops == &disk_file_ops)
                return (struct disk_source){ .disk = disk_of(from) };
        return (struct disk_source){ .blob = from->ops->blob ? from->ops->blob(from) : NULL };
}

static ssize_t copy_data(struct copy *c, uint64_t off, uint64_t from_off, uint64_t n)
{
        char *buf = reply_buffer(COPY_PIECE);
        ssize_t got = 0;
        uint64_t done;

        if (!buf)
                return -ENOMEM;
        for (done = 0; done < n; done += (uint64_t)got) {
                got = c->from->ops->fetch(c->from, buf, n - done < COPY_PIECE ? (size_t)(n - done) : COPY_PIECE,
                                          from_off + done);
                if (got > 0)
                        got = disk_pwrite(c->to, buf, (size_t)got, off + done);
                if (got <= 0)
                        break;
        }
        return done > 0 ? (ssize_t)done : got;
}

/*
 * All of a hole, or of a run of data as much as one call moves: where it ends is not asked for each piece, since
 * finding that out goes through the rest of it. Gives the count, 0 at the end of the source.
 */
static ssize_t copy_run(struct copy *c, uint64_t off, uint64_t from_off, uint64_t n)
{
        off_t data, hole;
        ssize_t got;
        int r;

        r = c->from->ops->seek(c->rq, c->from, (off_t)from_off, SEEK_DATA, &data);
        if (r < 0 && r != -ENXIO)
                return r;
        if (r == -ENXIO || (uint64_t)data >= from_off + n)
                data = (off_t)(from_off + n);
        if ((uint64_t)data > from_off) {
                r = disk_discard(c->to, off, (uint64_t)data - from_off);
                return r < 0 ? r : (ssize_t)((uint64_t)data - from_off);
        }
        r = c->from->ops->seek(c->rq, c->from, data, SEEK_HOLE, &hole);
        if (r < 0)
                return r;
        if (n > (uint64_t)(hole - data))
                n = (uint64_t)(hole - data);
        if (n > COPY_MAX - c->moved)
                n = COPY_MAX - c->moved;
        got = copy_data(c, off, from_off, n);
        if (got > 0)
                c->moved += (uint64_t)got;
        return got;
}

/* Some of N bytes, shared or as copy_run(). */
static ssize_t copy_some(struct copy *c, uint64_t off, uint64_t from_off, uint64_t n)
{
        uint64_t some = n;
        ssize_t got;
        int r = 0;

        if (c->apart == 0) {
                if (c->source.disk || c->source.blob)
                        r = disk_clone(c->to, off, &c->source, from_off, n, &some);
                if (r != 0)
                        return r < 0 ? r : (ssize_t)some;
                c->apart = some;
        }
        got = copy_run(c, off, from_off, c->apart < n ? c->apart : n);
        if (got > 0)
                c->apart -= (uint64_t)got;
        return got;
}

/* The kernel has cut N at the end of the source, as it knows that: a disk may be another since, and a smaller one. */
static uint64_t copy_left(const struct copy *c, uint64_t from_off, uint64_t n)
{
        const uint64_t size = c->source.disk ? disk_get_size(c->source.disk) : UINT64_MAX;

        if (from_off >= size)
                return 0;
        return n < size - from_off ? n : size - from_off;
}

static ssize_t disk_file_copy(struct req *rq, struct file *f, uint64_t off, struct file *from, uint64_t from_off,
                              uint64_t n)
{
        struct copy c = { .rq = rq, .to = disk_of(f), .from = from, .source = copy_source(from) };
        uint64_t size = c.to ? disk_get_size(c.to) : 0, done = 0;
        ssize_t got = 0;

        if (off >= size)
                return disk_file_refuse_end(rq, size);
        if (n > size - off)
                n = size - off;
        if (n > COPY_SPAN)
                n = COPY_SPAN;
        n = copy_left(&c, from_off, n);
        got = disk_begin_change(f);
        if (got < 0)
                return got;
        while (done < n && c.moved < COPY_MAX) {
                got = copy_some(&c, off + done, from_off + done, n - done);
                if (got <= 0)
                        break;
                done += (uint64_t)got;
        }
        return done > 0 ? (ssize_t)done : got;
}

static uint64_t disk_file_store(const struct req *rq, const struct file *f)
{
        const struct disk *d = volume_disk(((const struct disk_file *)f)->volume);

        return d ? model_store_of(rq->fs->model, disk_store(d)) : 0;
}

static void disk_file_release(struct file *f)
{
        struct disk_file *d = (struct disk_file *)f;

        volume_close(d->volume);
        free(d);
}

static const struct file_ops disk_file_ops = {
        .read = disk_file_read,
        .write = disk_file_write,
        .flush = disk_file_flush,
        .truncate = disk_file_truncate,
        .seek = disk_file_seek,
        .sync = disk_file_sync,
        .allocate = disk_file_allocate,
        .fetch = disk_file_fetch,
        .copy = disk_file_copy,
        .store = disk_file_store,
        .release = disk_file_release,
};

int disk_file_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi)
{
        const struct volume *v;
        struct disk_file *d;
        int r;

        r = req_volume(rq, n.oid, &v);
        if (r < 0)
                return r == -ENOENT ? -ESTALE : r;
        if ((flags & O_TRUNC) && v->size_bytes)
                return diag_set(&rq->diag, -EINVAL, "a disk does not shrink: write over it without truncating "
                                "(dd conv=notrunc)");
        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        d->file = (struct file){ .ops = &disk_file_ops, .node = n };
        d->writable = (flags & O_ACCMODE) != O_RDONLY;
        r = volume_open(rq->fs->model, n.oid, d->writable, &rq->diag, &d->volume);
        if (r < 0) {
                free(d);
                return r == -ENOENT ? -ESTALE : r;
        }
        read_ahead_raise(rq->fs);
        fi->keep_cache = 1;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 15)
        fi->parallel_direct_writes = 1; /* disks keep overlapping writes apart themselves */
#endif
        fi->fh = (uintptr_t)d;
        return 0;
}
