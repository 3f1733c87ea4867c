/* SPDX-License-Identifier: MIT */

/* Answers questions about the files of one file system (guest_files_priv.h), one after the other. */

#include "blobstore/import/inside_reader/files.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct serving {
        const struct files_ops *ops;
        void *fs;
        /* Where the last name was found that was looked for: who asks for all of them does so in their order. */
        uint32_t last_dir;
        uint64_t last_pos;
        struct guest_question q;
        struct guest_answer a;
};

static int answer_root(struct serving *s)
{
        s->a.len = sizeof(struct guest_attr);
        return s->ops->stat(s->fs, s->ops->root(s->fs), (void *)s->a.bytes);
}

static int answer_stat(struct serving *s)
{
        s->a.len = sizeof(struct guest_attr);
        return s->ops->stat(s->fs, s->q.node, (void *)s->a.bytes);
}

/* ---- names ---- */

struct search {
        const char *name;
        size_t len;
        uint64_t end; /* what ends behind it has been seen; 0: nothing has */
        uint32_t found; /* 0: it was not */
        uint64_t next;
};

static int compare_name(void *ctx, const struct file_name *n)
{
        struct search *s = ctx;

        if (s->end && n->next > s->end)
                return 1;
        if (n->len != s->len || memcmp(n->name, s->name, n->len) != 0)
                return 0;
        s->found = n->node;
        s->next = n->next;
        return 1;
}

/* From where the last one was to the end, and from the beginning up to there. */
static int search_all(struct serving *s, struct search *search)
{
        const uint64_t from = s->q.node == s->last_dir ? s->last_pos : 0;
        int r, first;

        first = s->ops->walk(s->fs, s->q.node, from, compare_name, search);
        if (first > 0 || from == 0)
                return first;
        search->end = from;
        r = s->ops->walk(s->fs, s->q.node, 0, compare_name, search);
        return search->found || r < 0 ? r : first;
}

static int answer_find(struct serving *s)
{
        struct search search = { .name = s->q.name, .len = strnlen(s->q.name, sizeof(s->q.name)) };
        struct guest_attr *attr = (void *)s->a.bytes;
        int r = -ENOSYS;

        if (s->ops->walk_to)
                r = s->ops->walk_to(s->fs, s->q.node, search.name, search.len, compare_name, &search);
        if (r == -ENOSYS)
                r = search_all(s, &search);
        if (r < 0 || !search.found)
                return r < 0 ? r : -ENOENT;
        s->last_dir = s->q.node;
        s->last_pos = search.next;
        r = s->ops->stat(s->fs, search.found, attr);
        if (r == 0 && S_ISDIR(attr->mode))
                r = s->ops->is_in(s->fs, search.found, s->q.node);
        s->a.len = sizeof(*attr);
        return r;
}

/* What cannot be looked at is listed all the same: who asks for it is told. */
static int add_name(void *ctx, const struct file_name *n)
{
        struct serving *s = ctx;
        struct guest_listed l = { .attr = { .node = n->node, .mode = n->type }, .next = n->next,
                                  .name_len = (uint32_t)n->len };

        if (s->q.max == 0 || sizeof(s->a.bytes) - s->a.len < sizeof(l) + n->len)
                return 1;
        if (s->q.ask == GUEST_LIST && n->type != S_IFDIR) {
                struct guest_attr attr;

                if (s->ops->stat(s->fs, n->node, &attr) == 0 && !S_ISDIR(attr.mode)) {
                        l.attr = attr;
                        l.has_attr = 1;
                }
        }
        memcpy(s->a.bytes + s->a.len, &l, sizeof(l));
        memcpy(s->a.bytes + s->a.len + sizeof(l), n->name, n->len);
        s->a.len += (uint32_t)(sizeof(l) + n->len);
        s->q.max--;
        return 0;
}

static int answer_list(struct serving *s)
{
        int r;

        if (s->q.max == 0)
                s->q.max = 1;
        r = s->ops->walk(s->fs, s->q.node, s->q.pos, add_name, s);
        return r > 0 || s->a.len > 0 ? 0 : r; /* what was found before the damage is not lost */
}

static int answer_link(struct serving *s)
{
        size_t n = 0;
        int r = s->ops->link(s->fs, s->q.node, (char *)s->a.bytes, &n);

        if (r == 0 && (n == 0 || memchr(s->a.bytes, '\0', n)))
                r = -EUCLEAN;
        s->a.len = (uint32_t)n;
        return r;
}

static int answer_map(struct serving *s)
{
        struct guest_map *m = (void *)s->a.bytes;

        memset(m, 0, sizeof(*m));
        s->a.len = sizeof(*m);
        return s->ops->map(s->fs, s->q.node, s->q.pos, m);
}

static int answer(struct serving *s)
{
        static int (*const answers[GUEST_ASKS])(struct serving *s) = {
                [GUEST_ROOT] = answer_root, [GUEST_STAT] = answer_stat, [GUEST_FIND] = answer_find,
                [GUEST_LINK] = answer_link, [GUEST_MAP] = answer_map,   [GUEST_LIST] = answer_list,
                [GUEST_NAMES] = answer_list,
        };

        if (s->q.ask >= GUEST_ASKS || !answers[s->q.ask])
                return -EINVAL;
        return s->fs ? answers[s->q.ask](s) : s->ops == &ext_files && !ext_is_built() ? -ENOPKG : -EUCLEAN;
}

int serve_files(struct guest_disk *d, const struct inside_hello *hello)
{
        static struct serving s;
        static struct area area;
        bool opened = false;

        if (hello->off > d->size_bytes || hello->len > d->size_bytes - hello->off)
                return 2;
        area = (struct area){ .disk = d, .off = hello->off, .len = hello->len };
        s.ops = hello->fat ? &fat_files : &ext_files;
        while (recv(INSIDE_SOCKET_FD, &s.q, sizeof(s.q), 0) == sizeof(s.q)) {
                s.a.kind = INSIDE_ANSWER;
                s.a.len = 0;
                if (!opened) /* and not before: what it reads is an answer's part */
                        s.fs = s.ops->open(&area);
                opened = true;
                s.a.error = (uint64_t)-answer(&s);
                if (s.a.error)
                        s.a.len = 0;
                if (send(INSIDE_SOCKET_FD, &s.a, GUEST_ANSWER_SIZE(s.a.len), MSG_NOSIGNAL) < 0)
                        break;
        }
        if (s.fs)
                s.ops->close(s.fs);
        return 0;
}
