/* SPDX-License-Identifier: MIT */
/*
 * The connection, and the table of all requests. The handlers (ops_priv.h) stand below it; they go by the kind of the
 * open file (file.h), or by what a node is (attr.h) and lets (permit.h), and answer by reply.h.
 */

#include "fs/ops/ops.h"

#include "fs/ops/background.h"
#include "fs/ops/guest_slots.h"
#include "fs/ops/ops_priv.h"
#include "fs/tree/watch.h"

/* Numbers are computed, so there is nothing to forget, but in guests. */
static void ops_forget(fuse_req_t fuse, fuse_ino_t ino, uint64_t nlookup)
{
        guest_slots_forgotten(fuse_req_userdata(fuse), node_of(ino), nlookup);
        fuse_reply_none(fuse);
}

static void ops_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets)
{
        for (size_t i = 0; i < count; i++)
                guest_slots_forgotten(fuse_req_userdata(fuse), node_of(forgets[i].ino), forgets[i].nlookup);
        fuse_reply_none(fuse);
}

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
        (void)userdata;
        conn->max_readahead = 2 << 20; /* see read_ahead.c */
        conn->max_write = 1 << 20;
        conn->max_background = BACKGROUND_MAX;
        conn->congestion_threshold = BACKGROUND_ENOUGH;
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
        /* numbers are computed: what the kernel has forgotten is found again by its number, which NFS servers need */
        if (conn->capable & FUSE_CAP_EXPORT_SUPPORT)
                conn->want |= FUSE_CAP_EXPORT_SUPPORT;
        if (conn->capable & FUSE_CAP_PARALLEL_DIROPS)
                conn->want |= FUSE_CAP_PARALLEL_DIROPS;
}

/*
 * Each request is counted on its way to its handler, and its thread says what it is at; what is left out here is what
 * nobody waits for.
 */
#define COUNTED_AT(request, ino, name, params, args)                                                    \
        static void counted_##request params                                                            \
        {                                                                                               \
                struct fs *fs = fuse_req_userdata(fuse);                                                \
                                                                                                        \
                counts_add(&fs->counts, COUNT_##request, 1);                                            \
                watch_begin(fs->watch, COUNT_##request, ino, name, fuse_req_ctx(fuse)->uid);            \
                ops_##request args;                                                                     \
                watch_end(fs->watch);                                                                   \
        }
#define COUNTED(request, params, args)    COUNTED_AT(request, ino, NULL, params, args)
#define COUNTED_IN(request, params, args) COUNTED_AT(request, parent, name, params, args)
COUNTED_IN(lookup, (fuse_req_t fuse, fuse_ino_t parent, const char *name), (fuse, parent, name))
COUNTED_IN(mkdir, (fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode), (fuse, parent, name, mode))
COUNTED_IN(rmdir, (fuse_req_t fuse, fuse_ino_t parent, const char *name), (fuse, parent, name))
COUNTED_IN(rename,
        (fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
         unsigned flags),
        (fuse, parent, name, new_parent, new_name, flags))
COUNTED_IN(unlink, (fuse_req_t fuse, fuse_ino_t parent, const char *name), (fuse, parent, name))
COUNTED_IN(mknod,
        (fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev),
        (fuse, parent, name, mode, rdev))
COUNTED_IN(symlink,
        (fuse_req_t fuse, const char *target, fuse_ino_t parent, const char *name),
        (fuse, target, parent, name))
COUNTED(link,
        (fuse_req_t fuse, fuse_ino_t ino, fuse_ino_t new_parent, const char *name),
        (fuse, ino, new_parent, name))
COUNTED(getattr, (fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi), (fuse, ino, fi))
COUNTED(setattr,
        (fuse_req_t fuse, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi),
        (fuse, ino, attr, to_set, fi))
COUNTED(readlink, (fuse_req_t fuse, fuse_ino_t ino), (fuse, ino))
COUNTED(statfs, (fuse_req_t fuse, fuse_ino_t ino), (fuse, ino))
COUNTED(opendir, (fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi), (fuse, ino, fi))
COUNTED(readdir,
        (fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi),
        (fuse, ino, size, off, fi))
COUNTED(readdirplus,
        (fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi),
        (fuse, ino, size, off, fi))
COUNTED(releasedir, (fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi), (fuse, ino, fi))
COUNTED(setxattr,
        (fuse_req_t fuse, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags),
        (fuse, ino, name, value, size, flags))
COUNTED(getxattr, (fuse_req_t fuse, fuse_ino_t ino, const char *name, size_t size), (fuse, ino, name, size))
COUNTED(listxattr, (fuse_req_t fuse, fuse_ino_t ino, size_t size), (fuse, ino, size))
COUNTED(removexattr, (fuse_req_t fuse, fuse_ino_t ino, const char *name), (fuse, ino, name))
COUNTED(open, (fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi), (fuse, ino, fi))
COUNTED_IN(create,
        (fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi),
        (fuse, parent, name, mode, fi))
COUNTED(read,
        (fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi),
        (fuse, ino, size, off, fi))
COUNTED(write,
        (fuse_req_t fuse, fuse_ino_t ino, const char *bytes, size_t size, off_t off, struct fuse_file_info *fi),
        (fuse, ino, bytes, size, off, fi))
COUNTED(flush, (fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi), (fuse, ino, fi))
COUNTED(release, (fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi), (fuse, ino, fi))
COUNTED(fsync,
        (fuse_req_t fuse, fuse_ino_t ino, int datasync, struct fuse_file_info *fi),
        (fuse, ino, datasync, fi))
COUNTED(fsyncdir,
        (fuse_req_t fuse, fuse_ino_t ino, int datasync, struct fuse_file_info *fi),
        (fuse, ino, datasync, fi))
COUNTED(fallocate,
        (fuse_req_t fuse, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi),
        (fuse, ino, mode, off, len, fi))
COUNTED_AT(copy_file_range, ino_out, NULL,
        (fuse_req_t fuse, fuse_ino_t ino_in, off_t off_in, struct fuse_file_info *fi_in, fuse_ino_t ino_out,
         off_t off_out, struct fuse_file_info *fi_out, size_t len, int flags),
        (fuse, ino_in, off_in, fi_in, ino_out, off_out, fi_out, len, flags))
COUNTED(lseek,
        (fuse_req_t fuse, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi),
        (fuse, ino, off, whence, fi))

const struct fuse_lowlevel_ops ops = {
        .init = ops_init,
        .lookup = counted_lookup,
        .forget = ops_forget,
        .forget_multi = ops_forget_multi,
        .getattr = counted_getattr,
        .setattr = counted_setattr,
        .readlink = counted_readlink,
        .mknod = counted_mknod,
        .mkdir = counted_mkdir,
        .unlink = counted_unlink,
        .rmdir = counted_rmdir,
        .symlink = counted_symlink,
        .rename = counted_rename,
        .link = counted_link,
        .open = counted_open,
        .create = counted_create,
        .read = counted_read,
        .write = counted_write,
        .flush = counted_flush,
        .release = counted_release,
        .fsync = counted_fsync,
        .lseek = counted_lseek,
        .copy_file_range = counted_copy_file_range,
        .opendir = counted_opendir,
        .readdir = counted_readdir,
        .readdirplus = counted_readdirplus,
        .releasedir = counted_releasedir,
        .fsyncdir = counted_fsyncdir,
        .fallocate = counted_fallocate,
        .statfs = counted_statfs,
        .setxattr = counted_setxattr,
        .getxattr = counted_getxattr,
        .listxattr = counted_listxattr,
        .removexattr = counted_removexattr,
};
