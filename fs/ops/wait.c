/* SPDX-License-Identifier: MIT */

#include "fs/ops/wait.h"

#include "blobstore/base/lock.h"
#include "fs/ops/file.h"
#include "fs/ops/reply.h"

/*
 * A blocked reader. It is answered by whoever takes it off the list, under the mutex: the notifier, INTERRUPT or
 * the shutdown; so each is answered once.
 *
 * libfuse may call the interrupt function when the request has just been answered, so what it is given is the list,
 * which lives as long as the mount; and it calls it from within fuse_req_interrupt_func(), where a reply would free the
 * request under its feet, so the function is registered before the reader is on the list.
 */
struct waiter {
        struct waiter *next;
        fuse_req_t fuse;
        enum object_kind kind; /* of an image, an instance, or what follows an upstream */
        uint64_t id;
        size_t size; /* bytes asked for */
        struct wait_file *file;
};

struct waiters {
        pthread_mutex_t mutex;
        struct waiter *first;
        bool stopped;
};

/* The answer is kept for readers that take it byte by byte. */
struct wait_file {
        struct file file;
        struct strbuf text; /* under the waiters' mutex */
};

int waiters_new(struct waiters **ret)
{
        struct waiters *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        (void)pthread_mutex_init(&w->mutex, NULL); /* cannot fail without attributes */
        *ret = w;
        return 0;
}

void waiters_free(struct waiters *w)
{
        if (!w)
                return;
        (void)pthread_mutex_destroy(&w->mutex);
        free(w);
}

static int wait_image(struct model *m, uint64_t id, struct strbuf *out)
{
        CLEANUP_FREE struct image *i = malloc(sizeof(*i));
        int r;

        if (!i)
                return -ENOMEM;
        r = image_get(m, id, i);
        if (r < 0)
                return r;
        if (i->busy)
                return model_is_degraded(m) ? -EROFS : -EAGAIN; /* then nothing ends any more */
        if (i->status == IMAGE_ERROR)
                return -EIO;
        strbuf_addf(out, "%s\n", image_status_name(i->status));
        return 0;
}

static int wait_instance(struct model *m, uint64_t id, struct strbuf *out)
{
        CLEANUP_FREE struct instance *i = malloc(sizeof(*i));
        int r;

        if (!i)
                return -ENOMEM;
        r = instance_get(m, id, i);
        if (r < 0)
                return r;
        if (i->busy)
                return -EAGAIN;
        strbuf_add(out, i->running ? "running\n" : "stopped\n");
        return 0;
}

