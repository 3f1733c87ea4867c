/* SPDX-License-Identifier: MIT */
/* Handlers of what is asked about guest/ and what is in it. */

#include "fs/ops/guest.h"

#include <linux/fuse.h>
#include <string.h>

#include "fs/ops/attr.h"
#include "fs/ops/guest_node.h"
#include "fs/ops/guest_slots.h"
#include "fs/ops/guest_walks.h"
#include "fs/ops/permit.h"
#include "fs/ops/reply.h"
#include "fs/tree/tree.h"

void guest_getxattr(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        const struct node n = node_of(ino);
        CLEANUP_REQ struct req rq;
        struct guest_attr attr;
        struct guest_asker a;
        char text[16];
        size_t len;
        int r;

        (void)off;
        (void)fi;
        req_init(&rq, fuse);
        rq.doing.verb = "getfattr";
        r = permit(&rq, n, PERMIT_READ);
        if (r == 0)
                r = guest_node_asker(&rq, n, &a);
        if (r == 0)
                r = guest_stat(rq.fs->model, &a, guest_number(n), &rq.diag, &attr);
        if (r < 0) {
                reply_error(&rq, r);
                return;
        }
        len = (size_t)snprintf(text, sizeof(text), "%07o", (unsigned)attr.mode);
        if (size == 0)
                (void)fuse_reply_xattr(fuse, len);
        else if (size < len)
                reply_error(&rq, -ERANGE);
        else
                (void)fuse_reply_buf(fuse, text, len);
}

/* ---- names ---- */

static void part_name(char *ret, size_t size, const struct inside_subject *s, const struct inside_part *p)
{
        if (p->number)
                (void)snprintf(ret, size, "%s%u", s->device, p->number);
        else
                (void)snprintf(ret, size, "%s", s->device);
}

/* What guest/ shows, in its order; what is not 0 of FN ends it. PART: what cannot be read is passed on, too. */
typedef int part_fn(void *ctx, const char *name, const struct guest_at *at, const struct inside_part *p);

static int each_part(struct req *rq, struct node n, part_fn *fn, void *ctx)
{
        const struct inside_asker asker = { .go_on = guest_node_go_on, .ctx = rq };
        const bool snapshot = n.kind == KIND_SNAPSHOT_GUEST;
        struct inside_subject s[INSIDE_DISKS_MAX];
        char name[NAME_LEN_MAX + 1];
        size_t count = 0;
        int r;

        r = inside_subjects(rq->fs->model, snapshot, n.oid >> 1, s, &count);
        if (r == 0 && count == 0)
                return diag_set(&rq->diag, -EBUSY, "its disk is not there yet");
        for (size_t i = 0; r == 0 && i < count; i++) {
                CLEANUP_FREE struct inside_parts *parts = NULL;

                r = inside_get_parts(rq->fs->model, &s[i], &asker, &rq->diag, &parts);
                for (size_t p = 0; r == 0 && p < parts->n; p++) {
                        part_name(name, sizeof(name), &s[i], &parts->part[p]);
                        r = fn(ctx, name,
                               &(struct guest_at){ .snapshot = snapshot, .id = s[i].id,
                                                   .number = parts->part[p].number },
                               &parts->part[p]);
                }
        }
        return r;
}

struct wanted {
        const char *name;
        struct diag *diag;
        struct guest_at at;
};

static int compare_part(void *ctx, const char *name, const struct guest_at *at, const struct inside_part *p)
{
        struct wanted *w = ctx;

        if (strcmp(name, w->name) != 0)
                return 0;
        if (!guests_can_read(p))
                return diag_set(w->diag, -EOPNOTSUPP, "%s: what it holds (%s) is no file system that can be read here: mount "
                                "partitions/%s.raw", name, p->fs[0] ? p->fs : "nothing that is known", name);
        w->at = *at;
        return 1;
}

/* A partition in guest/. */
static int find_part(struct req *rq, struct node dir, const char *name, struct guest_at *ret, struct guest_attr *ret_attr)
{
        struct wanted w = { .name = name, .diag = &rq->diag };
        struct guest_asker a;
        int r;

        r = each_part(rq, dir, compare_part, &w);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        *ret = w.at;
        a = guest_node_asker_of(rq, &w.at);
        return guest_root(rq->fs->model, &a, &rq->diag, ret_attr);
}

