/* SPDX-License-Identifier: MIT */
/*
 * Listings. What a directory contains is taken when it is opened, so that a listing is one consistent state however
 * many calls it takes; offsets are positions in it. Children keep their object's attributes in a compact form: a
 * directory of 100 000 images is listed with `ls -l` by one pass over the database. Only what the caller may enter is
 * listed, and of links those that lead to it.
 */

#include <string.h>

#include "fs/ops/attr.h"
#include "fs/ops/ops_priv.h"
#include "fs/ops/permit.h"
#include "fs/ops/reply.h"

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
};

struct listing {
        struct node dir;
        struct strbuf names;
        struct listed *items;
        size_t n, size;
        struct req *rq; /* while it is filled */
};

static void listing_free(struct listing *l)
{
        if (!l)
                return;
        strbuf_done(&l->names);
        free(l->items);
        free(l);
}
DEFINE_CLEANUP(struct listing *, listing_freep, listing_free)

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
        if (l->names.len > UINT32_MAX - NAME_LEN_MAX - 1)
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
        };
        strbuf_add_bytes(&l->names, name, strlen(name) + 1);
        l->n++;
        return strbuf_error(&l->names);
}

static int listing_add_child(void *ctx, const struct child *c)
{
        struct listing *l = ctx;
        struct node n = tree_child(l->dir.kind, c);

        if (c->type == DT_DIR && c->object && !tree_kind(n.kind)->mode && !object_allows(c->object, &l->rq->caller, 01))
                return 0;
        return listing_add(l, c->name, n, c->type, c->object);
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
                if (e->dir)
                        n = tree_subdir(e, l->dir.oid);
                r = listing_add(l, e->name, n, e->dir ? DT_DIR : DT_REG, NULL);
                if (r < 0)
                        return r;
        }

        if (!kind->list)
                return 0;
        l->rq = rq;
        r = kind->list(rq, l->dir.oid, listing_add_child, l);
        return r < 0 ? r : listing_drop_closed_links(rq, l);
}

void ops_opendir(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
        CLEANUP(listing_freep) struct listing *l = NULL;
        CLEANUP_REQ struct req rq;
        struct object o;
        int r;

        req_init(&rq, fuse);
        l = calloc(1, sizeof(*l));
        r = l ? 0 : -ENOMEM;
        if (r == 0 && (node_of(ino).row != 0 || !tree_kind(node_of(ino).kind)))
                r = -ESTALE;
        if (r == 0)
                r = attr_object(&rq, node_of(ino), &o); /* is it still there? */
        if (r == 0)
                r = permit(&rq, node_of(ino), PERMIT_READ);
        if (r == 0) {
                l->dir = node_of(ino);
                r = listing_fill(&rq, l);
        }
        if (r < 0) {
                reply_error(&rq, r);
                return;
        }
        fi->fh = (uintptr_t)l;
        if (fuse_reply_open(fuse, fi) == 0)
                (void)TAKE_PTR(l);
}

void ops_releasedir(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
        (void)ino;
        listing_free((struct listing *)(uintptr_t)fi->fh);
        (void)fuse_reply_err(fuse, 0);
}

/* Adds one name with its attributes; 0 bytes where it does not fit. An object gone meanwhile is added without them. */
static size_t listing_put_plus(struct req *rq, const struct listing *l, const struct listed *i, char *buf, size_t left,
                               off_t next)
{
        const char *name = l->names.text + i->name;
        struct fuse_entry_param e = { .ino = node_ino(i->node) };
        struct object o = { .id = i->node.oid, .uid = i->uid, .gid = i->gid, .mode = i->mode,
                            .updated_us = i->updated_us };
        struct stat st = { .st_ino = e.ino, .st_mode = DTTOIF(i->type) };
        const struct entry *entry = tree_entry(i->node);
        int r = -ENODATA;

        /* what takes work to measure is measured for those who ask, not for everybody who wants the names */
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !(entry && entry->measure))
                r = attr_get(rq, i->node, i->has_object ? &o : NULL, &e.attr, &e.attr_timeout);
        e.entry_timeout = attr_entry_timeout(i->node, e.attr_timeout);
        if (r < 0) /* an inode number of 0 says: a name only, look it up if you want to know */
                e = (struct fuse_entry_param){ .attr = st };
        return fuse_add_direntry_plus(rq->fuse, buf, left, name, &e, next);
}

static void listing_reply(fuse_req_t fuse, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
        const struct listing *l = (struct listing *)(uintptr_t)fi->fh;
        CLEANUP_FREE char *buf = NULL;
        CLEANUP_REQ struct req rq;
        size_t used = 0, n;
        int r;

        req_init(&rq, fuse);
        r = permit_enter(&rq, l->dir);
        buf = malloc(size);
        if (r == 0 && !buf)
                r = -ENOMEM;
        if (r < 0) {
                reply_error(&rq, r);
                return;
        }
        for (size_t i = off < 0 ? l->n : (size_t)off; i < l->n; i++) {
                const struct listed *item = &l->items[i];
                struct stat st = { .st_ino = node_ino(item->node), .st_mode = DTTOIF(item->type) };

                if (plus)
                        n = listing_put_plus(&rq, l, item, buf + used, size - used, (off_t)i + 1);
                else
                        n = fuse_add_direntry(fuse, buf + used, size - used, l->names.text + item->name, &st,
                                              (off_t)i + 1);
                if (n > size - used)
                        break;
                used += n;
        }
        (void)fuse_reply_buf(fuse, buf, used);
}

void ops_readdir(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        (void)ino;
        listing_reply(fuse, size, off, fi, false);
}

void ops_readdirplus(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        (void)ino;
        listing_reply(fuse, size, off, fi, true);
}