static int wait_follow(struct model *m, uint64_t id, struct strbuf *out)
{
        CLEANUP_FREE struct follow *f = malloc(sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        r = follow_get(m, id, f);
        if (r < 0)
                return r;
        if (f->status == FOLLOW_RUNNING)
                return model_is_degraded(m) ? -EROFS : -EAGAIN;
        if (f->status == FOLLOW_ERROR)
                return -EIO;
        strbuf_addf(out, "%s\n", follow_status_name(f->status));
        return 0;
}

/* What a read is to be answered with: the status's text and 0, -EIO for an image in error, -EAGAIN during work. */
static int wait_result(struct model *m, enum object_kind kind, uint64_t id, struct strbuf *out)
{
        int r = kind == OBJECT_INSTANCE ? wait_instance(m, id, out) :
                kind == OBJECT_FOLLOW   ? wait_follow(m, id, out) :
                                          wait_image(m, id, out);

        if (r == -ENOENT)
                return -ESTALE;
        return r < 0 ? r : strbuf_error(out);
}

/* Freezes the answer with the file and gives as much of it as was asked for. The mutex is held. */
static void wait_answer(struct waiter *i, int result, const struct strbuf *text)
{
        struct strbuf *answer = &i->file->text;

        strbuf_reset(answer);
        if (result == 0) {
                strbuf_add(answer, strbuf_text(text));
                result = strbuf_error(answer);
        }
        if (result < 0)
                (void)fuse_reply_err(i->fuse, -result);
        else
                (void)fuse_reply_buf(i->fuse, strbuf_text(answer), i->size < answer->len ? i->size : answer->len);
}

/* Answers every reader that KIND and ID (0: any) and FUSE (NULL: any) fit. The mutex is held. */
static void wait_answer_all(struct waiters *w, enum object_kind kind, uint64_t id, fuse_req_t fuse, int result,
                            const struct strbuf *text)
{
        for (struct waiter **at = &w->first, *i; (i = *at);) {
                if ((id && (i->kind != kind || i->id != id)) || (fuse && i->fuse != fuse)) {
                        at = &i->next;
                        continue;
                }
                *at = i->next;
                wait_answer(i, result, text);
                free(i);
        }
}

static void wait_interrupt(fuse_req_t fuse, void *data)
{
        struct waiters *w = data;

        LOCK_SCOPE(&w->mutex);
        wait_answer_all(w, OBJECT_NONE, 0, fuse, -EINTR, NULL);
}

static bool wait_is_wanted(struct waiters *w, enum object_kind kind, uint64_t id)
{
        LOCK_SCOPE(&w->mutex);
        for (const struct waiter *i = w->first; i; i = i->next)
                if (i->kind == kind && i->id == id)
                        return true;
        return false;
}

/* The first after *KIND and *ID, in that order, that somebody waits for. */
static bool wait_next(struct waiters *w, enum object_kind *kind, uint64_t *id)
{
        const struct waiter *next = NULL;
        LOCK_SCOPE(&w->mutex);

        for (const struct waiter *i = w->first; i; i = i->next) {
                if (i->kind < *kind || (i->kind == *kind && i->id <= *id))
                        continue;
                if (!next || i->kind < next->kind || (i->kind == next->kind && i->id < next->id))
                        next = i;
        }
        if (!next)
                return false;
        *kind = next->kind;
        *id = next->id;
        return true;
}

static void wait_notify_of(struct fs *fs, enum object_kind kind, uint64_t id)
{
        CLEANUP_STRBUF struct strbuf text = { 0 };
        int r;

        if (!wait_is_wanted(fs->waiters, kind, id))
                return;
        r = wait_result(fs->model, kind, id, &text);
        if (r == -EAGAIN)
                return;

        LOCK_SCOPE(&fs->waiters->mutex);
        wait_answer_all(fs->waiters, kind, id, NULL, r, &text);
}

void wait_notify(void *ctx, enum object_kind kind, uint64_t id)
{
        struct fs *fs = ctx;

        if (kind != OBJECT_NONE)
                wait_notify_of(fs, kind, id);
        else
                while (wait_next(fs->waiters, &kind, &id))
                        wait_notify_of(fs, kind, id);
}

void wait_shutdown(struct waiters *w)
{
        LOCK_SCOPE(&w->mutex);
        w->stopped = true;
        wait_answer_all(w, OBJECT_NONE, 0, NULL, -EINTR, NULL);
}

/* Puts the reader on the list; false where it was answered instead. */
static bool wait_enter(struct req *rq, struct wait_file *f, size_t size, struct waiter *i)
{
        struct waiters *w = rq->fs->waiters;

        fuse_req_interrupt_func(rq->fuse, wait_interrupt, w);

        LOCK_SCOPE(&w->mutex);
        if (w->stopped || fuse_req_interrupted(rq->fuse)) {
                reply_error(rq, -EINTR);
                return false;
        }
        *i = (struct waiter){ .next = w->first, .fuse = rq->fuse,
                              .kind = tree_kind(f->file.node.kind)->object_kind, .id = f->file.node.oid, .size = size,
                              .file = f };
        w->first = i;
        return true;
}

static void wait_read_rest(struct req *rq, struct wait_file *f, size_t size, size_t off)
{
        LOCK_SCOPE(&rq->fs->waiters->mutex);
        size_t left = off < f->text.len ? f->text.len - off : 0;

        (void)fuse_reply_buf(rq->fuse, strbuf_text(&f->text) + (left ? off : 0), left < size ? left : size);
}

/* On the list first, and a look at the object then, so that no change can fall between the two. */
static void wait_read(struct req *rq, struct file *f, size_t size, off_t off)
{
        enum object_kind kind = tree_kind(f->node.kind)->object_kind;
        uint64_t id = f->node.oid;
        struct fs *fs = rq->fs;
        struct waiter *i;

        if (off > 0) {
                wait_read_rest(rq, (struct wait_file *)f, size, (size_t)off);
                return;
        }
        i = malloc(sizeof(*i));
        if (!i)
                reply_error(rq, -ENOMEM);
        else if (wait_enter(rq, (struct wait_file *)f, size, i))
                wait_notify(fs, kind, id); /* rq may have been answered by now */
        else
                free(i);
}

static void wait_release(struct file *f)
{
        struct wait_file *wf = (struct wait_file *)f;

        strbuf_done(&wf->text);
        free(wf);
}

static const struct file_ops wait_ops = {
        .read = wait_read,
        .release = wait_release,
};

int wait_open(struct req *rq, struct node n, struct fuse_file_info *fi)
{
        struct wait_file *f;

        if ((fi->flags & O_ACCMODE) != O_RDONLY)
                return diag_set(&rq->diag, -EPERM, "wait can only be read");
        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->file = (struct file){ .ops = &wait_ops, .node = n };
        fi->direct_io = 1;
        fi->fh = (uintptr_t)f;
        return 0;
}
