/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/fd_cache.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"

#define FD_CACHE_BUCKETS 256

struct fd_ref {
        LIST_ENTRY(fd_ref) link; /* in its bucket, unless forgotten */
        TAILQ_ENTRY(fd_ref) idle; /* in the list of unused ones while users is 0 */
        uint32_t id;
        int fd;
        unsigned users;
        bool forgotten;
};

struct fd_cache {
        fd_open_fn *open;
        void *ctx;
        unsigned limit;

        pthread_mutex_t lock; /* everything below, and every ref but for its fd */
        LIST_HEAD(, fd_ref) buckets[FD_CACHE_BUCKETS];
        TAILQ_HEAD(fd_idle, fd_ref) idle; /* the least recently used first */
        unsigned count; /* of refs in buckets */
};

int fd_cache_new(fd_open_fn *open, void *ctx, unsigned limit, struct fd_cache **ret)
{
        struct fd_cache *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->open = open;
        c->ctx = ctx;
        c->limit = limit;
        pthread_mutex_init(&c->lock, NULL);
        TAILQ_INIT(&c->idle);
        *ret = c;
        return 0;
}

static struct fd_ref *fd_cache_find(struct fd_cache *c, uint32_t id)
{
        struct fd_ref *ref;

        LIST_FOREACH(ref, &c->buckets[id % FD_CACHE_BUCKETS], link)
                if (ref->id == id)
                        return ref;
        return NULL;
}

static void fd_ref_free(struct fd_ref *ref)
{
        cleanup_close(&ref->fd);
        free(ref);
}

/* Call with the lock held, on an unused ref. */
static void fd_cache_drop(struct fd_cache *c, struct fd_ref *ref)
{
        TAILQ_REMOVE(&c->idle, ref, idle);
        LIST_REMOVE(ref, link);
        c->count--;
        fd_ref_free(ref);
}

/* Call with the lock held. */
static void fd_cache_use(struct fd_cache *c, struct fd_ref *ref)
{
        if (ref->users++ == 0)
                TAILQ_REMOVE(&c->idle, ref, idle);
}

void fd_cache_free(struct fd_cache *c)
{
        struct fd_ref *ref;

        if (!c)
                return;
        while ((ref = TAILQ_FIRST(&c->idle)))
                fd_cache_drop(c, ref);
        pthread_mutex_destroy(&c->lock);
        free(c);
}

/* Opens without the lock, since a disk may take its time; where two threads do so at once, the second one yields. */
static int fd_cache_add(struct fd_cache *c, uint32_t id, struct fd_ref **ret)
{
        struct fd_ref *ref, *twin;

        ref = calloc(1, sizeof(*ref));
        if (!ref)
                return -ENOMEM;
        ref->id = id;
        ref->fd = c->open(c->ctx, id);
        if (ref->fd < 0) {
                int r = ref->fd;

                free(ref);
                return r;
        }

        lock(&c->lock);
        twin = fd_cache_find(c, id);
        if (twin) {
                fd_cache_use(c, twin);
        } else {
                ref->users = 1;
                LIST_INSERT_HEAD(&c->buckets[id % FD_CACHE_BUCKETS], ref, link);
                c->count++;
                while (c->count > c->limit && !TAILQ_EMPTY(&c->idle))
                        fd_cache_drop(c, TAILQ_FIRST(&c->idle));
        }
        unlock(&c->lock);

        if (twin)
                fd_ref_free(ref);
        *ret = twin ? twin : ref;
        return 0;
}

int fd_cache_get(struct fd_cache *c, uint32_t id, struct fd_ref **ret, int *ret_fd)
{
        struct fd_ref *ref;
        int r;

        lock(&c->lock);
        ref = fd_cache_find(c, id);
        if (ref)
                fd_cache_use(c, ref);
        unlock(&c->lock);

        if (!ref) {
                r = fd_cache_add(c, id, &ref);
                if (r < 0)
                        return r;
        }
        *ret = ref;
        *ret_fd = ref->fd;
        return 0;
}

void fd_cache_put(struct fd_cache *c, struct fd_ref *ref)
{
        LOCK_SCOPE(&c->lock);

        if (--ref->users > 0)
                return;
        if (ref->forgotten) {
                fd_ref_free(ref);
                return;
        }
        TAILQ_INSERT_TAIL(&c->idle, ref, idle);
        if (c->count > c->limit)
                fd_cache_drop(c, TAILQ_FIRST(&c->idle));
}

void fd_cache_forget(struct fd_cache *c, uint32_t id)
{
        struct fd_ref *ref;

        LOCK_SCOPE(&c->lock);
        ref = fd_cache_find(c, id);
        if (!ref)
                return;
        if (ref->users == 0) {
                fd_cache_drop(c, ref);
                return;
        }
        LIST_REMOVE(ref, link);
        c->count--;
        ref->forgotten = true;
}
