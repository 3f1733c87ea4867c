/* SPDX-License-Identifier: MIT */
/*
 * Listings. What a directory contains is taken when it is opened, so that a listing is one consistent state however
 * many calls it takes; offsets are positions in it. Children keep their object's attributes in a compact form: a
 * directory of 100 000 images is listed with `ls -l` by one pass over the database. Only what the caller may enter is
 * listed, and of links those that lead to it.
 */

#include <limits.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "fs/ops/attr.h"
#include "fs/ops/guest.h"
#include "fs/ops/handles.h"
#include "fs/ops/later.h"
#include "fs/ops/ops_priv.h"
#include "fs/ops/permit.h"
#include "fs/ops/ready.h"
#include "fs/ops/removal.h"
#include "fs/ops/reply.h"
#include "fs/tree/guest.h"
#include "fs/tree/scratch.h"
#include "model/core/text.h"

struct listed {
        struct node node;
        uint32_t name; /* offset in names */
        unsigned char type;
        bool has_object;
        /* what attributes need of an object */
        uid_t uid;
        gid_t gid;
        mode_t mode;
        int64_t updated_us;
        uint64_t size_bytes;
};

/* While it is made. */
struct listing {
        struct node dir;
        struct strbuf names;
        struct listed *items;
        size_t n, size;
        struct req *rq;
};

static void listing_done(struct listing *l)
{
        strbuf_done(&l->names);
        free(l->items);
}

/* An open directory: the items, and the names after them. */
struct open_dir {
        struct walk walk;
        struct node dir;
        size_t n;
        struct text *text;
        double taken_s; /* when that was so, by the monotonic clock */
        uint64_t print; /* of the names */
        uint64_t names_left; /* of struct fs, from before */
};

static double monotonic_s(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int listing_add(struct listing *l, const char *name, struct node n, unsigned char type, const struct object *o)
{
        struct listed *items;
        size_t size;

        if (l->n == l->size) {
                size = l->size ? l->size * 2 : 64;
                items = reallocarray(l->items, size, sizeof(*items));
                if (!items)
                        return -ENOMEM;
                l->items = items;
                l->size = size;
        }
        if (l->names.len > UINT32_MAX - NAME_MAX - 1)
                return -EOVERFLOW;

        l->items[l->n] = (struct listed){
                .node = n,
                .name = (uint32_t)l->names.len,
                .type = type,
                .has_object = o,
                .uid = o ? o->uid : 0,
                .gid = o ? o->gid : 0,
                .mode = o ? o->mode : 0,
                .updated_us = o ? o->updated_us : 0,
                .size_bytes = o ? o->size_bytes : 0,
        };
        strbuf_add_bytes(&l->names, name, strlen(name) + 1);
        l->n++;
        return strbuf_error(&l->names);
}

static int listing_add_child(void *ctx, const struct child *c)
{
        struct listing *l = ctx;
        struct node n = tree_child(l->dir, c);

        if (c->type == DT_DIR && c->object && !tree_kind(n.kind)->mode && !object_allows(c->object, &l->rq->caller, 01))
                return 0;
        return listing_add(l, c->name, n, c->type, c->object);
}

static int listing_add_scratch(void *ctx, const char *name, struct node n)
{
        return listing_add(ctx, name, n, DT_REG, NULL);
}

/* Takes out links to what is closed to the caller: known only now, when the walk over the database has ended. */
static int listing_drop_closed_links(struct req *rq, struct listing *l)
{
        size_t kept = 0;

        for (size_t i = 0; i < l->n; i++) {
                int r = l->items[i].type == DT_LNK ? permit(rq, l->items[i].node, PERMIT_READ) : 0;

                if (r < 0 && r != -EACCES && r != -ESTALE)
                        return r;
                if (r == 0)
                        l->items[kept++] = l->items[i];
        }
        l->n = kept;
        return 0;
}

static int listing_fill(struct req *rq, struct listing *l)
{
        const struct dir_kind *kind = tree_kind(l->dir.kind);
        int r;

        r = listing_add(l, ".", l->dir, DT_DIR, NULL);
        if (r < 0)
                return r;
        r = listing_add(l, "..", l->dir, DT_DIR, NULL);
        if (r < 0)
                return r;

        for (const struct entry *e = kind->entries; e && e->name; e++) {
                struct node n = { .kind = l->dir.kind, .row = e->number, .oid = l->dir.oid };

                rq->entry = e;
                rq->oid = l->dir.oid;
                if ((e->flags & ENTRY_UNLISTED) || (e->visible && !e->visible(rq)))
                        continue;
                if ((e->flags & ENTRY_ADMIN) && !rq->caller.admin)
                        continue; /* who reads all that is listed is refused nothing */
                if (e->dir)
                        n = tree_subdir(e, l->dir);
                r = listing_add(l, e->name, n, e->dir ? DT_DIR : DT_REG, NULL);
                if (r < 0)
                        return r;
        }

        l->rq = rq;
        r = kind->list ? kind->list(rq, l->dir.oid, listing_add_child, l) : 0;
        if (r == 0)
                r = listing_drop_closed_links(rq, l);
        return r < 0 ? r : scratch_each(rq->fs->scratches, node_ino(l->dir), rq->caller.uid, listing_add_scratch, l);
}

/* FNV-1a, so that it is the same in every version. */
static uint64_t print_of(const struct strbuf *names)
{
        uint64_t print = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < names->len; i++)
                print = (print ^ (uint8_t)names->text[i]) * UINT64_C(0x100000001b3);
        return print;
}

