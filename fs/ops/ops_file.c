/* SPDX-License-Identifier: MIT */
/*
 * Requests on open files: opening finds out which kind of file it is (file.h), and the rest goes to that kind.
 */

#include <fcntl.h>
#include <string.h>

#include "fs/ops/alias.h"
#include "fs/ops/attr.h"
#include "fs/ops/file.h"
#include "fs/ops/gate.h"
#include "fs/ops/guest_node.h"
#include "fs/ops/handles.h"
#include "fs/ops/later.h"
#include "fs/ops/ops_priv.h"
#include "fs/ops/permit.h"
#include "fs/ops/ready.h"
#include "fs/ops/reply.h"
#include "fs/ops/resent.h"
#include "fs/ops/scratch_file.h"
#include "fs/tree/scratch.h"
#include "fs/tree/ways.h"
#include "model/intake/upload.h"

static mode_t file_permit(int flags)
{
        switch (flags & O_ACCMODE) {
        case O_RDONLY:
                return PERMIT_READ;
        case O_WRONLY:
                return PERMIT_WRITE;
        default:
                return PERMIT_READ | PERMIT_WRITE;
        }
}

static void open_for(fuse_req_t fuse, fuse_ino_t ino, uint64_t request, struct fuse_file_info *fi)
{
        CLEANUP_REQ struct req rq;
        struct node n = node_of(ino);
        struct file *f;
        int r;

        req_init(&rq, fuse);
        rq.doing.verb = "open";
        r = (fi->flags & O_ACCMODE) != O_RDONLY ? guest_node_refuse_change(&rq, n) : 0;
        if (r == 0)
                r = permit(&rq, n, file_permit(fi->flags));
        if (r == 0)
                r = file_open(&rq, n, fi);
        if (r == -ESTALE || (r == -ENOENT && !rq.diag.error)) {
                /* what had the name is gone: the kernel looks again what has it now */
                reply_error(&rq, -ESTALE);
                return;
        }
        if (r < 0) {
                reply_refusal(&rq, n, r);
                return;
        }
        f = file_opened(fi);
        r = file_number(&rq, n, f, request, fi);
        if (r < 0) {
                f->ops->release(f);
                reply_refusal(&rq, n, r);
                return;
        }
        if (file_permit(fi->flags) != PERMIT_READ && !f->ops->is_command)
                reply_done(&rq, n);
        if (fuse_reply_open(fuse, fi) == -ENOENT)
                file_close(rq.fs, fi); /* the open was interrupted: no release will come */
}

/* A later_fn. */
static void open_now(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        (void)size;
        (void)off;
        open_for(fuse, ino, 0, fi);
}

static int ops_create_scratch(struct req *rq, fuse_ino_t parent, const char *name, struct fuse_file_info *fi,
                              struct fuse_entry_param *ret)
{
        struct file *f;
        struct node n;
        int r = 0;

        /* One of that name is there only where the process before this one made it, and did not come to say so. */
        if (!resent_is() || !scratch_find(rq->fs->scratches, parent, name, rq->caller.uid, &n))
                r = scratch_make(rq, tree_kind(node_of(parent).kind), parent, name, &n);
        if (r == 0)
                r = scratch_file_open(rq, n, fi->flags, fi);
        if (r < 0)
                return r;
        f = file_opened(fi);
        r = reply_fill_entry(rq, n, NULL, ret);
        if (r == 0)
                r = file_number(rq, n, f, 0, fi);
        if (r < 0)
                f->ops->release(f);
        return r;
}

/* The image that is made for the file, or was by an earlier process, which did not come to say so. */
static int ops_create_image(struct req *rq, struct node dir, const char *name, uint64_t *ret)
{
        const struct dir_kind *kind = tree_kind(dir.kind);
        int r;

        r = kind->create(rq, dir.oid, name, ret);
        return r == -EEXIST && resent_may_be_done() ? kind->created(rq, dir.oid, name, ret) : r;
}

static int ops_refuse_file(struct req *rq, struct node dir, const char *name)
{
        for (const struct entry *e = tree_kind(dir.kind)->entries; e && e->name; e++)
                if (e->absent && strcmp(e->name, name) == 0)
                        return diag_set(&rq->diag, -EPERM, "%s", e->absent);
        return diag_set(&rq->diag, -EPERM, "files cannot be made here: %s", ways_in(dir.kind));
}

