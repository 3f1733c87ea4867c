/* SPDX-License-Identifier: MIT */

/*
 * Questions about files, and their bytes: these are read from the disk as all of its bytes are, at the places that the
 * program tells, some hundred at a time.
 */

#include "model/image/guest.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "model/image/guests_priv.h"

/* ---- asking ---- */

typedef int question_fn(struct guest_files *f, const struct inside_disk *disk, void *ctx);

struct look {
        struct blob *blob;
        const struct guest_asker *asker;
};

static int read_disk(void *ctx, void *buf, size_t n, uint64_t off)
{
        const struct look *l = ctx;
        ssize_t got;
        int r;

        r = l->asker->asker.go_on(l->asker->asker.ctx);
        if (r < 0)
                return r;
        got = blob_pread(l->blob, buf, n, off);
        return got < 0 ? (int)got : (size_t)got == n ? 0 : -EBADMSG;
}

static int refuse(int error, struct diag *diag)
{
        switch (error) {
        case -EUCLEAN:
                return diag_set(diag, -EIO, "the file system in it is damaged there, or was too much to read: fsck it in a machine "
                                "that is made from it, or read partitions/ by other tools");
        case -EOPNOTSUPP:
                return diag_set(diag, -EOPNOTSUPP, "the guest has this encrypted, or compressed, and only its own kernel reads it: "
                                "make a machine from it");
        case -ENOPKG:
        case -EBADMSG:
                return inside_refuse(error, diag);
        default:
                return error;
        }
}

/* One that has been asked before may have come to the end of its time: another goes on from there. */
static int ask(struct model *m, const struct guest_asker *a, struct diag *diag, question_fn *fn, void *ctx)
{
        for (;;) {
                struct look look = { .asker = a };
                struct inside_disk disk = { .read = read_disk, .ctx = &look };
                struct guest *g;
                bool is_new, died;
                int r;

                r = guests_take(m, a, diag, &g, &is_new);
                if (r < 0)
                        return r;
                look.blob = g->blob;
                disk.size_bytes = g->size_bytes;
                r = fn(g->files, &disk, ctx);
                died = guest_files_died(g->files);
                guests_give(m, g);
                if (is_new || !died || r != -EUCLEAN)
                        return refuse(r, diag);
        }
}

struct question {
        uint32_t node;
        uint64_t pos;
        size_t max;
        bool attr;
        const char *name;
        guest_entry_fn *fn;
        void *ret;
};

static int ask_root(struct guest_files *f, const struct inside_disk *disk, void *ctx)
{
        const struct question *q = ctx;

        return guest_files_root(f, disk, q->ret);
}

int guest_root(struct model *m, const struct guest_asker *a, struct diag *diag, struct guest_attr *ret)
{
        return ask(m, a, diag, ask_root, &(struct question){ .ret = ret });
}

static int ask_stat(struct guest_files *f, const struct inside_disk *disk, void *ctx)
{
        const struct question *q = ctx;

        return guest_files_stat(f, disk, q->node, q->ret);
}

int guest_stat(struct model *m, const struct guest_asker *a, uint32_t node, struct diag *diag, struct guest_attr *ret)
{
        return ask(m, a, diag, ask_stat, &(struct question){ .node = node, .ret = ret });
}

static int ask_find(struct guest_files *f, const struct inside_disk *disk, void *ctx)
{
        const struct question *q = ctx;

        return guest_files_find(f, disk, q->node, q->name, q->ret);
}

int guest_find(struct model *m, const struct guest_asker *a, uint32_t dir, const char *name, struct diag *diag,
               struct guest_attr *ret)
{
        return ask(m, a, diag, ask_find, &(struct question){ .node = dir, .name = name, .ret = ret });
}

static int ask_link(struct guest_files *f, const struct inside_disk *disk, void *ctx)
{
        const struct question *q = ctx;

        return guest_files_link(f, disk, q->node, q->ret);
}

int guest_link(struct model *m, const struct guest_asker *a, uint32_t node, struct diag *diag,
               char ret[GUEST_LINK_MAX + 1])
{
        return ask(m, a, diag, ask_link, &(struct question){ .node = node, .ret = ret });
}

static int ask_list(struct guest_files *f, const struct inside_disk *disk, void *ctx)
{
        const struct question *q = ctx;

        return guest_files_list(f, disk, q->node, q->pos, q->max, q->attr, q->fn, q->ret);
}

int guest_list(struct model *m, const struct guest_asker *a, uint32_t dir, uint64_t pos, size_t max, bool attr,
               struct diag *diag, guest_entry_fn *fn, void *ctx)
{
        return ask(m, a, diag, ask_list,
                   &(struct question){ .node = dir, .pos = pos, .max = max, .attr = attr, .fn = fn, .ret = ctx });
}

static int ask_map(struct guest_files *f, const struct inside_disk *disk, void *ctx)
{
        const struct question *q = ctx;

        return guest_files_map(f, disk, q->node, q->pos, q->ret);
}

/* ---- open files ---- */

struct guest_file {
        struct blob *blob;
        uint64_t part_off;
        uint32_t node;
        uint64_t size_bytes;
        pthread_mutex_t mutex; /* of the following */
        uint64_t from; /* what the map is of begins here */
        struct guest_map *map; /* with as many extents, or bytes, as it has: many files may be open; NULL: it has no bytes */
};

