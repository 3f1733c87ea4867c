/* SPDX-License-Identifier: MIT */

/*
 * Who commits only says so; a thread of its own looks what there is for each reader that waits, once for all that was
 * committed meanwhile. It is there from the first such reader on.
 *
 * The text of an open file is a function of the number in its name, as far as it goes: events do not change. So of what
 * was made no more is kept than the piece that is being read, and a process that serves on for one that died gives what
 * follows the same place. The end is where events were when the first byte was read, so that there is one.
 */

#include "fs/ops/follow.h"

#include <errno.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "fs/ops/file.h"
#include "fs/ops/reply.h"
#include "fs/tree/events.h"

#define PIECE 512 /* events */

/*
 * Counted: who has an answer may close the file while the thread that gave it is still about to let go of the mutex.
 */
struct follow_file {
        struct file file;
        atomic_uint users; /* the open file, each read, and each reader that waits */
        pthread_mutex_t mutex; /* of what follows; taken before that of the followers */
        bool begun;
        uint64_t upto; /* the last event of the text */
        uint64_t last; /* of those that were made */
        uint64_t piece_off; /* the piece's place in the text */
        struct strbuf piece;
};

/* On the list until it is answered; while a look is being taken for it, only who looks answers it. */
struct follower {
        struct follower *next;
        fuse_req_t fuse;
        struct follow_file *file;
        size_t size; /* bytes asked for */
        uint64_t seen; /* of the events so far none is for it */
        bool looking, interrupted;
};

struct followers {
        struct fs *fs;
        atomic_uint waiting;
        pthread_mutex_t mutex; /* of what follows */
        pthread_cond_t cond; /* news or stopped */
        struct follower *first;
        pthread_t thread;
        bool started, stopped, news;
};

static struct follow_file *file_ref(struct follow_file *f)
{
        atomic_fetch_add(&f->users, 1);
        return f;
}

static void file_unref(struct follow_file *f)
{
        if (!f || atomic_fetch_sub(&f->users, 1) > 1)
                return;
        strbuf_done(&f->piece);
        (void)pthread_mutex_destroy(&f->mutex);
        free(f);
}

DEFINE_CLEANUP(struct follow_file *, file_unrefp, file_unref)

/* ---- the text; with the file's mutex held ---- */

static int next_piece(struct req *rq, struct follow_file *f)
{
        CLEANUP(events_done) struct events e = { 0 };
        int r;

        r = events_after(rq->fs->model, &rq->caller, f->last, f->upto, PIECE, &e);
        if (r < 0)
                return r;
        f->piece_off += f->piece.len;
        strbuf_reset(&f->piece);
        events_add(rq->fs->model, &f->piece, &e);
        r = strbuf_error(&f->piece);
        if (r == 0 && e.n > 0)
                f->last = e.event[e.n - 1].seq;
        return r;
}

static void begin_text(struct follow_file *f, uint64_t after)
{
        f->last = after;
        f->piece_off = 0;
        strbuf_reset(&f->piece);
}

/* Makes the piece that has the byte at OFF; 0 with a piece that ends before it: the text does. */
static int find_piece(struct req *rq, struct follow_file *f, uint64_t off)
{
        int r = 0;

        if (off < f->piece_off)
                begin_text(f, f->file.node.oid);
        while (r == 0 && off >= f->piece_off + f->piece.len) {
                r = next_piece(rq, f);
                if (f->piece.len == 0)
                        break;
        }
        return r;
}

static void answer(fuse_req_t fuse, const struct follow_file *f, size_t size, uint64_t off)
{
        size_t left = off < f->piece_off + f->piece.len ? f->piece.len - (size_t)(off - f->piece_off) : 0;

        (void)fuse_reply_buf(fuse, strbuf_text(&f->piece) + (f->piece.len - left), left < size ? left : size);
}

/* ---- who waits ---- */

/* Looks for events that came since; 1: answered, and 0: there are none. */
static int look(struct followers *fl, struct follower *w)
{
        const struct fuse_ctx *ctx = fuse_req_ctx(w->fuse);
        CLEANUP_REQ struct req rq = { 0 };
        struct follow_file *f = w->file;
        uint64_t last;
        int r;
        LOCK_SCOPE(&f->mutex);

        r = events_last(fl->fs->model, &last);
        if (r < 0 || last == w->seen)
                return r;
        req_init_as(&rq, fl->fs, w->fuse, ctx->uid, ctx->gid);
        begin_text(f, w->seen);
        f->upto = last;
        r = next_piece(&rq, f);
        if (r < 0)
                return r;
        w->seen = last;
        if (f->piece.len == 0)
                return 0;
        f->begun = true;
        answer(w->fuse, f, w->size, 0);
        return 1;
}

static void follower_free(struct follower *w)
{
        file_unref(w->file);
        free(w);
}

static void take_off(struct followers *fl, const struct follower *w)
{
        struct follower **at = &fl->first;

        while (*at != w)
                at = &(*at)->next;
        *at = w->next;
}

/* Looks for all who were there when it began. The mutex is held, but for the looks. */
static void look_for_all(struct followers *fl)
{
        for (struct follower *w = fl->first, *next; w; w = next) {
                int r;

                w->looking = true;
                (void)pthread_mutex_unlock(&fl->mutex);
                r = look(fl, w);
                (void)pthread_mutex_lock(&fl->mutex);
                w->looking = false;
                if (r == 0 && (w->interrupted || fl->stopped))
                        r = -EINTR;
                next = w->next; /* who came meanwhile stands before it */
                if (r == 0)
                        continue;
                take_off(fl, w);
                atomic_fetch_sub(&fl->waiting, 1);
                if (r < 0)
                        (void)fuse_reply_err(w->fuse, -r);
                follower_free(w);
        }
}

