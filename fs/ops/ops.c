/* SPDX-License-Identifier: MIT */
/*
 * Requests on names and attributes, and the table of them all.
 *
 * Names are looked up in the tables first, then among what the directory's kind finds. The same name is the same object
 * for every caller: who may not enter is stopped by the mode bits (default_permissions is always on), or where those
 * cannot say it by the answers to all other requests (permit.h), but never by ENOENT, which would throw the entry out
 * of the kernel's cache for everybody.
 */

#include "fs/ops/ops.h"

#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

#include "blobstore/base/log.h"
#include "fs/ops/alias.h"
#include "fs/ops/attr.h"
#include "fs/ops/file.h"
#include "fs/ops/permit.h"

/* ---- errors ---- */

void ops_error(struct req *rq, int error)
{
        /* the store's own word for damage is not one that users know */
        if (error == -EBADMSG)
                error = -EIO;
        (void)fuse_reply_err(rq->fuse, -error); /* fails only when nobody waits for the answer any more */
}

/* The object whose last-error is to say it. An instance's own disk has no directory to have one in. */
static enum object_kind ops_answerable(struct req *rq, struct node n, uint64_t *ret_id)
{
        enum object_kind kind;
        const struct volume *v;
        struct object o;

        if (attr_object(rq, n, &o) < 0)
                return OBJECT_NONE;
        kind = tree_kind(n.kind)->object_kind;
        *ret_id = o.id;
        if (kind != OBJECT_VOLUME || req_volume(rq, o.id, &v) < 0 || v->cloud)
                return kind;
        *ret_id = v->instance;
        return OBJECT_INSTANCE;
}

void ops_refuse(struct req *rq, struct node n, int error)
{
        const char *sentence = rq->diag.text;
        enum object_kind kind;
        uint64_t id = 0;

        if (error == -EINTR) { /* who asked has gone */
                ops_error(rq, error);
                return;
        }
        kind = ops_answerable(rq, n, &id);
        if (!rq->diag.error) {
                (void)diag_set(&rq->diag, error, "%s: not possible here", strerror(-error));
                if (error == -EIO || error == -EBADMSG)
                        (void)diag_set(&rq->diag, error, "the library's disk failed, or its data is damaged: run "
                                       "imagefs check");
        }
        if (error == -EIO || error == -EBADMSG || error == -ENOMEM)
                log_errno(error, "%s of node %#llx", sentence, (unsigned long long)node_ino(n));
        refusal_record(rq->fs->model, &rq->caller, kind, id, error, sentence);
        ops_error(rq, error);
}

/* ---- names ---- */

static int ops_resolve_child(struct req *rq, const struct dir_kind *kind, struct node dir, const char *name,
                             struct node *ret, struct object *ret_object)
{
        struct child c = { 0 };
        int r;

        if (!kind->find)
                return -ENOENT;
        r = kind->find(rq, dir.oid, name, &c, ret_object);
        if (r < 0)
                return r;
        *ret = tree_child(dir.kind, &c);
        return 0;
}

static int ops_find(struct req *rq, fuse_ino_t parent, const char *name, struct node *ret, struct object *ret_object)
{
        struct node dir = node_of(parent);
        const struct dir_kind *kind = tree_kind(dir.kind);
        int r;

        ret_object->id = 0;
        if (!kind || dir.row != 0)
                return -ENOTDIR;

        for (unsigned i = 0; kind->entries && kind->entries[i].name; i++) {
                const struct entry *e = &kind->entries[i];

                if (strcmp(e->name, name) != 0)
                        continue;
                if (e->dir) {
                        *ret = tree_subdir(e, dir.oid);
                        return 0;
                }
                rq->entry = e;
                rq->oid = dir.oid;
                if (e->visible && !e->visible(rq))
                        return -ENOENT;
                *ret = (struct node){ .kind = dir.kind, .row = i + 1, .oid = dir.oid };
                return 0;
        }

        r = ops_resolve_child(rq, kind, dir, name, ret, ret_object);
        if (r == -ENOENT && alias_find(rq->fs->aliases, parent, name, fuse_req_ctx(rq->fuse)->pid, ret))
                return 0;
        return r;
}

