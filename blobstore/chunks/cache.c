/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "blobstore/base/lock.h"

/*
 * So that readers of different chunks seldom meet at a lock; chunks are spread by a multiplicative hash of their place.
 */
#define CACHE_SHARDS  8
#define CACHE_BUCKETS 256

enum cache_state {
        CACHE_LOADING,
        CACHE_READY,
        CACHE_FAILED, /* out of its bucket already; kept for those who wait for it */
};

struct cache_entry {
        LIST_ENTRY(cache_entry) link; /* in its bucket, unless failed */
        TAILQ_ENTRY(cache_entry) idle; /* in the list of unused ones while users is 0 */
        struct cache_shard *shard;
        uint64_t place;
        size_t len;
        unsigned users;
        enum cache_state state;
        int error;
        uint8_t bytes[]; /* the loader's until it is ready, constant then */
};

struct cache_shard {
        pthread_mutex_t lock; /* everything here, and every entry but for its bytes */
        pthread_cond_t loaded; /* an entry is not loading any more */
        LIST_HEAD(, cache_entry) buckets[CACHE_BUCKETS];
        TAILQ_HEAD(cache_idle, cache_entry) idle; /* the least recently used first */
        size_t bytes;
};

struct cache {
        size_t shard_bytes; /* limit */
        struct cache_shard shards[CACHE_SHARDS];
};

int cache_new(size_t bytes, struct cache **ret)
{
        struct cache *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->shard_bytes = bytes / CACHE_SHARDS;
        for (unsigned i = 0; i < CACHE_SHARDS; i++) {
                pthread_mutex_init(&c->shards[i].lock, NULL);
                pthread_cond_init(&c->shards[i].loaded, NULL);
                TAILQ_INIT(&c->shards[i].idle);
        }
        *ret = c;
        return 0;
}

/* Call with the lock held, on an unused entry. */
static void cache_drop(struct cache_shard *s, struct cache_entry *e)
{
        TAILQ_REMOVE(&s->idle, e, idle);
        LIST_REMOVE(e, link);
        s->bytes -= e->len;
        free(e);
}

void cache_free(struct cache *c)
{
        struct cache_entry *e;

        if (!c)
                return;
        for (unsigned i = 0; i < CACHE_SHARDS; i++) {
                while ((e = TAILQ_FIRST(&c->shards[i].idle)))
                        cache_drop(&c->shards[i], e);
                pthread_cond_destroy(&c->shards[i].loaded);
                pthread_mutex_destroy(&c->shards[i].lock);
        }
        free(c);
}

static unsigned cache_hash(uint64_t place)
{
        return (unsigned)(place * UINT64_C(0x9e3779b97f4a7c15) >> 40);
}

static struct cache_shard *cache_shard_of(struct cache *c, uint64_t place)
{
        return &c->shards[cache_hash(place) % CACHE_SHARDS];
}

/* Call with the lock held. */
static struct cache_entry *cache_find(struct cache_shard *s, uint64_t place)
{
        struct cache_entry *e;

        LIST_FOREACH(e, &s->buckets[cache_hash(place) / CACHE_SHARDS % CACHE_BUCKETS], link)
                if (e->place == place)
                        return e;
        return NULL;
}

/* Call with the lock held. */
static void cache_use(struct cache_shard *s, struct cache_entry *e)
{
        if (e->users++ == 0)
                TAILQ_REMOVE(&s->idle, e, idle);
}

/* Call with the lock held. */
static void cache_unuse(struct cache_shard *s, struct cache_entry *e)
{
        if (--e->users > 0)
                return;
        if (e->state == CACHE_FAILED)
                free(e);
        else
                TAILQ_INSERT_TAIL(&s->idle, e, idle);
}

/* Call with the lock held. */
static void cache_trim(struct cache *c, struct cache_shard *s)
{
        while (s->bytes > c->shard_bytes && !TAILQ_EMPTY(&s->idle))
                cache_drop(s, TAILQ_FIRST(&s->idle));
}

static struct cache_entry *cache_add(struct cache_shard *s, uint64_t place, size_t len)
{
        struct cache_entry *e = malloc(sizeof(*e) + len);

        if (!e)
                return NULL;
        e->shard = s;
        e->place = place;
        e->len = len;
        e->users = 1;
        e->state = CACHE_LOADING;
        e->error = 0;
        s->bytes += len;
        LIST_INSERT_HEAD(&s->buckets[cache_hash(place) / CACHE_SHARDS % CACHE_BUCKETS], e, link);
        return e;
}

int cache_get(struct cache *c, uint64_t place, size_t len, cache_load_fn *load, void *ctx, struct cache_entry **ret,
              const uint8_t **ret_bytes)
{
        struct cache_shard *s = cache_shard_of(c, place);
        struct cache_entry *e;
        int r;

        LOCK_SCOPE(&s->lock);
        e = cache_find(s, place);
        if (e) {
                cache_use(s, e);
                while (e->state == CACHE_LOADING)
                        pthread_cond_wait(&s->loaded, &s->lock);
        } else {
                e = cache_add(s, place, len);
                if (!e)
                        return -ENOMEM;
                cache_trim(c, s);
                unlock(&s->lock);
                r = load(ctx, place, e->bytes, len);
                lock(&s->lock);
                e->error = r;
                e->state = r < 0 ? CACHE_FAILED : CACHE_READY;
                if (r < 0) {
                        LIST_REMOVE(e, link);
                        s->bytes -= len;
                }
                pthread_cond_broadcast(&s->loaded);
        }

        /* One place with two lengths: a map that lies, since its hash passed. */
        r = e->state == CACHE_FAILED ? e->error : e->len < len ? -EBADMSG : 0;
        if (r < 0) {
                cache_unuse(s, e);
                return r;
        }
        *ret = e;
        *ret_bytes = e->bytes;
        return 0;
}

int cache_peek(struct cache *c, uint64_t place, size_t len, struct cache_entry **ret, const uint8_t **ret_bytes)
{
        struct cache_shard *s = cache_shard_of(c, place);
        struct cache_entry *e;

        LOCK_SCOPE(&s->lock);
        e = cache_find(s, place);
        if (!e || e->state != CACHE_READY || e->len < len) /* who loads it all the same learns what is wrong with it */
                return 0;
        cache_use(s, e);
        *ret = e;
        *ret_bytes = e->bytes;
        return 1;
}

void cache_put(struct cache *c, struct cache_entry *e)
{
        struct cache_shard *s = e->shard;

        LOCK_SCOPE(&s->lock);
        cache_unuse(s, e);
        cache_trim(c, s);
}
