/* SPDX-License-Identifier: MIT */
/*
 * Opening by kind of file, and once more what an earlier process had open (handles.h): when it is first used, but at once
 * disks that are written to, since a machine runs as long as its disk is open, and uploads, which end when nobody has them
 * open.
 */

#include "fs/ops/file.h"

#include <fcntl.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/log.h"
#include "fs/ops/attr.h"
#include "fs/ops/disk_file.h"
#include "fs/ops/files.h"
#include "fs/ops/frozen.h"
#include "fs/ops/gate.h"
#include "fs/ops/handles.h"
#include "fs/ops/scratch_file.h"
#include "fs/tree/guest.h"
#include "fs/tree/scratch.h"

int file_open(struct req *rq, struct node n, struct fuse_file_info *fi)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        const struct entry *entry = tree_entry(n);

        if (!kind)
                return -ESTALE;
        if (guest_is_node(n))
                return guest_file_open(rq, n, fi);
        if (n.kind == KIND_SCRATCH)
                return scratch_file_open(rq, n, fi->flags, fi);
        if (n.kind == KIND_EVENTS_AFTER && n.row == ROW_CHILD)
                return follow_open(rq, n, fi);
        if ((entry && entry->blob) || (n.row == ROW_CHILD && kind->blob))
                return data_open(rq, n, fi->flags, fi);
        if (entry && (entry->flags & ENTRY_DISK))
                return disk_file_open(rq, n, fi->flags, fi);
        if (entry && (entry->flags & ENTRY_WAIT))
                return wait_open(rq, n, fi);
        if (entry && (entry->flags & ENTRY_UPLOAD)) {
                int r = inflow_open(rq, n, fi->flags, fi);

                if (r != -ENOENT || (fi->flags & O_ACCMODE) != O_RDONLY)
                        return r;
        }
        return ctl_open(rq, n, fi->flags, fi);
}

static void find_gate(struct req *rq, struct file *f)
{
        const uint64_t store = f->ops->store ? f->ops->store(rq, f) : 0;

        f->gate = store ? gates_get(rq->fs, store, GATE_USE) : NULL;
}

static uint64_t frozen_size(const struct file *f)
{
        struct frozen_as as = { 0 };

        return f->ops->frozen && f->ops->frozen(f, &as) ? as.size : 0;
}

int file_number(struct req *rq, struct node n, struct file *f, uint64_t request, struct fuse_file_info *fi)
{
        struct handles *h = rq->fs->handles;
        struct handle how = {
                .ino = node_ino(n),
                .flags = fi->flags & (O_ACCMODE | O_APPEND),
                .uid = rq->caller.uid,
                .gid = rq->caller.gid,
                .print = f->ops->print && handles_last(h) ? f->ops->print(f) : 0,
                .request = request,
        };
        int r;

        how.size = frozen_size(f);
        find_gate(rq, f);
        r = handles_add(h, &how, f, &fi->fh);
        if (r == 0)
                f->how = handles_how(h, fi->fh);
        return r;
}

static bool is_upload(const struct handle *how)
{
        const struct entry *entry = tree_entry(node_of(how->ino));

        return entry && (entry->flags & ENTRY_UPLOAD) && (how->flags & O_ACCMODE) != O_RDONLY;
}

static int open_again(struct req *rq, struct handle *how, off_t off, struct file **ret)
{
        struct fuse_file_info fi = { .flags = how->flags };
        const struct node n = node_of(how->ino);
        CLEANUP_REQ struct req own = { 0 };
        struct file *f;
        int r;

        req_init_as(&own, rq->fs, rq->fuse, how->uid, how->gid);
        r = is_upload(how) ? inflow_resume(&own, n, &fi) : file_open(&own, n, &fi);
        if (r < 0 && is_upload(how))
                return diag_set(&rq->diag, -EIO, "imagefs was started anew while this was uploaded: remove the image, and "
                                "upload it again");
        if (r < 0)
                return -ESTALE;
        f = file_opened(&fi);
        if (off > 0 && f->ops->print && f->ops->print(f) != how->print) {
                f->ops->release(f);
                return (uint64_t)off < how->size ? -ESTALE : -ENODATA;
        }
        find_gate(rq, f);
        f->how = how;
        f->again = true;
        *ret = f;
        return 0;
}

