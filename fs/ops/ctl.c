/* SPDX-License-Identifier: MIT */
/*
 * Control files. The text is made and frozen at open; one write(2) is one command, and its errno is the answer: it must
 * be in the reply to WRITE, since shells ignore what FLUSH says. Offsets mean nothing to a line, so that > and >> do
 * the same. direct_io keeps the page cache out of it all.
 *
 * One thing may come in several writes, as bash's printf sends it line by line. What continues the writes before it
 * through the same open (those of an open with >> all do)
 *
 *      is added to them, in a text, to which >> adds what is there; where it is refused, the text is again what it was
 *              before the first of them, unless somebody else has written since, so that no half of one is left;
 *      is refused, where there is one value, which it would replace without a word;
 *      is the next command, where commands are taken (ENTRY_COMMANDS).
 *
 * A command is the word of its writer, who must be the one who opened the file and may still write to it: else a user
 * could open `batch`, and have a set-user-id program that prints what it is told speak for root.
 */

#include <fcntl.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "fs/ops/attr.h"
#include "fs/ops/file.h"
#include "fs/ops/frozen.h"
#include "fs/ops/permit.h"
#include "fs/ops/reply.h"
#include "fs/ops/reply_buffer.h"
#include "fs/ops/resent.h"
#include "model/core/text.h"

struct ctl {
        struct file file;
        struct text *text; /* as of the open; NULL: only written */
        struct frozen_as as;
        struct frozen frozen; /* for who asks without the handle */
        uid_t uid; /* who opened it */
        bool append; /* opened with >> */
        pthread_mutex_t mutex; /* of what follows */
        bool begun; /* a write was carried out */
        bool refused; /* the last was not */
        bool unfinished; /* and what was written means nothing before its end */
        bool broken; /* one that went on was refused: what follows is the rest of it */
        struct strbuf written; /* of a text, so far */
        struct strbuf before, after; /* how it was shown before the first write, and after the last */
};

static void ctl_release(struct file *f)
{
        struct ctl *c = (struct ctl *)f;

        frozen_remove(&c->frozen);
        text_unref(c->text);
        strbuf_done(&c->written);
        strbuf_done(&c->before);
        strbuf_done(&c->after);
        (void)pthread_mutex_destroy(&c->mutex);
        free(c);
}

static void ctl_read(struct req *rq, struct file *f, size_t size, off_t off)
{
        const struct ctl *c = (const struct ctl *)f;
        size_t len = c->text ? text_size(c->text) : 0;
        size_t start = off < 0 || (uint64_t)off > len ? len : (size_t)off;
        size_t n = len - start < size ? len - start : size;
        const char *bytes = "";

        if (n > 0) {
                char *buf = reply_buffer(n);

                bytes = buf ? text_get(c->text, start, n, buf) : NULL;
        }
        if (bytes)
                (void)fuse_reply_buf(rq->fuse, bytes, n);
        else
                reply_error(rq, -EIO);
}

int ctl_command(const struct entry *entry, const char *text, size_t n, char **ret, struct diag *diag)
{
        CLEANUP_FREE char *command = NULL;

        if (n > CTL_COMMAND_MAX)
                return diag_set(diag, -E2BIG, "%s: a command has at most 64 KiB", entry->name);
        if (!(entry->flags & ENTRY_BYTES) && !text_is_clean_multiline(text, n))
                return diag_set(diag, -EINVAL, "%s: what is written is text in UTF-8, without control characters",
                                entry->name);
        if (n && text[n - 1] == '\n' && !(entry->flags & ENTRY_BYTES))
                n--;
        if (!(entry->flags & (ENTRY_TEXT | ENTRY_BYTES)) && memchr(text, '\n', n))
                return diag_set(diag, -EINVAL, "%s takes one line in one write", entry->name);

        command = malloc(n + 1);
        if (!command)
                return -ENOMEM;
        if (n > 0)
                memcpy(command, text, n);
        command[n] = '\0';
        *ret = TAKE_PTR(command);
        return 0;
}

static bool is_text(const struct ctl *c)
{
        return tree_entry(c->file.node)->flags & ENTRY_TEXT;
}

/* How the text is shown at the moment. */
static int take_shown(struct req *rq, const struct ctl *c, struct strbuf *out)
{
        strbuf_reset(out);
        req_forget(rq);
        return attr_text(rq, c->file.node, out);
}

static void run_store(struct req *rq, const struct ctl *c, const char *command, size_t n, int *ret)
{
        rq->entry = tree_entry(c->file.node);
        rq->oid = c->file.node.oid;
        rq->stored_bytes = n;
        *ret = rq->entry->store(rq, command);
}