/* The short form: an image made for the file, and the file open as its upload. All or nothing. */
static int ops_create_file(struct req *rq, fuse_ino_t parent, const char *name, struct fuse_file_info *fi,
                           struct fuse_entry_param *ret)
{
        struct node dir = node_of(parent), upload;
        const struct dir_kind *kind = tree_kind(dir.kind);
        struct file *f;
        uint64_t image;
        int r;

        r = permit_change(rq, dir);
        if (r < 0)
                return r;
        if (scratch_is_name(name) && scratch_goes_in(kind))
                return ops_create_scratch(rq, parent, name, fi, ret);
        if (!kind->create)
                return ops_refuse_file(rq, dir, name);
        r = ops_create_image(rq, dir, name, &image);
        if (r < 0)
                return r;

        upload = alias_upload_node(image);
        r = upload_expect(rq->fs->model, image);
        if (r == 0)
                r = inflow_open(rq, upload, fi->flags, fi);
        if (r == 0) {
                f = file_opened(fi);
                r = alias_add(rq->fs->aliases, parent, name, fuse_req_ctx(rq->fuse), image);
                if (r == 0)
                        r = reply_fill_entry(rq, upload, NULL, ret);
                if (r == 0)
                        r = file_number(rq, upload, f, resent_number(), fi);
                if (r < 0)
                        f->ops->release(f);
        }
        if (r < 0) /* it was made for this file alone */
                (void)image_remove(rq->fs->model, &rq->caller, image, NULL);
        return r;
}

static void open_ready(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        if (ready_make(fuse, node_of(ino), "open"))
                open_now(fuse, ino, size, off, fi);
}

/* A gate_fn. */
static void open_through(fuse_req_t fuse, const struct gated *g)
{
        struct fs *fs = fuse_req_userdata(fuse); /* the request is gone when it is answered */
        struct fuse_file_info fi = g->fi;

        open_for(fuse, g->ino, g->request, &fi);
        file_close_unanswered(fs, g->unanswered);
}

void ops_open(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
        const struct node n = node_of(ino);
        struct fs *fs = fuse_req_userdata(fuse);

        if (attr_is_long(n) || attr_is_found(n))
                later_run(fuse, later_lane(n), open_now, ino, 0, 0, fi);
        else if (ready_awaits(fuse, n, NULL))
                later_run(fuse, LATER_COMPARE, open_ready, ino, 0, 0, fi);
        else
                gate_run(fuse, file_gate_to_open(fs, fuse, n), open_through,
                         &(struct gated){ .verb = "open", .ino = ino, .fi = *fi, .request = resent_number(),
                                          .unanswered = resent_is() ? file_unanswered(fs, resent_number()) : 0 });
}

void ops_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
        CLEANUP_REQ struct req rq;
        struct fuse_entry_param e;
        uint64_t unanswered;
        int r;

        (void)mode;
        req_init(&rq, fuse);
        rq.doing = (struct doing){ .verb = "create", .in = node_of(parent), .name = name };
        unanswered = resent_is() ? file_unanswered(rq.fs, resent_number()) : 0;
        r = ops_create_file(&rq, parent, name, fi, &e);
        file_close_unanswered(rq.fs, unanswered);
        if (r < 0) {
                reply_refusal(&rq, node_of(parent), r);
                return;
        }
        if (node_of(e.ino).kind != KIND_SCRATCH)
                reply_done(&rq, node_of(parent));
        e.entry_timeout = 0; /* the name goes when the file has been taken in */
        if (fuse_reply_create(fuse, &e, fi) == -ENOENT)
                file_close(rq.fs, fi);
}

static void read_now(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        CLEANUP_REQ struct req rq;
        struct file *f;
        int r;

        (void)ino;
        req_init(&rq, fuse);
        rq.doing.verb = "read";
        r = file_of(&rq, fi, off, &f);
        if (r == -ENODATA)
                (void)fuse_reply_buf(fuse, NULL, 0);
        else if (r < 0)
                reply_error(&rq, r);
        else
                f->ops->read(&rq, f, size, off);
}

static void read_ready(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        if (ready_make(fuse, node_of(ino), "read"))
                read_now(fuse, ino, size, off, fi);
}

