/* SPDX-License-Identifier: MIT */

#include "fs/ops/alias.h"

#include <string.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "fs/ops/process.h"

/* How long the name outlives the last close: tools go on with it at once, on a machine that may be slow. */
#define ALIAS_LINGER_NS       INT64_C(10000000000)
#define ALIAS_LINGER_EMPTY_NS INT64_C(3000000000) /* a second less than the image (model/intake/brief.c) */

struct alias {
        struct alias *next;
        fuse_ino_t parent;
        uid_t uid;
        pid_t pid; /* 0: of any process of the user */
        uint64_t image;
        int64_t end_ns; /* 0: the file is open */
        uint64_t size_bytes; /* that it had when it was closed */
        char name[];
};

struct aliases {
        pthread_mutex_t mutex;
        struct alias *first; /* as many as files being copied in: a list will do */
};

static int64_t alias_now_ns(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
        return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int aliases_new(struct aliases **ret)
{
        struct aliases *a = calloc(1, sizeof(*a));

        if (!a)
                return -ENOMEM;
        (void)pthread_mutex_init(&a->mutex, NULL); /* cannot fail without attributes */
        *ret = a;
        return 0;
}

void aliases_free(struct aliases *a)
{
        if (!a)
                return;
        for (struct alias *i = a->first, *next; i; i = next) {
                next = i->next;
                free(i);
        }
        (void)pthread_mutex_destroy(&a->mutex);
        free(a);
}

/* Drops what has ended. The mutex is held. */
static void alias_expire(struct aliases *a)
{
        int64_t now = alias_now_ns();

        for (struct alias **p = &a->first, *i; (i = *p);) {
                if (i->end_ns && i->end_ns < now) {
                        *p = i->next;
                        free(i);
                } else {
                        p = &i->next;
                }
        }
}

int alias_add(struct aliases *a, fuse_ino_t parent, const char *name, const struct fuse_ctx *who, uint64_t image)
{
        struct alias *i = malloc(sizeof(*i) + strlen(name) + 1);

        if (!i)
                return -ENOMEM;
        i->parent = parent;
        i->uid = who->uid;
        i->pid = process_of(who->pid);
        i->image = image;
        i->end_ns = 0;
        i->size_bytes = 0;
        memcpy(i->name, name, strlen(name) + 1);

        LOCK_SCOPE(&a->mutex);
        alias_expire(a);
        i->next = a->first;
        a->first = i;
        return 0;
}

bool alias_find(struct aliases *a, fuse_ino_t parent, const char *name, const struct fuse_ctx *who, struct node *ret)
{
        LOCK_SCOPE(&a->mutex);
        alias_expire(a);
        for (struct alias *i = a->first; i; i = i->next) {
                if (i->parent == parent && i->uid == who->uid && strcmp(i->name, name) == 0 &&
                    (!i->pid || i->pid == process_of(who->pid))) {
                        *ret = alias_upload_node(i->image);
                        return true;
                }
        }
        return false;
}

void alias_begin(struct aliases *a, uint64_t image)
{
        LOCK_SCOPE(&a->mutex);
        for (struct alias *i = a->first; i; i = i->next)
                if (i->image == image)
                        i->end_ns = 0;
}

void alias_end(struct aliases *a, uint64_t image, bool empty, uint64_t size_bytes)
{
        LOCK_SCOPE(&a->mutex);
        for (struct alias *i = a->first; i; i = i->next) {
                if (i->image != image)
                        continue;
                i->end_ns = alias_now_ns() + (empty ? ALIAS_LINGER_EMPTY_NS : ALIAS_LINGER_NS);
                i->size_bytes = size_bytes;
                if (empty)
                        i->pid = 0;
        }
}

uint64_t alias_size(struct aliases *a, uint64_t image)
{
        LOCK_SCOPE(&a->mutex);
        for (const struct alias *i = a->first; i; i = i->next)
                if (i->image == image && i->end_ns)
                        return i->size_bytes;
        return 0;
}

struct node alias_upload_node(uint64_t image)
{
        struct node n = { .kind = KIND_IMAGE, .oid = image };

        for (const struct entry *e = tree_kind(KIND_IMAGE)->entries; e->name; e++)
                if (e->flags & ENTRY_UPLOAD)
                        n.row = e->number;
        return n;
}
