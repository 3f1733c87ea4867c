/* SPDX-License-Identifier: MIT */

/*
 * The child lives from one question to the next: `diff -r` asks tens of thousands, and to start a program for each takes a
 * hundred times as long as to ask it. It has bounded time in all, whatever it is asked; who finds it gone begins another.
 */

#include "blobstore/import/guest_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/import/guest_child_priv.h"
#include "blobstore/import/guest_files_priv.h"

#define PROGRAM            "imagefs-inside"
#define WAIT_MS            10000
#define CHILD_MEMORY_BYTES (UINT64_C(512) << 20)
#define CHILD_CPU_SECONDS  10

struct guest_files {
        struct inside_part part;
        struct child *child;
        int fd;
        bool died;
        struct guest_answer answer;
};

/* ---- what is said ---- */

static bool is_type(uint32_t type)
{
        return type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFCHR || type == S_IFBLK ||
               type == S_IFIFO || type == S_IFSOCK;
}

static bool is_attr(const struct guest_attr *a)
{
        return a->node > 0 && is_type(a->mode & S_IFMT) && !(a->mode & ~(uint32_t)(S_IFMT | 07777)) &&
               a->size <= INT64_MAX && a->blocks <= INT64_MAX / 512 && a->atime_ns < 1000000000 &&
               a->mtime_ns < 1000000000 && a->ctime_ns < 1000000000;
}

static bool is_map(const struct guest_answer *a, const struct guest_question *q, const struct inside_part *part)
{
        const struct guest_map *m = (const void *)a->bytes;
        uint64_t from = 0;

        if (a->len != sizeof(*m) || m->end <= q->pos || m->inline_len > GUEST_INLINE_MAX ||
            m->n > (m->inline_len ? 0 : GUEST_EXTENTS_MAX))
                return false;
        for (uint32_t i = 0; i < m->n; i++) {
                const struct guest_extent *e = &m->extent[i];

                if (e->off < from || e->len == 0 || e->len > INT64_MAX - e->off || e->at > part->len ||
                    e->len > part->len - e->at)
                        return false;
                from = e->off + e->len;
        }
        return from <= m->end;
}