/* Opened by an earlier process, and what that had made for it is not there? */
static bool awaits_again(fuse_req_t fuse, fuse_ino_t ino, const struct fuse_file_info *fi)
{
        const struct fs *fs = fuse_req_userdata(fuse);

        return ready_concerns(node_of(ino)) && !handles_file(fs->handles, fi->fh) &&
               ready_awaits(fuse, node_of(ino), NULL);
}

/* What its store's disk may be needed for; G with a verb, if it can be refused. */
static void run(fuse_req_t fuse, gate_fn *fn, const struct gated *g)
{
        gate_run(fuse, file_gate(fuse_req_userdata(fuse), &g->fi), fn, g);
}

/* A gate_fn, as the following are. */
static void read_through(fuse_req_t fuse, const struct gated *g)
{
        struct fuse_file_info fi = g->fi;

        read_now(fuse, g->ino, g->size, g->off, &fi);
}

static enum later_lane lane_to_read(struct node n)
{
        const enum later_lane lane = later_lane(n);

        return lane == LATER_LIST || (lane == LATER_USERS && n.row != ROW_CHILD) ? LATER_TEXT : lane;
}

void ops_read(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        if (attr_is_long(node_of(ino)) || node_of(ino).kind == KIND_EVENTS_AFTER)
                later_run(fuse, lane_to_read(node_of(ino)), read_now, ino, size, off, fi);
        else if (guest_is_node(node_of(ino)))
                later_run(fuse, LATER_LOOK, read_now, ino, size, off, fi);
        else if (awaits_again(fuse, ino, fi))
                later_run(fuse, LATER_COMPARE, read_ready, ino, size, off, fi);
        else
                run(fuse, read_through, &(struct gated){ .verb = "read", .ino = ino, .fi = *fi, .size = size, .off = off });
}

static void write_through(fuse_req_t fuse, const struct gated *g)
{
        CLEANUP_REQ struct req rq;
        struct file *f;
        int r;

        req_init(&rq, fuse);
        rq.doing.verb = "write";
        r = file_of(&rq, &g->fi, 0, &f);
        if (r < 0)
                reply_refusal(&rq, node_of(g->ino), r);
        else if (f->ops->write)
                f->ops->write(&rq, f, g->bytes, g->size, g->off);
        else
                reply_error(&rq, -EBADF);
}

/* A later_write_fn. */
static void write_now(fuse_req_t fuse, fuse_ino_t ino, const char *bytes, size_t size, off_t off, struct fuse_file_info *fi)
{
        write_through(fuse, &(struct gated){ .ino = ino, .fi = *fi, .bytes = bytes, .size = size, .off = off });
}

void ops_write(fuse_req_t fuse, fuse_ino_t ino, const char *bytes, size_t size, off_t off, struct fuse_file_info *fi)
{
        const struct entry *entry = tree_entry(node_of(ino));

        if (entry && (entry->flags & ENTRY_FIND)) {
                later_run_write(fuse, LATER_FIND, write_now, ino, bytes, size, off, fi);
                return;
        }
        run(fuse, write_through, &(struct gated){ .verb = "write", .ino = ino, .fi = *fi, .bytes = bytes, .size = size,
                                                  .off = off });
}

static void flush_through(fuse_req_t fuse, const struct gated *g)
{
        CLEANUP_REQ struct req rq;
        struct file *f;
        int r;

        req_init(&rq, fuse);
        rq.doing.verb = "close";
        r = file_of(&rq, &g->fi, 0, &f);
        if (r == -ESTALE)
                r = 0; /* nothing is left to be told */
        else if (r == 0 && f->ops->flush)
                r = f->ops->flush(&rq, f);
        if (r < 0)
                reply_refusal(&rq, node_of(g->ino), r);
        else
                reply_error(&rq, 0);
}

/* A later_fn. */
static void flush(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        (void)size;
        (void)off;
        run(fuse, flush_through, &(struct gated){ .verb = "close", .ino = ino, .fi = *fi });
}

void ops_flush(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
        if (later_in_turn(fuse))
                later_run(fuse, LATER_TURNS, flush, ino, 0, 0, fi);
        else
                flush(fuse, ino, 0, 0, fi);
}

static void release_through(fuse_req_t fuse, const struct gated *g)
{
        file_close(fuse_req_userdata(fuse), &g->fi);
        (void)fuse_reply_err(fuse, 0);
}

void ops_release(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
        run(fuse, release_through, &(struct gated){ .ino = ino, .fi = *fi });
}

