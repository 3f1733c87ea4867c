/* SPDX-License-Identifier: MIT */
/*
 * Requests on attributes: of nodes, and of the file system as a whole; and where links lead.
 */

#include <sys/statvfs.h>

#include "fs/ops/attr.h"
#include "fs/ops/file.h"
#include "fs/ops/frozen.h"
#include "fs/ops/gate.h"
#include "fs/ops/grant.h"
#include "fs/ops/guest_node.h"
#include "fs/ops/handles.h"
#include "fs/ops/later.h"
#include "fs/ops/ops_priv.h"
#include "fs/ops/permit.h"
#include "fs/ops/ready.h"
#include "fs/ops/reply.h"
#include "fs/ops/scratch_file.h"
#include "fs/ops/split.h"

/* Has who asks the file open, as it was when she opened it? */
static bool is_frozen(fuse_req_t fuse, fuse_ino_t ino, const struct fuse_file_info *fi, struct frozen_as *ret)
{
        const struct fs *fs = fuse_req_userdata(fuse);
        const struct file *f = fi ? handles_file(fs->handles, fi->fh) : NULL; /* what was frozen before is not any more */

        if (f && f->ops->frozen)
                return f->ops->frozen(f, ret);
        return frozen_find(fs->frozens, ino, fuse_req_ctx(fuse), ret);
}

/* AS who asks has it open; NULL: as it is now. */
static void getattr_as(fuse_req_t fuse, struct node n, const struct frozen_as *as)
{
        CLEANUP_REQ struct req rq;
        double timeout;
        struct stat st;
        int r;

        req_init(&rq, fuse);
        rq.doing.verb = "stat";
        if (attr_is_long(n) && !as)
                r = attr_get_long(&rq, n, &st, &timeout);
        else
                r = attr_get(&rq, n, NULL, &st, &timeout);
        if (r == 0 && as)
                attr_set_text(&st, as->size, as->changed_us);
        if (r < 0 && rq.diag.error)
                reply_refusal(&rq, n, r);
        else if (r < 0)
                reply_error(&rq, r);
        else
                (void)fuse_reply_attr(fuse, &st, timeout);
}

static void getattr_now(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        struct frozen_as as;

        (void)size;
        (void)off;
        getattr_as(fuse, node_of(ino), is_frozen(fuse, ino, fi, &as) ? &as : NULL);
}

/* A split_fn. */
static void getattr_on_the_way(fuse_req_t fuse, fuse_ino_t ino, const char *name)
{
        (void)name;
        getattr_now(fuse, ino, 0, 0, NULL);
}

static void getattr_ready(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        if (ready_make(fuse, node_of(ino), "stat"))
                getattr_now(fuse, ino, size, off, fi);
}

void ops_getattr(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
        const struct fs *fs = fuse_req_userdata(fuse);
        struct frozen_as as;

        if (!fi && node_of(ino).row == 0 && split_awaits_at(fs->splits, fuse, ino, getattr_on_the_way))
                return;
        if (attr_is_long(node_of(ino)) && is_frozen(fuse, ino, fi, &as)) /* it was made when it was opened */
                getattr_as(fuse, node_of(ino), &as);
        else if (attr_is_long(node_of(ino)) || attr_is_found(node_of(ino)))
                later_run(fuse, later_lane(node_of(ino)), getattr_now, ino, 0, 0, fi);
        else if (node_of(ino).row && ready_awaits(fuse, node_of(ino), NULL))
                later_run(fuse, LATER_COMPARE, getattr_ready, ino, 0, 0, fi);
        else
                getattr_now(fuse, ino, 0, 0, fi);
}

static int ops_set_access(struct req *rq, struct node n, const struct stat *attr, int to_set)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        mode_t mode = attr->st_mode & 0777;

        if (grant_is_of(n) && (to_set & FUSE_SET_ATTR_UID) && !(to_set & FUSE_SET_ATTR_MODE))
                return grant_chown(rq, n, attr->st_uid);
        if (n.row != 0 || !kind->access)
                return diag_set(&rq->diag, -EPERM,
                                "owner and mode are those of the object's directory: set them there");
        return model_set_access(rq->fs->model, &rq->caller, kind->object_kind, n.oid,
                                to_set & FUSE_SET_ATTR_MODE ? &mode : NULL,
                                to_set & FUSE_SET_ATTR_UID ? &attr->st_uid : NULL,
                                to_set & FUSE_SET_ATTR_GID ? &attr->st_gid : NULL, &rq->diag);
}

static int ops_truncate(struct req *rq, struct node n, uint64_t size, struct fuse_file_info *fi)
{
        const struct entry *entry = tree_entry(n);
        struct file *f = NULL;
        int r;

        r = fi ? file_of(rq, fi, 0, &f) : 0;
        if (r < 0)
                return r;
        if (f && f->ops->truncate)
                return f->ops->truncate(rq, f, size);
        if (n.kind == KIND_SCRATCH)
                return scratch_file_resize(rq, n, size);
        if (entry && (entry->flags & ENTRY_DISK))
                return volume_set_size(rq->fs->model, &rq->caller, n.oid, size, &rq->diag);
        if ((entry && entry->blob) || (n.row == ROW_CHILD && tree_kind(n.kind)->blob))
                return diag_set(&rq->diag, -EROFS, "images and snapshots never change");
        return 0; /* a shell's > on a control file: accepted, without effect */
}