int ops_resolve(struct req *rq, fuse_ino_t parent, const char *name, struct node *ret, struct object *ret_object)
{
        int found = ops_find(rq, parent, name, ret, ret_object);
        int r;

        if (found == 0 && ret->row == 0)
                return 0;
        r = permit_enter(rq, node_of(parent));
        return r < 0 ? r : found;
}

int ops_fill_entry(struct req *rq, struct node n, const struct object *o, struct fuse_entry_param *ret)
{
        int r;

        *ret = (struct fuse_entry_param){ .ino = node_ino(n) };
        r = attr_get(rq, n, o && o->id ? o : NULL, &ret->attr, &ret->attr_timeout);
        if (r < 0)
                return r;
        ret->entry_timeout = attr_entry_timeout(n, ret->attr_timeout);
        return 0;
}

static void ops_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        CLEANUP_REQ struct req rq;
        struct fuse_entry_param e;
        struct object o;
        struct node n;
        int r;

        req_init(&rq, fuse);
        r = ops_resolve(&rq, parent, name, &n, &o);
        if (r == 0)
                r = ops_fill_entry(&rq, n, &o, &e);
        if (r == -ESTALE) /* gone between the two steps */
                r = -ENOENT;
        if (r == -ENOENT || r == -ENOTDIR || r == -EACCES)
                ops_error(&rq, r);
        else if (r < 0)
                ops_refuse(&rq, node_of(parent), r);
        else
                (void)fuse_reply_entry(fuse, &e);
}

/* Numbers are computed, so there is nothing to forget. */
static void ops_forget(fuse_req_t fuse, fuse_ino_t ino, uint64_t nlookup)
{
        (void)ino;
        (void)nlookup;
        fuse_reply_none(fuse);
}

static void ops_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets)
{
        (void)count;
        (void)forgets;
        fuse_reply_none(fuse);
}

static void ops_readlink(fuse_req_t fuse, fuse_ino_t ino)
{
        CLEANUP_REQ struct req rq;
        CLEANUP_STRBUF struct strbuf target = { 0 };
        int r;

        req_init(&rq, fuse);
        r = permit(&rq, node_of(ino), PERMIT_READ);
        if (r == 0)
                r = attr_text(&rq, node_of(ino), &target);
        if (r < 0)
                ops_error(&rq, r);
        else
                (void)fuse_reply_readlink(fuse, strbuf_text(&target));
}

static void ops_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode)
{
        CLEANUP_REQ struct req rq;
        struct node dir = node_of(parent);
        const struct dir_kind *kind = tree_kind(dir.kind);
        struct fuse_entry_param e;
        uint64_t child;
        int r;

        (void)mode; /* new objects are their maker's alone; chmod opens them */
        req_init(&rq, fuse);
        r = permit_change(&rq, dir);
        if (r == 0) {
                if (!kind->make)
                        r = diag_set(&rq.diag, -EPERM, "directories cannot be made here");
                else
                        r = kind->make(&rq, dir.oid, name, &child);
        }
        if (r == 0) {
                req_forget(&rq);
                r = ops_fill_entry(&rq, (struct node){ .kind = kind->child, .oid = child }, NULL, &e);
        }
        if (r < 0)
                ops_refuse(&rq, dir, r);
        else
                (void)fuse_reply_entry(fuse, &e);
}

static void ops_rmdir(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        CLEANUP_REQ struct req rq;
        const struct dir_kind *kind = tree_kind(node_of(parent).kind);
        struct node n = node_of(parent);
        struct object o;
        int r;

        req_init(&rq, fuse);
        r = permit_change(&rq, n);
        if (r == 0)
                r = ops_resolve(&rq, parent, name, &n, &o);
        if (r == 0) {
                if (n.row != 0)
                        r = diag_set(&rq.diag, -ENOTDIR, "%s is not a directory", name);
                else if (!kind->remove || n.kind != kind->child)
                        r = diag_set(&rq.diag, -EPERM, "%s belongs to what it is in, and goes with it", name);
                else
                        r = kind->remove(&rq, n.oid);
        }
        if (r < 0)
                ops_refuse(&rq, n, r);
        else
                ops_error(&rq, 0);
}