/* Owned by the caller, release with free(). */
static int get_map(struct model *m, const struct guest_asker *a, uint32_t node, uint64_t off, struct diag *diag,
                   struct guest_map **ret)
{
        CLEANUP_FREE struct guest_map *map = malloc(sizeof(*map));
        struct guest_map *kept;
        size_t size;
        int r;

        if (!map)
                return -ENOMEM;
        r = ask(m, a, diag, ask_map, &(struct question){ .node = node, .pos = off, .ret = map });
        if (r < 0)
                return r == -EINVAL ? refuse(-EUCLEAN, diag) : r;
        size = offsetof(struct guest_map, bytes) + (map->inline_len ?: map->n * sizeof(map->extent[0]));
        kept = malloc(size);
        if (!kept)
                return -ENOMEM;
        memcpy(kept, map, size);
        *ret = kept;
        return 0;
}

/* The disk, for the file's own use, and where the partition begins. */
static int open_disk(struct model *m, const struct guest_asker *a, struct diag *diag, struct guest_file *f)
{
        struct guest *g;
        bool ignored;
        int r;

        r = guests_take(m, a, diag, &g, &ignored);
        if (r < 0)
                return r;
        f->part_off = g->part.off;
        guests_give(m, g);
        r = a->at.snapshot ? snapshot_open(m, a->at.id, diag, &f->blob) : image_disk_open(m, a->at.id, diag, &f->blob);
        return r == -ENOENT ? -ESTALE : r;
}

DEFINE_CLEANUP(struct guest_file *, guest_closep, guest_close)

int guest_open(struct model *m, const struct guest_asker *a, uint32_t node, struct diag *diag, struct guest_file **ret)
{
        CLEANUP(guest_closep) struct guest_file *f = calloc(1, sizeof(*f));
        struct guest_attr attr;
        int r;

        if (!f)
                return -ENOMEM;
        (void)pthread_mutex_init(&f->mutex, NULL); /* cannot fail without attributes */
        f->node = node;
        r = guest_stat(m, a, node, diag, &attr);
        if (r == 0 && S_ISREG(attr.mode)) {
                f->size_bytes = attr.size;
                r = get_map(m, a, node, 0, diag, &f->map);
        }
        if (r == 0)
                r = open_disk(m, a, diag, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(f);
        return 0;
}

void guest_close(struct guest_file *f)
{
        if (!f)
                return;
        blob_close(f->blob);
        (void)pthread_mutex_destroy(&f->mutex);
        free(f->map);
        free(f);
}

/* Bytes that are together: N of them, at one place of the partition, in none, or copied already. */
struct piece {
        size_t n;
        enum { PIECE_AT, PIECE_HOLE, PIECE_DONE } kind;
        uint64_t at;
};

/* The first of N bytes from OFF on. False: it is not in the map. */
static bool find_piece(struct guest_file *f, void *buf, size_t n, uint64_t off, struct piece *ret)
{
        LOCK_SCOPE(&f->mutex);

        if (!f->map || off < f->from || off >= f->map->end)
                return false;
        if (n > f->map->end - off)
                n = (size_t)(f->map->end - off);
        *ret = (struct piece){ .n = n, .kind = PIECE_HOLE };
        if (off < f->map->inline_len) {
                if (n > f->map->inline_len - off)
                        ret->n = (size_t)(f->map->inline_len - off);
                memcpy(buf, f->map->bytes + off, ret->n);
                ret->kind = PIECE_DONE;
                return true;
        }
        for (uint32_t i = 0; i < f->map->n; i++) {
                const struct guest_extent *e = &f->map->extent[i];

                if (off >= e->off + e->len)
                        continue;
                if (off < e->off) {
                        if (ret->n > e->off - off)
                                ret->n = (size_t)(e->off - off);
                        return true;
                }
                ret->kind = PIECE_AT;
                ret->at = e->at + (off - e->off);
                if (ret->n > e->off + e->len - off)
                        ret->n = (size_t)(e->off + e->len - off);
                return true;
        }
        return true;
}

static int learn(struct model *m, const struct guest_asker *a, struct guest_file *f, uint64_t off, struct diag *diag)
{
        struct guest_map *map, *old;
        int r;

        r = get_map(m, a, f->node, off, diag, &map);
        if (r < 0)
                return r;
        {
                LOCK_SCOPE(&f->mutex);
                old = f->map;
                f->from = off;
                f->map = map;
        }
        free(old);
        return 0;
}

static int read_piece(const struct guest_file *f, const struct piece *p, void *buf)
{
        ssize_t got;

        if (p->kind == PIECE_HOLE)
                memset(buf, 0, p->n);
        if (p->kind != PIECE_AT)
                return 0;
        got = blob_pread(f->blob, buf, p->n, f->part_off + p->at);
        return got < 0 ? (int)got : (size_t)got == p->n ? 0 : -EBADMSG;
}

ssize_t guest_pread(struct model *m, const struct guest_asker *a, struct guest_file *f, void *buf, size_t n,
                    uint64_t off, struct diag *diag)
{
        size_t done = 0;
        struct piece p;
        int r = 0;

        if (off >= f->size_bytes)
                return 0;
        if (n > f->size_bytes - off)
                n = (size_t)(f->size_bytes - off);
        while (r == 0 && done < n) {
                if (!find_piece(f, (char *)buf + done, n - done, off + done, &p)) {
                        r = learn(m, a, f, off + done, diag);
                        continue;
                }
                r = read_piece(f, &p, (char *)buf + done);
                done += p.n;
        }
        return r < 0 ? r : (ssize_t)n;
}