static int find_file(struct req *rq, struct node dir, const char *name, struct guest_at *ret, struct guest_attr *ret_attr)
{
        struct guest_asker a;
        int r;

        r = guest_node_asker(rq, dir, &a);
        if (r < 0)
                return r;
        *ret = a.at;
        guest_walks_asked(rq->fs->guest_walks, node_ino(dir));
        return guest_find(rq->fs->model, &a, guest_number(dir), name, &rq->diag, ret_attr);
}

/* Counts it as told to the kernel; DEVICE is as guest_slots_take() has it. */
static int fill_entry(struct req *rq, struct node dir, const struct guest_at *at, char device,
                      const struct guest_attr *attr, struct fuse_entry_param *ret)
{
        struct node n;
        unsigned slot;
        int r;

        r = guest_slots_take(rq, dir, at, device, &slot);
        if (r < 0)
                return r;
        n = guest_node(dir, slot, attr->node, S_ISDIR(attr->mode));
        *ret = (struct fuse_entry_param){ .ino = node_ino(n), .generation = guest_node_generation(at),
                                          .attr_timeout = GUEST_TIMEOUT, .entry_timeout = attr_entry_timeout(n, GUEST_TIMEOUT) };
        guest_node_stat(dir.kind, at, attr, &ret->attr);
        return 0;
}

void guest_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        const struct node dir = node_of(parent);
        struct fuse_entry_param e;
        CLEANUP_REQ struct req rq;
        struct guest_attr attr;
        struct guest_at at;
        int r;

        req_init(&rq, fuse);
        rq.doing = (struct doing){ .verb = "look up", .in = dir, .name = name };
        r = permit(&rq, dir, PERMIT_SEARCH);
        if (r == 0)
                r = guest_is_node(dir) ? find_file(&rq, dir, name, &at, &attr) : find_part(&rq, dir, name, &at, &attr);
        if (r == 0)
                r = fill_entry(&rq, dir, &at, guest_is_node(dir) ? 0 : name[2], &attr, &e); /* which begins with vd */
        if (r == -ESTALE)
                r = -ENOENT;
        if (r == -ENOENT || r == -ENOTDIR || r == -EACCES || r == -ENAMETOOLONG)
                reply_error(&rq, r);
        else if (r < 0)
                reply_refusal(&rq, dir, r);
        else if (fuse_reply_entry(fuse, &e) != 0)
                guest_slots_forgotten(rq.fs, node_of(e.ino), 1);
}

/* ---- directories ---- */

/*
 * A place in one is where an entry is in the guest's directory, so that nothing of it has to be kept between two requests, and
 * the process that goes on with the session goes on with the reading. The first two are "." and "..".
 */
#define DOTS 2

struct answer {
        struct req *rq;
        struct node dir;
        struct guest_at at;
        bool plus, attr; /* there is room for attributes; they are to be told */
        char *buf;
        size_t size, used;
        uint64_t parts; /* of guest/: how many were passed over, and are to be */
        uint64_t skip;
        bool full;
};

static bool put(struct answer *a, const char *name, const struct fuse_entry_param *e, uint64_t next)
{
        const size_t left = a->size - a->used;
        const size_t n = a->plus ? fuse_add_direntry_plus(a->rq->fuse, a->buf + a->used, left, name, e, (off_t)next) :
                                   fuse_add_direntry(a->rq->fuse, a->buf + a->used, left, name, &e->attr, (off_t)next);

        a->full = n > left;
        if (!a->full)
                a->used += n;
        return !a->full;
}

/* A name only: who wants more looks it up. */
static bool put_name(struct answer *a, const char *name, ino_t number, mode_t type, uint64_t next)
{
        return put(a, name, &(struct fuse_entry_param){ .attr = { .st_ino = number, .st_mode = type } }, next);
}

