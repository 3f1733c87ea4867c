/* SPDX-License-Identifier: MIT */
/*
 * Temporary files as open files, and what becomes of one that is renamed: an image, where it is a class's; the upload of
 * the image that it was made in; another temporary file; or what is written to the file whose name it gets, in one command,
 * as `cat` of it would.
 */

#include "fs/ops/scratch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "fs/ops/alias.h"
#include "fs/ops/permit.h"
#include "fs/ops/reply.h"
#include "fs/ops/reply_buffer.h"
#include "fs/ops/resent.h"
#include "fs/tree/scratch.h"
#include "fs/tree/ways.h"
#include "model/intake/draft.h"

struct scratch_file {
        struct file file;
        struct fs *fs;
        struct scratch *scratch;
};

static struct scratch *scratch_of(struct file *f)
{
        return ((struct scratch_file *)f)->scratch;
}

static void scratch_file_read(struct req *rq, struct file *f, size_t size, off_t off)
{
        char *buf = reply_buffer(size);
        ssize_t n = buf ? pread_full(scratch_fd(scratch_of(f)), buf, size, (uint64_t)off) : -ENOMEM;

        if (n < 0)
                reply_error(rq, (int)n);
        else
                (void)fuse_reply_buf(rq->fuse, buf, (size_t)n);
}

/* What is refused is said of the directory: the file is known by a number alone. */
static void scratch_file_write(struct req *rq, struct file *f, const char *bytes, size_t size, off_t off)
{
        struct scratch *s = scratch_of(f);
        int r;

        r = scratch_write(s, bytes, size, (uint64_t)off, &rq->diag);
        if (r < 0)
                reply_refusal(rq, node_of(scratch_dir(s)), r);
        else
                reply_taken(rq, size);
}

static int scratch_file_truncate(struct req *rq, struct file *f, uint64_t size)
{
        return scratch_truncate(scratch_of(f), size, &rq->diag);
}

static uint64_t scratch_file_store(const struct req *rq, const struct file *f)
{
        const struct draft *d = scratch_draft(((const struct scratch_file *)f)->scratch);

        (void)rq;
        return d ? draft_store(d) : 0;
}

static void scratch_file_release(struct file *f)
{
        struct scratch_file *sf = (struct scratch_file *)f;

        scratch_closed(sf->fs->scratches, sf->scratch);
        scratch_put(sf->fs->scratches, sf->scratch);
        free(sf);
}

static const struct file_ops scratch_file_ops = {
        .read = scratch_file_read,
        .write = scratch_file_write,
        .truncate = scratch_file_truncate,
        .store = scratch_file_store,
        .release = scratch_file_release,
};

int scratch_file_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi)
{
        struct scratch_file *f = calloc(1, sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        f->file = (struct file){ .ops = &scratch_file_ops, .node = n };
        f->fs = rq->fs;
        r = scratch_get(rq->fs->scratches, n, &f->scratch);
        if (r < 0) {
                free(f);
                return r;
        }
        if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY)
                r = scratch_truncate(f->scratch, 0, &rq->diag);
        if (r < 0) {
                scratch_file_release(&f->file);
                return r;
        }
        fi->direct_io = 1;
        fi->fh = (uintptr_t)f;
        return 0;
}

int scratch_file_resize(struct req *rq, struct node n, uint64_t size)
{
        struct scratch *s;
        int r;

        r = scratch_get(rq->fs->scratches, n, &s);
        if (r < 0)
                return r;
        r = scratch_truncate(s, size, &rq->diag);
        scratch_put(rq->fs->scratches, s);
        return r;
}

int scratch_file_remove(struct req *rq, struct node n)
{
        struct scratch *s;
        int r;

        r = scratch_get(rq->fs->scratches, n, &s);
        if (r < 0)
                return r;
        scratch_unlink(rq->fs->scratches, s);
        scratch_put(rq->fs->scratches, s);
        return 0;
}

/* ---- renaming ---- */

/*
 * In two commits: an image is made that waits for a file, and gets this one. A process that died between them left the first,
 * which this goes on from; what is refused leaves no image.
 */
