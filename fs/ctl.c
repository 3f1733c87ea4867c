/* SPDX-License-Identifier: MIT */
/*
 * Control files. The text is made and frozen at open; one write(2) is one command, and its errno is the answer: it must
 * be in the reply to WRITE, since shells ignore what FLUSH says. Offsets mean nothing, so that > and >> do the same.
 * direct_io keeps the page cache out of both.
 */

#include <fcntl.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/file.h"
#include "fs/ops.h"

/* Longer than any command; a text is limited by the attribute itself. */
#define CTL_COMMAND_MAX 65536

struct ctl {
        struct file file;
        struct strbuf text;
};

static void ctl_release(struct file *f)
{
        struct ctl *c = (struct ctl *)f;

        strbuf_done(&c->text);
        free(c);
}

static void ctl_read(struct req *rq, struct file *f, size_t size, off_t off)
{
        const struct ctl *c = (const struct ctl *)f;
        size_t start = off < 0 || (uint64_t)off > c->text.len ? c->text.len : (size_t)off;
        size_t n = c->text.len - start;

        (void)fuse_reply_buf(rq->fuse, strbuf_text(&c->text) + start, n < size ? n : size);
}

int ctl_command(const struct entry *entry, const char *text, size_t n, char **ret, struct diag *diag)
{
        CLEANUP_FREE char *command = NULL;

        if (n > CTL_COMMAND_MAX)
                return diag_set(diag, -E2BIG, "%s: a command has at most 64 KiB", entry->name);
        if (memchr(text, '\0', n))
                return diag_set(diag, -EINVAL, "%s: a command is text, without zero bytes", entry->name);
        if (n && text[n - 1] == '\n')
                n--;
        if (!(entry->flags & ENTRY_TEXT) && memchr(text, '\n', n))
                return diag_set(diag, -EINVAL, "%s takes one line in one write", entry->name);

        command = strndup(text, n);
        if (!command)
                return -ENOMEM;
        *ret = TAKE_PTR(command);
        return 0;
}

/* Brings a request's bytes into one piece. */
static int ctl_gather(struct fuse_bufvec *in, size_t size, char *buf)
{
        struct fuse_bufvec out = FUSE_BUFVEC_INIT(size);
        ssize_t n;

        out.buf[0].mem = buf;
        n = fuse_buf_copy(&out, in, 0);
        if (n < 0)
                return (int)n;
        return (size_t)n == size ? 0 : -EIO;
}

static int ctl_run(struct req *rq, const struct ctl *c, struct fuse_bufvec *in, size_t size)
{
        const struct entry *entry = tree_entry(c->file.node);
        CLEANUP_FREE char *text = NULL;
        CLEANUP_FREE char *command = NULL;
        int r;

        if (size > CTL_COMMAND_MAX)
                return ctl_command(entry, NULL, size, &command, &rq->diag);
        text = malloc(size + 1);
        if (!text)
                return -ENOMEM;
        r = ctl_gather(in, size, text);
        if (r < 0)
                return r;
        r = ctl_command(entry, text, size, &command, &rq->diag);
        if (r < 0)
                return r;

        rq->entry = entry;
        rq->oid = c->file.node.oid;
        r = entry->store(rq, command);
        return r == -ENOENT && !rq->diag.error ? -ESTALE : r;
}

static void ctl_write(struct req *rq, struct file *f, struct fuse_bufvec *in, off_t off)
{
        size_t size = fuse_buf_size(in);
        int r;

        (void)off;
        r = ctl_run(rq, (struct ctl *)f, in, size);
        if (r < 0)
                ops_refuse(rq, f->node, r);
        else
                (void)fuse_reply_write(rq->fuse, size);
}

static const struct file_ops ctl_ops = {
        .read = ctl_read,
        .write = ctl_write,
        .release = ctl_release,
};

int ctl_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi)
{
        const struct entry *entry = tree_entry(n);
        struct ctl *c;
        int r;

        if ((flags & O_ACCMODE) != O_RDONLY && !(entry && entry->store))
                return diag_set(&rq->diag, -EPERM, "%s can only be read", entry ? entry->name : "this file");

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->file = (struct file){ .ops = &ctl_ops, .node = n };
        if ((flags & O_ACCMODE) != O_WRONLY) {
                r = attr_text(rq, n, &c->text);
                if (r < 0) {
                        ctl_release(&c->file);
                        return r;
                }
        }
        fi->direct_io = 1;
        fi->fh = (uintptr_t)c;
        return 0;
}