static bool is_name(const char *name, size_t n)
{
        return n > 0 && n <= GUEST_NAME_MAX && !memchr(name, '/', n) && !memchr(name, '\0', n) &&
               !(name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.')));
}

int guest_files_each(const struct guest_answer *a, uint64_t pos, guest_entry_fn *fn, void *ctx)
{
        size_t at = 0;
        int r;

        while (at < a->len) {
                char name[GUEST_NAME_MAX + 1];
                struct guest_listed l;

                if (a->len - at < sizeof(l))
                        return -EPROTO;
                memcpy(&l, a->bytes + at, sizeof(l));
                at += sizeof(l);
                if (l.name_len > a->len - at || !is_name((const char *)a->bytes + at, l.name_len) || l.next <= pos ||
                    l.next > INT64_MAX / 2 || l.attr.node == 0)
                        return -EPROTO;
                if (l.has_attr ? !is_attr(&l.attr) : l.attr.mode != 0 && !is_type(l.attr.mode))
                        return -EPROTO;
                memcpy(name, a->bytes + at, l.name_len);
                name[l.name_len] = '\0';
                at += l.name_len;
                pos = l.next;
                r = fn ? fn(ctx, &(struct guest_entry){ .attr = l.attr, .has_attr = l.has_attr, .next = l.next,
                                                          .name = name }) : 0;
                if (r != 0)
                        return r;
        }
        return 0;
}

static bool is_answer(const struct guest_answer *a, const struct guest_question *q, const struct inside_part *part)
{
        if (a->error != 0)
                return a->len == 0 && (a->error == ENOENT || a->error == ENOTDIR || a->error == EINVAL ||
                                       a->error == EUCLEAN || a->error == EOPNOTSUPP || a->error == ENOPKG);
        switch ((enum guest_ask)q->ask) {
        case GUEST_ROOT:
                return a->len == sizeof(struct guest_attr) && is_attr((const void *)a->bytes) &&
                       S_ISDIR(((const struct guest_attr *)a->bytes)->mode);
        case GUEST_STAT:
        case GUEST_FIND:
                return a->len == sizeof(struct guest_attr) && is_attr((const void *)a->bytes);
        case GUEST_LINK:
                return a->len > 0 && a->len <= GUEST_LINK_MAX && !memchr(a->bytes, '\0', a->len);
        case GUEST_MAP:
                return is_map(a, q, part);
        case GUEST_LIST:
        case GUEST_NAMES:
                return guest_files_each(a, q->pos, NULL, NULL) == 0;
        case GUEST_ASKS:
                break;
        }
        return false;
}

static int answer_read(int fd, const struct guest_answer *p, const struct inside_disk *disk)
{
        uint8_t buf[INSIDE_READ_MAX];
        const uint64_t off = p->error; /* where a request to read has its place */
        int r;

        if (p->len == 0 || p->len > sizeof(buf) || off > disk->size_bytes || p->len > disk->size_bytes - off)
                return -EPROTO;
        r = disk->read(disk->ctx, buf, p->len, off);
        return r < 0 ? r : guest_child_answer(fd, buf, p->len);
}
_Static_assert(offsetof(struct guest_answer, len) == offsetof(struct inside_packet, len) &&
                       offsetof(struct guest_answer, error) == offsetof(struct inside_packet, off),
               "requests to read and answers begin alike");

int guest_files_answer(int fd, const struct inside_disk *disk, const struct inside_part *part, int wait_ms,
                       const struct guest_question *q, struct guest_answer *ret)
{
        int64_t left_ms = wait_ms;
        ssize_t n;
        int r;

        for (unsigned asked = 0;; asked++) {
                n = guest_child_receive(fd, &left_ms, ret, sizeof(*ret));
                if (n < 0)
                        return (int)n;
                if ((size_t)n < GUEST_ANSWER_SIZE(0) || asked == INSIDE_REQUESTS_MAX)
                        return -EPROTO;
                if (ret->kind == INSIDE_READ && n == GUEST_ANSWER_SIZE(0)) {
                        r = answer_read(fd, ret, disk);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (ret->kind != INSIDE_ANSWER || ret->len > sizeof(ret->bytes) ||
                    (size_t)n != GUEST_ANSWER_SIZE(ret->len) || !is_answer(ret, q, part))
                        return -EPROTO;
                return 0;
        }
}

/* ---- asking ---- */

int guest_files_open(const struct inside_disk *disk, const struct inside_part *part, struct guest_files **ret)
{
        const struct inside_hello hello = {
                .question = INSIDE_FILES,
                .fat = strcmp(part->fs, "vfat") == 0,
                .size_bytes = disk->size_bytes,
                .off = part->off,
                .len = part->len,
        };
        const struct guest_child what = {
                .program = PROGRAM,
                .hello = &hello,
                .hello_len = sizeof(hello),
                .memory_bytes = CHILD_MEMORY_BYTES,
                .cpu_seconds = CHILD_CPU_SECONDS,
        };
        struct guest_files *f = malloc(sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        f->part = *part;
        f->died = false;
        r = guest_child_start(&what, &f->fd, &f->child);
        if (r < 0) {
                free(f);
                return r;
        }
        *ret = f;
        return 0;
}

void guest_files_close(struct guest_files *f)
{
        if (!f)
                return;
        child_kill_and_wait(f->child);
        cleanup_close(&f->fd);
        free(f);
}

bool guest_files_died(const struct guest_files *f)
{
        return f->died;
}

struct reading {
        const struct inside_disk *disk;
        int error;
};

static int read_disk(void *ctx, void *buf, size_t n, uint64_t off)
{
        struct reading *reading = ctx;

        reading->error = reading->disk->read(reading->disk->ctx, buf, n, off);
        return reading->error;
}

/* What is no answer ends the child: the next question is not to find half of one. */
static int ask(struct guest_files *f, const struct inside_disk *disk, const struct guest_question *q)
{
        struct reading reading = { .disk = disk };
        const struct inside_disk watched = { disk->size_bytes, read_disk, &reading };
        int r;

        if (f->died)
                return -EUCLEAN;
        if (send(f->fd, q, sizeof(*q), MSG_NOSIGNAL) != sizeof(*q)) {
                f->died = true;
                return -EUCLEAN;
        }
        r = guest_files_answer(f->fd, &watched, &f->part, WAIT_MS, q, &f->answer);
        if (r == 0)
                return -(int)f->answer.error;
        f->died = true;
        return reading.error < 0 ? reading.error : -EUCLEAN;
}

static int ask_attr(struct guest_files *f, const struct inside_disk *disk, const struct guest_question *q,
                    struct guest_attr *ret)
{
        int r = ask(f, disk, q);

        if (r == 0)
                memcpy(ret, f->answer.bytes, sizeof(*ret));
        return r;
}

int guest_files_root(struct guest_files *f, const struct inside_disk *disk, struct guest_attr *ret)
{
        return ask_attr(f, disk, &(struct guest_question){ .ask = GUEST_ROOT }, ret);
}

int guest_files_stat(struct guest_files *f, const struct inside_disk *disk, uint32_t node, struct guest_attr *ret)
{
        return ask_attr(f, disk, &(struct guest_question){ .ask = GUEST_STAT, .node = node }, ret);
}

int guest_files_find(struct guest_files *f, const struct inside_disk *disk, uint32_t dir, const char *name,
                     struct guest_attr *ret)
{
        struct guest_question q = { .ask = GUEST_FIND, .node = dir };
        const size_t n = strlen(name);

        if (n > GUEST_NAME_MAX)
                return -ENAMETOOLONG;
        memcpy(q.name, name, n);
        return ask_attr(f, disk, &q, ret);
}

int guest_files_link(struct guest_files *f, const struct inside_disk *disk, uint32_t node,
                     char ret[GUEST_LINK_MAX + 1])
{
        int r = ask(f, disk, &(struct guest_question){ .ask = GUEST_LINK, .node = node });

        if (r < 0)
                return r;
        memcpy(ret, f->answer.bytes, f->answer.len);
        ret[f->answer.len] = '\0';
        return 0;
}

int guest_files_map(struct guest_files *f, const struct inside_disk *disk, uint32_t node, uint64_t off,
                    struct guest_map *ret)
{
        int r = ask(f, disk, &(struct guest_question){ .ask = GUEST_MAP, .node = node, .pos = off });

        if (r == 0)
                memcpy(ret, f->answer.bytes, sizeof(*ret));
        return r;
}

int guest_files_list(struct guest_files *f, const struct inside_disk *disk, uint32_t dir, uint64_t pos, size_t max,
                     bool attr, guest_entry_fn *fn, void *ctx)
{
        int r = ask(f, disk, &(struct guest_question){ .ask = attr ? GUEST_LIST : GUEST_NAMES, .node = dir, .pos = pos,
                                                       .max = max > UINT32_MAX ? UINT32_MAX : (uint32_t)max });

        return r < 0 ? r : guest_files_each(&f->answer, pos, fn, ctx);
}