/* What a directory holds is as long as others make it, and it stays open as long as its reader likes: see text.h. */
static int listing_freeze(struct req *rq, struct listing *l, struct open_dir *d)
{
        CLEANUP_STRBUF struct strbuf all = { 0 };
        int r;

        strbuf_add_bytes(&all, l->items, l->n * sizeof(*l->items));
        strbuf_add_bytes(&all, l->names.text, l->names.len);
        r = strbuf_error(&all);
        if (r < 0)
                return r;
        d->dir = l->dir;
        d->n = l->n;
        d->print = print_of(&l->names);
        return text_new(rq->fs->model, rq->caller.uid, &all, &rq->diag, &d->text);
}

static int open_dir(struct req *rq, struct node n, struct open_dir *d)
{
        CLEANUP(listing_done) struct listing l = { .dir = n };
        struct object o;
        int r;

        if (n.row != 0 || !tree_kind(n.kind))
                return -ESTALE;
        d->taken_s = monotonic_s();
        d->names_left = atomic_load(&rq->fs->names_left);
        r = attr_object(rq, n, &o); /* is it still there? */
        if (r == 0)
                r = permit(rq, n, PERMIT_READ);
        if (r == 0)
                r = listing_fill(rq, &l);
        return r < 0 ? r : listing_freeze(rq, &l, d);
}

static void open_dir_free(struct open_dir *d)
{
        if (!d)
                return;
        text_unref(d->text);
        free(d);
}

static void open_dir_close(struct fs *fs, const struct fuse_file_info *fi)
{
        struct open_dir *d = handles_remove(fs->handles, fi->fh);

        if (d)
                walk_end(fs->walks, &d->walk);
        open_dir_free(d);
}

static void opendir_now(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        struct open_dir *d = calloc(1, sizeof(*d));
        CLEANUP_REQ struct req rq;
        int r;

        (void)size;
        (void)off;
        req_init(&rq, fuse);
        rq.doing.verb = "list";
        r = d ? open_dir(&rq, node_of(ino), d) : -ENOMEM;
        if (r < 0) {
                open_dir_free(d);
                if (rq.diag.error)
                        reply_refusal(&rq, node_of(ino), r);
                else
                        reply_error(&rq, r);
                return;
        }
        r = handles_add(rq.fs->handles,
                        &(struct handle){ .ino = ino, .uid = rq.caller.uid, .gid = rq.caller.gid, .print = d->print,
                                          .size = d->n },
                        d, &fi->fh);
        if (r < 0) {
                open_dir_free(d);
                reply_error(&rq, r);
                return;
        }
        walk_begin(rq.fs->walks, &d->walk, ino, fuse_req_ctx(fuse));
        if (fuse_reply_open(fuse, fi) != 0)
                open_dir_close(rq.fs, fi);
}

static void opendir_ready(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        if (ready_make(fuse, node_of(ino), "list"))
                opendir_now(fuse, ino, size, off, fi);
}