static void ops_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                       const char *new_name, unsigned flags)
{
        CLEANUP_REQ struct req rq;
        const struct dir_kind *kind = tree_kind(node_of(parent).kind);
        struct node n = node_of(parent), existing;
        struct object o;
        int r;

        req_init(&rq, fuse);
        r = permit_change(&rq, n);
        if (r == 0)
                r = permit_change(&rq, node_of(new_parent));
        if (r == 0)
                r = ops_resolve(&rq, parent, name, &n, &o);
        if (r == 0) {
                if (flags & ~(unsigned)RENAME_NOREPLACE)
                        r = diag_set(&rq.diag, -EINVAL, "two names cannot be exchanged here");
                else if (n.row != 0 || !kind->rename || n.kind != kind->child)
                        r = diag_set(&rq.diag, -EPERM, "%s cannot be renamed or moved", name);
                else if (parent == new_parent && strcmp(name, new_name) == 0)
                        r = 0;
                else if (ops_resolve(&rq, new_parent, new_name, &existing, &o) == 0)
                        r = diag_set(&rq.diag, -EEXIST, "%s is taken: choose another name, or remove it first",
                                     new_name);
                else
                        r = kind->rename(&rq, n.oid, node_of(new_parent), new_name);
        }
        if (r < 0)
                ops_refuse(&rq, n, r);
        else
                ops_error(&rq, 0);
}

/* What the tree never takes. A name that is there already never gets here: the kernel answers EEXIST itself. */
static void ops_refuse_in(fuse_req_t fuse, fuse_ino_t parent, int error, const char *sentence)
{
        CLEANUP_REQ struct req rq;

        req_init(&rq, fuse);
        ops_refuse(&rq, node_of(parent), diag_set(&rq.diag, error, "%s", sentence));
}

static void ops_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        (void)name;
        ops_refuse_in(fuse, parent, -EPERM, "generated files cannot be removed: rmdir removes the directory with them");
}

static void ops_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
        (void)name;
        (void)mode;
        (void)rdev;
        ops_refuse_in(fuse, parent, -EPERM, "special files cannot be made here");
}

static void ops_symlink(fuse_req_t fuse, const char *target, fuse_ino_t parent, const char *name)
{
        (void)target;
        (void)name;
        ops_refuse_in(fuse, parent, -EPERM, "links cannot be made here");
}

static void ops_link(fuse_req_t fuse, fuse_ino_t ino, fuse_ino_t new_parent, const char *name)
{
        (void)ino;
        (void)name;
        ops_refuse_in(fuse, new_parent, -EPERM, "links cannot be made here");
}

/* ---- attributes ---- */

static void ops_getattr(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
        CLEANUP_REQ struct req rq;
        double timeout;
        struct stat st;
        int r;

        (void)fi;
        req_init(&rq, fuse);
        r = attr_get(&rq, node_of(ino), NULL, &st, &timeout);
        if (r < 0)
                ops_error(&rq, r);
        else
                (void)fuse_reply_attr(fuse, &st, timeout);
}

static int ops_set_access(struct req *rq, struct node n, const struct stat *attr, int to_set)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        mode_t mode = attr->st_mode & 0777;

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
        struct file *f = fi ? file_of(fi) : NULL;

        if (f && f->ops->truncate)
                return f->ops->truncate(rq, f, size);
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
        if (entry && (entry->flags & ENTRY_UPLOAD))
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