static void *follow_main(void *arg)
{
        struct followers *fl = arg;
        LOCK_SCOPE(&fl->mutex);

        while (!fl->stopped) {
                if (!fl->news) {
                        (void)pthread_cond_wait(&fl->cond, &fl->mutex);
                        continue;
                }
                fl->news = false;
                look_for_all(fl);
        }
        return NULL;
}

void follow_wake(struct followers *fl)
{
        if (atomic_load(&fl->waiting) == 0)
                return;
        LOCK_SCOPE(&fl->mutex);
        fl->news = true;
        (void)pthread_cond_signal(&fl->cond);
}

/* Ends those who wait, one (FUSE) or all. The mutex is held. */
static void end_waiting(struct followers *fl, fuse_req_t fuse)
{
        for (struct follower **at = &fl->first, *w; (w = *at);) {
                if (fuse && w->fuse != fuse) {
                        at = &w->next;
                        continue;
                }
                w->interrupted = true;
                if (w->looking) {
                        at = &w->next;
                        continue;
                }
                *at = w->next;
                atomic_fetch_sub(&fl->waiting, 1);
                (void)fuse_reply_err(w->fuse, EINTR);
                follower_free(w);
        }
}

/* What it is given is what lives as long as the mount: see wait.c. */
static void follow_interrupt(fuse_req_t fuse, void *data)
{
        struct followers *fl = data;

        LOCK_SCOPE(&fl->mutex);
        end_waiting(fl, fuse);
}

void follow_shutdown(struct followers *fl)
{
        bool started;

        {
                LOCK_SCOPE(&fl->mutex);
                fl->stopped = true;
                started = fl->started;
                fl->started = false;
                (void)pthread_cond_signal(&fl->cond);
                end_waiting(fl, NULL);
        }
        if (started)
                (void)pthread_join(fl->thread, NULL);
}

int followers_new(struct fs *fs, struct followers **ret)
{
        struct followers *fl = calloc(1, sizeof(*fl));

        if (!fl)
                return -ENOMEM;
        fl->fs = fs;
        (void)pthread_mutex_init(&fl->mutex, NULL); /* cannot fail without attributes */
        (void)pthread_cond_init(&fl->cond, NULL); /* likewise */
        *ret = fl;
        return 0;
}

void followers_free(struct followers *fl)
{
        if (!fl)
                return;
        follow_shutdown(fl);
        (void)pthread_cond_destroy(&fl->cond);
        (void)pthread_mutex_destroy(&fl->mutex);
        free(fl);
}

/* Puts the reader on the list, and has a look taken for it, so that no event can fall between the two. */
static void follow_enter(struct req *rq, struct follow_file *f, size_t size, uint64_t seen)
{
        struct followers *fl = rq->fs->followers;
        struct follower *w = malloc(sizeof(*w));
        int r = w ? 0 : -ENOMEM;

        if (r == 0)
                fuse_req_interrupt_func(rq->fuse, follow_interrupt, fl);
        LOCK_SCOPE(&fl->mutex);
        if (r == 0 && (fl->stopped || fuse_req_interrupted(rq->fuse)))
                r = -EINTR;
        if (r == 0 && !fl->started) {
                r = thread_start(&fl->thread, follow_main, fl);
                fl->started = r == 0;
        }
        if (r < 0) {
                free(w);
                reply_error(rq, r);
                return;
        }
        *w = (struct follower){ .next = fl->first, .fuse = rq->fuse, .file = file_ref(f), .size = size, .seen = seen };
        fl->first = w;
        atomic_fetch_add(&fl->waiting, 1);
        fl->news = true;
        (void)pthread_cond_signal(&fl->cond);
}

/* ---- the file ---- */

/* Begins the text, or finds that it has none yet. */
static int follow_begin(struct req *rq, struct follow_file *f)
{
        int r;

        r = events_last(rq->fs->model, &f->upto);
        if (r == 0)
                r = events_check(rq->fs->model, &rq->caller, f->file.node.oid, &rq->diag);
        if (r == 0) {
                begin_text(f, f->file.node.oid);
                r = next_piece(rq, f);
        }
        f->begun = r == 0 && f->piece.len > 0;
        return r;
}

static void follow_read(struct req *rq, struct file *file, size_t size, off_t off)
{
        CLEANUP(file_unrefp) struct follow_file *f = file_ref((struct follow_file *)file);
        uint64_t seen;
        int r = 0;

        {
                LOCK_SCOPE(&f->mutex);
                if (!f->begun)
                        r = follow_begin(rq, f);
                if (r == 0 && f->begun)
                        r = find_piece(rq, f, (uint64_t)off);
                if (r == 0 && f->begun) {
                        answer(rq->fuse, f, size, (uint64_t)off);
                        return;
                }
                seen = f->upto;
        }
        if (r < 0)
                reply_refusal(rq, f->file.node, r);
        else
                follow_enter(rq, f, size, seen > f->file.node.oid ? seen : f->file.node.oid);
}

static void follow_release(struct file *file)
{
        file_unref((struct follow_file *)file);
}

static const struct file_ops follow_ops = {
        .read = follow_read,
        .release = follow_release,
};

int follow_open(struct req *rq, struct node n, struct fuse_file_info *fi)
{
        struct follow_file *f;

        if ((fi->flags & O_ACCMODE) != O_RDONLY)
                return diag_set(&rq->diag, -EPERM, "events can only be read");
        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->file = (struct file){ .ops = &follow_ops, .node = n };
        atomic_init(&f->users, 1);
        (void)pthread_mutex_init(&f->mutex, NULL); /* cannot fail without attributes */
        fi->direct_io = 1;
        fi->fh = (uintptr_t)f;
        return 0;
}