void ops_opendir(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
        const struct dir_kind *kind = tree_kind(node_of(ino).kind);

        if (guest_is_of(node_of(ino)))
                later_run(fuse, LATER_LOOK, guest_opendir, ino, 0, 0, fi);
        else if (ready_awaits(fuse, node_of(ino), NULL))
                later_run(fuse, LATER_COMPARE, opendir_ready, ino, 0, 0, fi);
        else if (kind && kind->list)
                later_run(fuse, kind->looks ? LATER_LOOK : LATER_NAMES, opendir_now, ino, 0, 0, fi);
        else
                opendir_now(fuse, ino, 0, 0, fi);
}

void ops_releasedir(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
        if (!guest_is_of(node_of(ino)))
                open_dir_close(fuse_req_userdata(fuse), fi);
        (void)fuse_reply_err(fuse, 0);
}

/*
 * One that an earlier process had open is listed anew. Positions in it are those of before where it has the same names:
 * -ESTALE where it has not, but for who begins at the beginning. NULL: who has read all of it asks for more.
 */
static int open_again(struct req *rq, uint64_t number, off_t off, struct open_dir **ret)
{
        struct handles *h = rq->fs->handles;
        struct open_dir *d;
        CLEANUP_REQ struct req own = { 0 };
        struct handle *how;
        int r;
        LOCK_SCOPE(handles_again(h));

        *ret = handles_file(h, number);
        how = handles_how(h, number);
        if (*ret)
                return 0;
        if (!how)
                return -ESTALE;
        req_init_as(&own, rq->fs, rq->fuse, how->uid, how->gid);
        if (off > 0 && (uint64_t)off >= how->size)
                return 0;
        d = calloc(1, sizeof(*d));
        r = d ? open_dir(&own, node_of(how->ino), d) : -ENOMEM;
        if (r == 0 && off > 0 && d->print != how->print)
                r = -ESTALE;
        if (r < 0) {
                open_dir_free(d);
                return r;
        }
        how->print = d->print;
        how->size = d->n;
        walk_begin(rq->fs->walks, &d->walk, how->ino, fuse_req_ctx(rq->fuse));
        handles_set_file(h, number, d);
        *ret = d;
        return 0;
}

/*
 * Has I still its name in DIR? Attributes that come with a name make the kernel believe that it is there, and a directory
 * is in one place for it: it took the one that had been moved back, found nothing in the new place while it was so, and
 * refused to rename it from there.
 */
static bool listing_is_so(struct req *rq, struct node dir, const char *name, const struct listed *i)
{
        struct child c = { 0 };
        struct object o;
        struct node n;

        if (tree_kind(dir.kind)->find(rq, dir.oid, name, &c, &o) < 0)
                return false;
        n = tree_child(dir, &c);
        return node_ino(n) == node_ino(i->node);
}

/*
 * Adds one name with its attributes; 0 bytes where it does not fit. An object gone meanwhile is added without them. What
 * is AGE_S seconds old is believed for that much less: a directory may stay open, and be read again, for as long as one
 * likes, and the modes from before would let in who is not to come in any more.
 */
static size_t listing_put_plus(struct req *rq, const struct open_dir *d, const char *name, const struct listed *i, double age_s,
                               char *buf, size_t left, off_t next)
{
        struct fuse_entry_param e = { .ino = node_ino(i->node), .generation = node_generation(i->node) };
        struct object o = { .id = i->node.oid, .uid = i->uid, .gid = i->gid, .mode = i->mode,
                            .updated_us = i->updated_us, .size_bytes = i->size_bytes };
        struct stat st = { .st_ino = node_number(i->node), .st_mode = DTTOIF(i->type) };
        const struct entry *entry = tree_entry(i->node);
        int r = -ENODATA;

        /* what takes work to measure is measured for those who ask, not for everybody who wants the names */
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !(entry && (entry->measure || (entry->flags & ENTRY_USERS))) && !attr_is_found(i->node))
                r = attr_get(rq, i->node, i->has_object ? &o : NULL, &e.attr, &e.attr_timeout);
        if (r == 0 && i->has_object)
                e.attr_timeout -= age_s;
        if (r == 0 && i->has_object && i->type == DT_DIR && atomic_load(&rq->fs->names_left) != d->names_left &&
            !listing_is_so(rq, d->dir, name, i))
                r = -ESTALE;
        if (e.attr_timeout < 0)
                r = -ESTALE;
        e.entry_timeout = attr_entry_timeout(i->node, e.attr_timeout);
        if (r < 0) /* an inode number of 0 says: a name only, look it up if you want to know */
                e = (struct fuse_entry_param){ .attr = st };
        return fuse_add_direntry_plus(rq->fuse, buf, left, name, &e, next);
}