static void ops_setattr(fuse_req_t fuse, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
        CLEANUP_REQ struct req rq;
        struct node n = node_of(ino);
        double timeout;
        struct stat st;
        int r;

        req_init(&rq, fuse);
        r = ops_change(&rq, n, attr, to_set, fi);
        if (r < 0) {
                ops_refuse(&rq, n, r);
                return;
        }
        req_forget(&rq);
        r = attr_get(&rq, n, NULL, &st, &timeout);
        if (r < 0)
                ops_error(&rq, r);
        else
                (void)fuse_reply_attr(fuse, &st, timeout);
}

/*
 * A file system's numbers in 4 KiB blocks: what the library's disk has free, and what its blobs take. That is for the
 * administrator: a user who sees that an upload took no space knows that somebody has the same bytes. Users are told
 * the size of the disk, as free: how many objects they may have is in quota, and a full disk says so when it refuses.
 */
static void ops_statfs(fuse_req_t fuse, fuse_ino_t ino)
{
        CLEANUP_REQ struct req rq;
        struct model_stats stats;
        struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_LEN_MAX };
        int r;

        (void)ino;
        req_init(&rq, fuse);
        r = model_get_stats(rq.fs->model, &stats);
        if (r < 0) {
                ops_error(&rq, r);
                return;
        }
        st.f_bfree = st.f_bavail = (rq.caller.admin ? stats.free_bytes : stats.disk_bytes) / 4096;
        st.f_blocks = st.f_bfree + (rq.caller.admin ? (stats.blobs.stored_bytes + 4095) / 4096 : 0);
        (void)fuse_reply_statfs(fuse, &st);
}

/* ---- the connection ---- */

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
        (void)userdata;
        /* dense sequential reads were up to 1.6 times as fast with 1 MiB of read-ahead as with the kernel's 128 KiB */
        conn->max_readahead = 1 << 20;
        conn->max_write = 1 << 20;
        /* lost errors, and appends at the wrong place */
        conn->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
        /* there are no set-user-id files here; without this the kernel asks for a capability before every write */
        if (conn->capable & FUSE_CAP_HANDLE_KILLPRIV_V2)
                conn->want |= FUSE_CAP_HANDLE_KILLPRIV_V2;
#endif
        /* a request read into memory and written from there was 1.5 times as fast as one that was spliced */
        conn->want &= ~(unsigned)FUSE_CAP_SPLICE_READ;
        /* a control file's size changes in the daemon; what is cached of blobs must stay */
        conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
        /* always, not as the kernel guesses: a listing of 10 000 images is then one pass */
        if (conn->capable & FUSE_CAP_READDIRPLUS) {
                conn->want |= FUSE_CAP_READDIRPLUS;
                conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
        }
        if (conn->capable & FUSE_CAP_PARALLEL_DIROPS)
                conn->want |= FUSE_CAP_PARALLEL_DIROPS;
}

const struct fuse_lowlevel_ops ops = {
        .init = ops_init,
        .lookup = ops_lookup,
        .forget = ops_forget,
        .forget_multi = ops_forget_multi,
        .getattr = ops_getattr,
        .setattr = ops_setattr,
        .readlink = ops_readlink,
        .mknod = ops_mknod,
        .mkdir = ops_mkdir,
        .unlink = ops_unlink,
        .rmdir = ops_rmdir,
        .symlink = ops_symlink,
        .rename = ops_rename,
        .link = ops_link,
        .open = ops_open,
        .create = ops_create,
        .read = ops_read,
        .write = ops_write,
        .flush = ops_flush,
        .release = ops_release,
        .fsync = ops_fsync,
        .lseek = ops_lseek,
        .copy_file_range = ops_copy_file_range,
        .opendir = ops_opendir,
        .readdir = ops_readdir,
        .readdirplus = ops_readdirplus,
        .releasedir = ops_releasedir,
        .fsyncdir = ops_fsyncdir,
        .fallocate = ops_fallocate,
        .statfs = ops_statfs,
        .setxattr = ops_setxattr,
        .getxattr = ops_getxattr,
        .listxattr = ops_listxattr,
        .removexattr = ops_removexattr,
};
