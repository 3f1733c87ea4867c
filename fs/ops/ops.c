/* SPDX-License-Identifier: MIT */
/*
 * The connection, and the table of all requests. The handlers (ops_priv.h) stand below it; they go by the kind of the
 * open file (file.h), or by what a node is (attr.h) and lets (permit.h), and answer by reply.h.
 */

#include "fs/ops/ops.h"

#include "fs/ops/ops_priv.h"

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

/*
 * Of requests that nobody waits for by itself (read-ahead, asynchronous reads and writes, releases) the kernel sends so
 * many at once, all users' together; its own number is 12. With more of them than there are threads (32, see mount.c)
 * one user's could take all of these. Sixteen readers of cold disks beside one who asks for her quota, on a store that
 * takes 50 ms for each read: p99 18 ms with 12, 9 ms with 24. On a fast one eight readers got the same, within what the
 * machine varies by, and a quarter less with 64.
 */
#define BACKGROUND_MAX    24
#define BACKGROUND_ENOUGH 18 /* from here on the kernel reads ahead less eagerly */

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
        (void)userdata;
        /* dense sequential reads were up to 1.6 times as fast with 1 MiB of read-ahead as with the kernel's 128 KiB */
        conn->max_readahead = 1 << 20;
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