/* Puts back what a text was before the writes of which one was refused. Between the two steps another may write. */
static void ctl_restore(struct req *rq, struct ctl *c)
{
        CLEANUP_STRBUF struct strbuf now = { 0 };
        size_t n = c->before.len;
        int r;

        if (!tree_entry(c->file.node)->show)
                return;
        r = take_shown(rq, c, &now);
        if (r < 0 || strcmp(strbuf_text(&now), strbuf_text(&c->after)) != 0)
                return;
        if (n > 0 && c->before.text[n - 1] == '\n')
                c->before.text[n - 1] = '\0';
        run_store(rq, c, strbuf_text(&c->before), strlen(strbuf_text(&c->before)), &r); /* it failed: the refusal is the answer all the same */
}

/* A command refused leaves what was written before as it was. Under the mutex. */
static int ctl_store(struct req *rq, struct ctl *c, const char *bytes, size_t size, bool goes_on)
{
        const struct entry *entry = tree_entry(c->file.node);
        CLEANUP_STRBUF struct strbuf whole = { 0 };
        CLEANUP_FREE char *command = NULL;
        int r = 0;

        if (size > CTL_COMMAND_MAX)
                return ctl_command(entry, NULL, size, &command, &rq->diag);
        if (is_text(c) && goes_on)
                strbuf_add_bytes(&whole, strbuf_text(&c->written), c->written.len);
        strbuf_add_bytes(&whole, bytes, size);
        r = strbuf_error(&whole);
        if (r == 0)
                r = ctl_command(entry, whole.text, whole.len, &command, &rq->diag);
        if (r == 0 && is_text(c) && !(c->begun && goes_on))
                r = take_shown(rq, c, &c->before);
        if (r < 0)
                return r;

        run_store(rq, c, command, whole.len, &r);
        c->unfinished = r > 0;
        if (r < 0)
                return r == -ENOENT && !rq->diag.error ? -ESTALE : r;
        strbuf_done(&c->written);
        c->written = whole;
        whole = (struct strbuf){ 0 };
        if (is_text(c))
                (void)take_shown(rq, c, &c->after); /* it failed: nothing will be put back */
        return 0;
}

static int ctl_run(struct req *rq, struct ctl *c, const char *bytes, size_t size, off_t off)
{
        const struct entry *entry = tree_entry(c->file.node);
        bool goes_on;
        int r;

        if (!entry || !entry->store)
                return -EBADF; /* it was opened to be read: the kernel would have said so */
        if (rq->caller.uid != c->uid)
                return diag_set(&rq->diag, -EPERM, "%s was opened by another user: open it yourself", entry->name);
        r = permit(rq, c->file.node, PERMIT_WRITE);
        if (r < 0)
                return r;

        LOCK_SCOPE(&c->mutex);
        goes_on = c->append || off > 0;
        if (c->file.again && !c->begun && off > 0 && !c->append && !(entry->flags & ENTRY_COMMANDS))
                return diag_set(&rq->diag, -ESTALE,
                                "%s: imagefs was started anew after what was written before this: write all of it again",
                                entry->name);
        if (c->broken && goes_on)
                return diag_set(&rq->diag, -EINVAL, "%s: what was written before this was refused: write all of it again",
                                entry->name);
        if (c->begun && goes_on && !(entry->flags & (ENTRY_TEXT | ENTRY_COMMANDS)))
                return diag_set(&rq->diag, -EINVAL,
                                "%s takes one line in one write: the line before this one was taken, and this is not",
                                entry->name);
        /* A text that begins anew. */
        if (is_text(c) && !c->append && (off <= 0 || (uint64_t)off != c->written.len))
                goes_on = false;
        r = ctl_store(rq, c, bytes, size, goes_on);
        c->broken = r < 0 && is_text(c) && c->begun && goes_on;
        if (c->broken && !(entry->flags & ENTRY_PIECES))
                ctl_restore(rq, c);
        c->begun = c->begun || r == 0;
        c->refused = r < 0;
        return r;
}

/* The end of a line that was refused, which bash writes all the same: it would empty the value. */
static bool is_rest(struct ctl *c, const char *bytes, size_t size)
{
        LOCK_SCOPE(&c->mutex);

        return c->refused && size == 1 && bytes[0] == '\n' &&
               !(tree_entry(c->file.node)->flags & (ENTRY_TEXT | ENTRY_BYTES | ENTRY_COMMANDS));
}

static void ctl_write(struct req *rq, struct file *f, const char *bytes, size_t size, off_t off)
{
        int r;

        if (is_rest((struct ctl *)f, bytes, size)) {
                reply_error(rq, -EINVAL); /* why, was said of the line */
                return;
        }
        r = resent_was_done() ? 0 : ctl_run(rq, (struct ctl *)f, bytes, size, off);
        if (r < 0) {
                reply_refusal(rq, f->node, r);
                return;
        }
        reply_done(rq, f->node);
        (void)fuse_reply_write(rq->fuse, size);
}