/* Items from FIRST on with their names, as many as one answer can hold. */
struct window {
        size_t first, n;
        const struct listed *items;
        const char *names; /* from the name of the first on */
        char *items_buf, *names_buf;
};

static void window_done(struct window *w)
{
        free(w->items_buf);
        free(w->names_buf);
}

/* A name takes this of an answer, and more. */
#define DIRENT_MIN 24

static int window_read(const struct open_dir *d, size_t first, size_t size, struct window *w)
{
        const size_t names_at = d->n * sizeof(*w->items);
        size_t names_n, left;

        w->first = first;
        w->n = d->n - first < size / DIRENT_MIN + 1 ? d->n - first : size / DIRENT_MIN + 1;
        if (w->n == 0)
                return 0;
        w->items_buf = malloc(w->n * sizeof(*w->items));
        if (!w->items_buf)
                return -ENOMEM;
        w->items = (const void *)text_get(d->text, first * sizeof(*w->items), w->n * sizeof(*w->items), w->items_buf);
        if (!w->items)
                return -EIO;
        names_n = w->items[w->n - 1].name - w->items[0].name + NAME_MAX + 1;
        left = text_size(d->text) - names_at - w->items[0].name;
        names_n = names_n < left ? names_n : left;
        w->names_buf = malloc(names_n);
        if (!w->names_buf)
                return -ENOMEM;
        w->names = text_get(d->text, names_at + w->items[0].name, names_n, w->names_buf);
        return w->names ? 0 : -EIO;
}

static void listing_reply(fuse_req_t fuse, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
        CLEANUP(window_done) struct window w = { 0 };
        CLEANUP_FREE char *buf = NULL;
        CLEANUP_REQ struct req rq;
        struct open_dir *d;
        size_t used = 0, n;
        double age_s;
        int r = 0;

        req_init(&rq, fuse);
        d = handles_file(rq.fs->handles, fi->fh);
        if (!d)
                r = open_again(&rq, fi->fh, off, &d);
        if (r < 0) {
                reply_error(&rq, r);
                return;
        }
        if (!d) {
                (void)fuse_reply_buf(fuse, NULL, 0);
                return;
        }
        age_s = monotonic_s() - d->taken_s;
        r = permit_enter(&rq, d->dir);
        buf = malloc(size);
        if (r == 0 && !buf)
                r = -ENOMEM;
        if (r == 0)
                r = window_read(d, off < 0 || (size_t)off > d->n ? d->n : (size_t)off, size, &w);
        if (r < 0) {
                reply_error(&rq, r);
                return;
        }
        for (size_t i = 0; i < w.n; i++) {
                const struct listed *item = &w.items[i];
                const char *name = w.names + (item->name - w.items[0].name);
                struct stat st = { .st_ino = node_number(item->node), .st_mode = DTTOIF(item->type) };
                const off_t next = (off_t)(w.first + i) + 1;

                if (plus)
                        n = listing_put_plus(&rq, d, name, item, age_s, buf + used, size - used, next);
                else
                        n = fuse_add_direntry(fuse, buf + used, size - used, name, &st, next);
                if (n > size - used)
                        break;
                used += n;
        }
        if (w.n == 0)
                walk_listed(rq.fs->walks, &d->walk);
        (void)fuse_reply_buf(fuse, buf, used);
}

void ops_readdir(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        if (guest_is_of(node_of(ino)))
                later_run(fuse, LATER_LOOK, guest_readdir, ino, size, off, fi);
        else
                listing_reply(fuse, size, off, fi, false);
}

void ops_readdirplus(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        if (guest_is_of(node_of(ino)))
                later_run(fuse, LATER_LOOK, guest_readdirplus, ino, size, off, fi);
        else
                listing_reply(fuse, size, off, fi, true);
}