static int add_part(void *ctx, const char *name, const struct guest_at *at, const struct inside_part *p)
{
        struct answer *a = ctx;

        if (!guests_can_read(p) || a->parts++ < a->skip)
                return 0;
        return put_name(a, name, guest_node_number(a->dir.kind, at, 0), S_IFDIR, DOTS + a->parts) ? 0 : 1;
}

static int add_entry(void *ctx, const struct guest_entry *e)
{
        struct answer *a = ctx;
        struct fuse_entry_param entry;
        int r;

        if (!a->attr || !e->has_attr) {
                const mode_t type = e->attr.mode ? guest_node_mode(&e->attr) & S_IFMT : 0;

                return put_name(a, e->name, guest_node_number(a->dir.kind, &a->at, e->attr.node), type, e->next + DOTS) ? 0 : 1;
        }
        r = fill_entry(a->rq, a->dir, &a->at, 0, &e->attr, &entry);
        if (r < 0)
                return r;
        if (put(a, e->name, &entry, e->next + DOTS))
                return 0;
        guest_slots_forgotten(a->rq->fs, node_of(entry.ino), 1);
        return 1;
}

static int fill_dir(struct answer *a, uint64_t off)
{
        const bool in_guest = guest_is_node(a->dir);
        ino_t number = node_ino(a->dir);
        struct guest_asker asker;
        int r;

        if (in_guest) {
                r = guest_node_asker(a->rq, a->dir, &asker);
                if (r < 0)
                        return r;
                a->at = asker.at;
                number = guest_node_number(a->dir.kind, &a->at, guest_number(a->dir));
                a->attr = a->plus && guest_walks_wants(a->rq->fs->guest_walks, node_ino(a->dir), off <= DOTS);
        }
        /* One that is 0 is of no file, for readdir(3). */
        if (off == 0 && !put_name(a, ".", number, S_IFDIR, 1))
                return 0;
        if (off <= 1 && !put_name(a, "..", number, S_IFDIR, DOTS))
                return 0;
        off = off > DOTS ? off - DOTS : 0;
        if (in_guest)
                return guest_list(a->rq->fs->model, &asker, guest_number(a->dir), off,
                                  a->size / (a->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET), a->attr, &a->rq->diag,
                                  add_entry, a);
        a->skip = off;
        return each_part(a->rq, a->dir, add_part, a);
}

/* Those that the kernel does not come to hear of were not told. */
static void take_back(struct answer *a)
{
        for (size_t at = 0; a->plus && at < a->used;) {
                const struct fuse_direntplus *d = (const void *)(a->buf + at);

                guest_slots_forgotten(a->rq->fs, node_of(d->entry_out.nodeid), 1);
                at += FUSE_DIRENTPLUS_SIZE(d);
        }
}

static void answer_dir(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
        struct answer a = { .dir = node_of(ino), .plus = plus, .size = size };
        CLEANUP_FREE char *buf = malloc(size);
        CLEANUP_REQ struct req rq;
        int r;

        req_init(&rq, fuse);
        rq.doing.verb = "list";
        a.rq = &rq;
        a.buf = buf;
        r = buf ? permit(&rq, a.dir, PERMIT_READ) : -ENOMEM;
        if (r == 0)
                r = fill_dir(&a, (uint64_t)off);
        if (r < 0 && a.used == 0) {
                if (r == -ESTALE)
                        reply_error(&rq, r);
                else
                        reply_refusal(&rq, a.dir, r);
                return;
        }
        if (fuse_reply_buf(fuse, buf, a.used) != 0)
                take_back(&a);
}

void guest_readdir(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        (void)fi;
        answer_dir(fuse, ino, size, off, false);
}

void guest_readdirplus(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        (void)fi;
        answer_dir(fuse, ino, size, off, true);
}

void guest_opendir(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
        const struct node n = node_of(ino);
        CLEANUP_REQ struct req rq;
        int r;

        (void)size;
        (void)off;
        req_init(&rq, fuse);
        rq.doing.verb = "list";
        r = permit(&rq, n, PERMIT_READ);
        if (r == -ESTALE)
                reply_error(&rq, r);
        else if (r < 0)
                reply_refusal(&rq, n, r);
        else
                (void)fuse_reply_open(fuse, fi); /* and not to be kept: names that come from there bring no attributes */
}