/* Of a text whose end did not come nothing was done. It is said once: descriptors that were copied are closed, too. */
static int ctl_flush(struct req *rq, struct file *f)
{
        struct ctl *c = (struct ctl *)f;
        LOCK_SCOPE(&c->mutex);

        if (!c->unfinished || rq->caller.uid != c->uid)
                return 0;
        c->unfinished = false;
        return diag_set(&rq->diag, -EINVAL, "%s: what was written ends before its end: nothing was changed",
                        tree_entry(f->node)->name);
}

static bool ctl_frozen(const struct file *f, struct frozen_as *ret)
{
        const struct ctl *c = (const struct ctl *)f;

        if (c->text)
                *ret = c->as;
        return c->text;
}

/* FNV-1a, so that it is the same in every version. */
static uint64_t ctl_print(const struct file *f)
{
        const struct ctl *c = (const struct ctl *)f;
        const size_t size = c->text ? text_size(c->text) : 0;
        uint64_t print = UINT64_C(0xcbf29ce484222325);
        char buf[4096];

        for (size_t at = 0, n; at < size; at += n) {
                const char *bytes;

                n = size - at < sizeof(buf) ? size - at : sizeof(buf);
                bytes = text_get(c->text, at, n, buf);
                if (!bytes)
                        return 0;
                for (size_t i = 0; i < n; i++)
                        print = (print ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001b3);
        }
        return print;
}

static const struct file_ops ctl_ops = {
        .frozen = ctl_frozen,
        .print = ctl_print,
        .is_command = true,
        .flush = ctl_flush,
        .read = ctl_read,
        .write = ctl_write,
        .release = ctl_release,
};

static int ctl_make_text(struct req *rq, struct node n, struct text **ret, int64_t *ret_changed_us)
{
        const struct entry *entry = tree_entry(n);
        CLEANUP_STRBUF struct strbuf shown = { 0 };
        int r;

        if (entry) {
                rq->entry = entry;
                rq->dir = tree_kind(n.kind);
                rq->oid = n.oid;
                if (entry->changed_us) /* before it is made: it is never of later than it says */
                        *ret_changed_us = entry->changed_us(rq);
        }
        if (entry && entry->text) {
                r = entry->text(rq, ret, ret_changed_us);
                return r == -ENOENT ? -ESTALE : r;
        }
        r = attr_text(rq, n, &shown);
        return r < 0 ? r : text_new(rq->fs->model, rq->caller.uid, &shown, &rq->diag, ret);
}

static int ctl_freeze(struct req *rq, struct ctl *c)
{
        int r = ctl_make_text(rq, c->file.node, &c->text, &c->as.changed_us);

        if (r < 0)
                return r;
        c->as.size = text_size(c->text);
        return 0;
}

static int ctl_new(struct req *rq, struct node n, int flags, struct ctl **ret)
{
        const struct entry *entry = tree_entry(n);
        struct ctl *c;

        if ((flags & O_ACCMODE) != O_RDONLY && !(entry && entry->store))
                return diag_set(&rq->diag, -EPERM, "%s can only be read", entry ? entry->name : "this file");

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->file = (struct file){ .ops = &ctl_ops, .node = n };
        (void)pthread_mutex_init(&c->mutex, NULL); /* cannot fail without attributes */
        c->uid = rq->caller.uid;
        c->append = flags & O_APPEND;
        *ret = c;
        return 0;
}

int ctl_put(struct req *rq, struct node n, const char *bytes, size_t size)
{
        const struct entry *entry = tree_entry(n);
        struct ctl *c;
        int r;

        if (entry && (entry->flags & (ENTRY_UPLOAD | ENTRY_DISK)))
                return diag_set(&rq->diag, -EPERM, "%s stays the file that it is: copy the other one's bytes into it",
                                entry->name);
        r = ctl_new(rq, n, O_WRONLY, &c);
        if (r < 0)
                return r;
        r = ctl_run(rq, c, bytes, size, 0);
        if (r == 0)
                r = ctl_flush(rq, &c->file);
        ctl_release(&c->file);
        return r;
}

int ctl_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi)
{
        const struct entry *entry = tree_entry(n);
        struct ctl *c;
        int r;

        r = ctl_new(rq, n, flags, &c);
        if (r < 0)
                return r;
        if ((flags & O_ACCMODE) != O_WRONLY)
                r = ctl_freeze(rq, c);
        if (r == 0 && c->append && entry && (entry->flags & ENTRY_TEXT))
                r = attr_text(rq, n, &c->written);
        if (r < 0) {
                ctl_release(&c->file);
                return r;
        }
        /* an unset text reads as an empty line, which is nothing to add to */
        if (c->append && strcmp(strbuf_text(&c->written), "\n") == 0)
                strbuf_reset(&c->written);
        if (c->text && rq->fuse)
                frozen_add(rq->fs->frozens, &c->frozen, node_ino(n), fuse_req_ctx(rq->fuse), &c->as);
        fi->direct_io = 1;
        fi->fh = (uintptr_t)c;
        return 0;
}