/* RQ may be without a request of the kernel's. */
static int file_again(struct req *rq, uint64_t number, off_t off, struct file **ret)
{
        struct handles *h = rq->fs->handles;
        struct handle *how;
        int r;
        LOCK_SCOPE(handles_again(h));

        *ret = handles_file(h, number);
        if (*ret)
                return 0;
        how = handles_how(h, number);
        if (!how)
                return -ESTALE;
        r = open_again(rq, how, off, ret);
        if (r < 0)
                return r;
        if ((*ret)->ops->print)
                how->print = (*ret)->ops->print(*ret);
        how->size = frozen_size(*ret);
        handles_set_file(h, number, *ret);
        return 0;
}

int file_of(struct req *rq, const struct fuse_file_info *fi, off_t off, struct file **ret)
{
        *ret = handles_file(rq->fs->handles, fi->fh);
        return *ret ? 0 : file_again(rq, fi->fh, off, ret);
}

struct gate *file_gate(struct fs *fs, const struct fuse_file_info *fi)
{
        const struct file *f = handles_file(fs->handles, fi->fh);

        return f ? f->gate : NULL;
}

/* Opening them asks the store whether it answers, and reads its map, or makes the disk. */
static bool is_in_store(struct node n)
{
        const struct entry *entry = tree_entry(n);

        if (n.row == ROW_CHILD)
                return tree_kind(n.kind) && tree_kind(n.kind)->blob;
        return entry && (entry->blob || (entry->flags & (ENTRY_DISK | ENTRY_UPLOAD)));
}

uint64_t file_store_elsewhere(struct fs *fs, fuse_req_t fuse, struct node n)
{
        CLEANUP_REQ struct req rq = { 0 };
        unsigned elsewhere;
        struct object o;
        uint64_t store;

        (void)model_is_elsewhere(fs->model, 0, &elsewhere);
        if (elsewhere == 0 || !tree_kind(n.kind))
                return 0;
        req_init(&rq, fuse);
        if (attr_object(&rq, n, &o) < 0)
                return 0;
        store = model_store_of_object(fs->model, tree_kind(n.kind)->object_kind, o.id);
        return model_is_elsewhere(fs->model, store, &elsewhere) ? store : 0;
}

struct gate *file_gate_to_open(struct fs *fs, fuse_req_t fuse, struct node n)
{
        const uint64_t store = is_in_store(n) ? file_store_elsewhere(fs, fuse, n) : 0;

        return store ? gates_get(fs, store, GATE_OPEN) : NULL;
}

void file_close(struct fs *fs, const struct fuse_file_info *fi)
{
        struct file *f = handles_close(fs->handles, fi->fh);

        if (f)
                f->ops->release(f);
        (void)handles_remove(fs->handles, fi->fh); /* who dies before that leaves it to the next process to close it */
}

struct unanswered {
        const struct fs *fs;
        uint64_t request, number;
};

/* A handles_fn. */
static void find_unanswered(void *ctx, uint64_t number)
{
        struct unanswered *u = ctx;
        const struct handle *how = handles_how(u->fs->handles, number);

        if (how && how->request == u->request)
                u->number = number;
}

uint64_t file_unanswered(struct fs *fs, uint64_t request)
{
        struct unanswered u = { .fs = fs, .request = request };

        if (request)
                handles_each_inherited(fs->handles, find_unanswered, &u);
        return u.number;
}

void file_close_unanswered(struct fs *fs, uint64_t number)
{
        if (number)
                file_close(fs, &(struct fuse_file_info){ .fh = number });
}

/* A handles_fn. */
static void take_up(void *ctx, uint64_t number)
{
        struct fs *fs = ctx;
        const struct handle *how = handles_how(fs->handles, number);
        const struct entry *entry;
        CLEANUP_REQ struct req rq = { 0 };
        struct file *ignored;
        int r;

        if (!how || (how->flags & O_ACCMODE) == O_RDONLY)
                return;
        entry = tree_entry(node_of(how->ino));
        if (!entry || !(entry->flags & (ENTRY_DISK | ENTRY_UPLOAD)))
                return;
        req_init_as(&rq, fs, NULL, how->uid, how->gid);
        r = file_again(&rq, number, 0, &ignored);
        if (r < 0 && (entry->flags & ENTRY_DISK))
                log_warning("a disk that was open when the process before this one died cannot be opened again: %s",
                            rq.diag.error ? rq.diag.text : "it is gone");
}

int files_take_up(struct fs *fs)
{
        int r;

        r = scratches_take_up(fs->scratches, fs->model);
        if (r < 0)
                return r;
        handles_each_inherited(fs->handles, take_up, fs);
        return model_went_on(fs->model);
}