static int import(struct req *rq, struct scratch *s, fuse_ino_t dir, const char *name, uint64_t *ret_image)
{
        const struct dir_kind *kind = tree_kind(node_of(dir).kind);
        int r;

        resent_is_part(true);
        r = kind->create(rq, node_of(dir).oid, name, ret_image);
        if (r == -EEXIST && resent_may_be_done())
                r = kind->created(rq, node_of(dir).oid, name, ret_image);
        resent_is_part(false);
        if (r < 0)
                return r;
        r = draft_upload(scratch_draft(s), &rq->caller, *ret_image, &rq->diag);
        if (r < 0) {
                resent_is_part(true);
                (void)image_remove(rq->fs->model, &rq->caller, *ret_image, NULL);
                resent_is_part(false);
        }
        return r;
}

/* The image goes by the file's name for a moment more, for who sets times or modes when all is done. */
static int become_image(struct req *rq, struct scratch *s, fuse_ino_t dir, const char *name)
{
        const struct fuse_ctx *who = fuse_req_ctx(rq->fuse);
        uint64_t image;
        struct stat st;
        int r;

        if (fstat(scratch_fd(s), &st) < 0)
                return -errno;
        r = import(rq, s, dir, name, &image);
        if (r < 0)
                return r;
        if (alias_add(rq->fs->aliases, dir, name, who, image) == 0)
                alias_end(rq->fs->aliases, image, false, (uint64_t)st.st_size);
        return 1;
}

/* An empty file is an empty value, for which a command has a line without anything on it. */
static int become_value(struct req *rq, const struct scratch *s, struct node to)
{
        char buf[CTL_COMMAND_MAX + 1] = "\n";
        ssize_t n;

        n = pread_full(scratch_fd(s), buf, sizeof(buf), 0);
        if (n < 0)
                return (int)n;
        return ctl_put(rq, to, buf, n > 0 ? (size_t)n : 1);
}

static bool is_upload(struct node n)
{
        const struct entry *e = tree_entry(n);

        return e && (e->flags & ENTRY_UPLOAD);
}

static int become_upload(struct req *rq, struct scratch *s, uint64_t image)
{
        int r = draft_upload(scratch_draft(s), &rq->caller, image, &rq->diag);

        return r < 0 ? r : 1;
}

/* Gives what scratch_file_rename() does. */
static int move(struct req *rq, struct scratch *s, fuse_ino_t dir, const char *name, const struct node *existing)
{
        const bool here = dir == scratch_dir(s);
        struct node to = node_of(dir);

        if (here && scratch_is_name(name))
                return scratch_rename(rq->fs->scratches, s, name);
        if (here && scratch_draft(s) && tree_kind(to.kind)->imports)
                return become_image(rq, s, dir, name);
        if (here && scratch_draft(s) && existing && is_upload(*existing))
                return become_upload(rq, s, to.oid);
        if (existing)
                return become_value(rq, s, *existing);
        if (scratch_draft(s) && tree_kind(to.kind)->imports)
                return diag_set(&rq->diag, -EPERM, "a temporary file becomes an image in the directory that it was made in");
        return diag_set(&rq->diag, -EPERM, "files cannot be made here: %s", ways_in(to.kind));
}

int scratch_file_rename(struct req *rq, struct node n, fuse_ino_t dir, const char *name, const struct node *existing)
{
        struct scratch *s;
        int r;

        r = scratch_get(rq->fs->scratches, n, &s);
        if (r < 0)
                return r;
        r = move(rq, s, dir, name, existing);
        if (r >= 0 && !scratch_is_name(name))
                scratch_unlink(rq->fs->scratches, s);
        scratch_put(rq->fs->scratches, s);
        return r;
}

void scratch_file_was_renamed(struct req *rq, fuse_ino_t dir, const char *name)
{
        struct scratch *s;
        struct node n;

        if (!scratch_find(rq->fs->scratches, dir, name, rq->caller.uid, &n) || scratch_get(rq->fs->scratches, n, &s) < 0)
                return;
        if (!scratch_draft(s))
                scratch_unlink(rq->fs->scratches, s);
        scratch_put(rq->fs->scratches, s);
}