/* Only disks have something to sync: a command is durable when its write has been answered, and blobs never change. */
static void sync_through(fuse_req_t fuse, const struct gated *g)
{
        CLEANUP_REQ struct req rq;
        struct file *f;
        int r;

        req_init(&rq, fuse);
        rq.doing.verb = "fsync";
        r = file_of(&rq, &g->fi, 0, &f);
        if (r == 0 && f->ops->sync)
                r = f->ops->sync(&rq, f);
        if (r < 0)
                reply_refusal(&rq, node_of(g->ino), r);
        else
                reply_error(&rq, 0);
}

void ops_fsync(fuse_req_t fuse, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
        (void)datasync;
        run(fuse, sync_through, &(struct gated){ .verb = "fsync", .ino = ino, .fi = *fi });
}

void ops_fsyncdir(fuse_req_t fuse, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
        (void)ino;
        (void)datasync;
        (void)fi;
        (void)fuse_reply_err(fuse, 0);
}

static void allocate_through(fuse_req_t fuse, const struct gated *g)
{
        CLEANUP_REQ struct req rq;
        struct file *f;
        int r;

        req_init(&rq, fuse);
        rq.doing.verb = "fallocate";
        r = file_of(&rq, &g->fi, 0, &f);
        if (r == 0)
                r = f->ops->allocate ? f->ops->allocate(&rq, f, g->how, g->off, (off_t)g->size) : -EOPNOTSUPP;
        if (r < 0 && r != -EOPNOTSUPP)
                reply_refusal(&rq, node_of(g->ino), r);
        else
                reply_error(&rq, r);
}

void ops_fallocate(fuse_req_t fuse, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
        run(fuse, allocate_through, &(struct gated){ .verb = "fallocate", .ino = ino, .fi = *fi, .how = mode, .off = off,
                                                     .size = (size_t)len });
}

/* What is not for the daemon to copy is left to the kernel, which reads and writes. */
static void copy_through(fuse_req_t fuse, const struct gated *g)
{
        CLEANUP_REQ struct req rq;
        struct file *from, *to;
        ssize_t n;

        req_init(&rq, fuse);
        rq.doing.verb = "write";
        n = file_of(&rq, &g->from_fi, g->from_off, &from);
        if (n == 0)
                n = file_of(&rq, &g->fi, 0, &to);
        if (n == 0)
                n = to->ops->copy && from->ops->fetch ?
                            to->ops->copy(&rq, to, (uint64_t)g->off, from, (uint64_t)g->from_off, g->size) :
                            -EOPNOTSUPP;
        if (n == -EOPNOTSUPP)
                reply_error(&rq, (int)n);
        else if (n < 0)
                reply_refusal(&rq, node_of(g->ino), (int)n);
        else
                (void)fuse_reply_write(fuse, (size_t)n);
}

/* By the source's gate, where that has one: it is read first. */
void ops_copy_file_range(fuse_req_t fuse, fuse_ino_t ino_in, off_t off_in, struct fuse_file_info *fi_in,
                         fuse_ino_t ino_out, off_t off_out, struct fuse_file_info *fi_out, size_t len, int flags)
{
        const struct gated g = { .verb = "write", .ino = ino_out, .fi = *fi_out, .off = off_out, .size = len,
                                 .from_fi = *fi_in, .from_off = off_in };
        struct fs *fs = fuse_req_userdata(fuse);
        struct gate *gate = file_gate(fs, fi_in);

        (void)ino_in;
        (void)flags; /* none are defined */
        gate_run(fuse, gate ? gate : file_gate(fs, fi_out), copy_through, &g);
}

static void seek_through(fuse_req_t fuse, const struct gated *g)
{
        CLEANUP_REQ struct req rq;
        struct file *f;
        off_t found;
        int r;

        req_init(&rq, fuse);
        r = file_of(&rq, &g->fi, g->off, &f);
        if (r == 0)
                r = f->ops->seek ? f->ops->seek(&rq, f, g->off, g->how, &found) : -EINVAL;
        if (r < 0)
                reply_error(&rq, r);
        else
                (void)fuse_reply_lseek(fuse, found);
}

void ops_lseek(fuse_req_t fuse, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
        run(fuse, seek_through, &(struct gated){ .verb = "lseek", .ino = ino, .fi = *fi, .off = off, .how = whence });
}