static int ops_change(struct req *rq, struct node n, const struct stat *attr, int to_set, struct fuse_file_info *fi)
{
        const struct entry *entry = tree_entry(n);
        const int access = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
        const int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
        int r;

        if (!tree_kind(n.kind))
                return -ESTALE;
        r = guest_node_refuse_change(rq, n);
        if (r < 0)
                return r;
        if (n.kind == KIND_SCRATCH || (entry && (entry->flags & ENTRY_UPLOAD)))
                to_set &= FUSE_SET_ATTR_SIZE; /* cp -p sets the rest: accepted, and means nothing */

        if (to_set & access) {
                r = ops_set_access(rq, n, attr, to_set);
                if (r < 0)
                        return r;
        }
        if (to_set & FUSE_SET_ATTR_SIZE) {
                r = fi ? 0 : permit(rq, n, PERMIT_WRITE);
                if (r == 0)
                        r = ops_truncate(rq, n, (uint64_t)attr->st_size, fi);
                if (r < 0)
                        return r;
        }
        if ((to_set & times) && !(to_set & FUSE_SET_ATTR_SIZE) &&
            !(entry && (entry->store || (entry->flags & ENTRY_DISK))))
                return diag_set(&rq->diag, -EPERM, "times are those of the object, and cannot be set");
        return 0;
}

static const char *ops_change_verb(int to_set)
{
        if (to_set & FUSE_SET_ATTR_MODE)
                return "chmod";
        if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
                return "chown";
        return to_set & FUSE_SET_ATTR_SIZE ? "truncate" : "touch";
}

/* A shell's > before a command is none itself, nor is what is done to a temporary file. */
static bool ops_change_is_command(struct node n, int to_set)
{
        const struct entry *entry = tree_entry(n);

        if (n.kind == KIND_SCRATCH)
                return false;
        if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
                return true;
        return (to_set & FUSE_SET_ATTR_SIZE) && entry && (entry->flags & ENTRY_DISK);
}

static void setattr_now(fuse_req_t fuse, fuse_ino_t ino, const struct stat *attr, int to_set, struct fuse_file_info *fi)
{
        CLEANUP_REQ struct req rq;
        struct node n = node_of(ino);
        double timeout;
        struct stat st;
        int r;

        req_init(&rq, fuse);
        rq.doing.verb = ops_change_verb(to_set);
        r = ops_change(&rq, n, attr, to_set, fi);
        if (r == -ESTALE || (r == -ENOENT && !rq.diag.error)) {
                /* what had the name is gone: the kernel looks again what has it now */
                reply_error(&rq, -ESTALE);
                return;
        }
        if (r < 0) {
                reply_refusal(&rq, n, r);
                return;
        }
        req_forget(&rq);
        if (ops_change_is_command(n, to_set))
                reply_done(&rq, n);
        r = attr_get(&rq, n, NULL, &st, &timeout);
        if (r < 0)
                reply_error(&rq, r);
        else
                (void)fuse_reply_attr(fuse, &st, timeout);
}

/* A gate_fn. */
static void truncate_through(fuse_req_t fuse, const struct gated *g)
{
        const struct stat attr = { .st_size = g->off };
        struct fuse_file_info fi = g->fi;

        setattr_now(fuse, g->ino, &attr, g->how, g->is_open ? &fi : NULL);
}

/* The size of a disk, or of an upload, is its store's to set, which takes as long as that takes to answer. */
void ops_setattr(fuse_req_t fuse, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
        struct fs *fs = fuse_req_userdata(fuse);
        struct gated g = { .verb = "truncate", .ino = ino, .off = attr->st_size, .how = to_set, .is_open = fi };

        if (!(to_set & FUSE_SET_ATTR_SIZE) || (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))) {
                setattr_now(fuse, ino, attr, to_set, fi);
                return;
        }
        if (fi)
                g.fi = *fi;
        gate_run(fuse, fi ? file_gate(fs, fi) : file_gate_to_open(fs, fuse, node_of(ino)), truncate_through, &g);
}

static void readlink_now(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        CLEANUP_REQ struct req rq;
        CLEANUP_STRBUF struct strbuf target = { 0 };
        int r;

        (void)size;
        (void)off;
        (void)fi;
        req_init(&rq, fuse);
        rq.doing.verb = "readlink";
        r = permit(&rq, node_of(ino), PERMIT_READ);
        if (r == 0)
                r = attr_text(&rq, node_of(ino), &target);
        if (r < 0 && rq.diag.error)
                reply_refusal(&rq, node_of(ino), r);
        else if (r < 0)
                reply_error(&rq, r);
        else
                (void)fuse_reply_readlink(fuse, strbuf_text(&target));
}

void ops_readlink(fuse_req_t fuse, fuse_ino_t ino)
{
        if (attr_is_found(node_of(ino)))
                later_run(fuse, later_lane(node_of(ino)), readlink_now, ino, 0, 0, NULL);
        else
                readlink_now(fuse, ino, 0, 0, NULL);
}

/*
 * A file system's numbers in 4 KiB blocks: what the library's disk has free, and what its blobs take. That is for the
 * administrator: a user who sees that an upload took no space knows that somebody has the same bytes. Users are told
 * the size of the disk, as free: how many objects they may have is in quota, and a full disk says so when it refuses.
 */
void ops_statfs(fuse_req_t fuse, fuse_ino_t ino)
{
        CLEANUP_REQ struct req rq;
        struct model_stats stats;
        struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_LEN_MAX };
        int r;

        (void)ino;
        req_init(&rq, fuse);
        r = model_get_stats(rq.fs->model, &stats);
        if (r < 0) {
                reply_error(&rq, r);
                return;
        }
        st.f_bfree = st.f_bavail = (rq.caller.admin ? stats.free_bytes : stats.disk_bytes) / 4096;
        st.f_blocks = st.f_bfree + (rq.caller.admin ? (stats.blobs.stored_bytes + 4095) / 4096 : 0);
        (void)fuse_reply_statfs(fuse, &st);
}
