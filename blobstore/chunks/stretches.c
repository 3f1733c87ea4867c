/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/stretches.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"

#define STRETCH_SHARDS 16
#define STRETCH_WORDS  (STRETCH_BLOCKS / 64)

/* A bucket for so much of the cache. */
#define STRETCH_BUCKET (UINT64_C(1) << 20)
#define STRETCH_BUCKETS_MIN 64

struct stretch {
        LIST_ENTRY(stretch) link; /* in its bucket; under the shard's lock */
        TAILQ_ENTRY(stretch) turn; /* this, the next and the last two under the cache's */
        LIST_ENTRY(stretch) of_file;
        void *file; /* constant, as is the next */
        uint64_t number;
        uint64_t there[STRETCH_WORDS]; /* a bit for each block; this and the next under the shard's lock */
        bool used;
        unsigned fillers;
        uint32_t pages; /* that it counts for */
};

struct stretch_shard {
        pthread_mutex_t lock;
        struct stretch_list *buckets;
};

struct stretches {
        size_t buckets; /* of each shard */
        struct stretch_shard shards[STRETCH_SHARDS];
        TAILQ_HEAD(, stretch) turns; /* the first one is asked next; this and the next under the cache's lock */
        uint64_t pages;
};

int stretches_new(uint64_t cache_bytes, struct stretches **ret)
{
        uint64_t buckets = cache_bytes / STRETCH_BUCKET / STRETCH_SHARDS;
        struct stretches *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        t->buckets = buckets > STRETCH_BUCKETS_MIN ? (size_t)buckets : STRETCH_BUCKETS_MIN;
        TAILQ_INIT(&t->turns);
        for (unsigned i = 0; i < STRETCH_SHARDS; i++) {
                pthread_mutex_init(&t->shards[i].lock, NULL);
                t->shards[i].buckets = calloc(t->buckets, sizeof(*t->shards[i].buckets));
        }
        for (unsigned i = 0; i < STRETCH_SHARDS; i++)
                if (!t->shards[i].buckets) {
                        stretches_free(t);
                        return -ENOMEM;
                }
        *ret = t;
        return 0;
}

void stretches_free(struct stretches *t)
{
        struct stretch *st;

        if (!t)
                return;
        while ((st = TAILQ_FIRST(&t->turns))) {
                TAILQ_REMOVE(&t->turns, st, turn);
                free(st);
        }
        for (unsigned i = 0; i < STRETCH_SHARDS; i++) {
                pthread_mutex_destroy(&t->shards[i].lock);
                free(t->shards[i].buckets);
        }
        free(t);
}

static struct stretch_shard *shard_of(struct stretches *t, const void *file, uint64_t number,
                                      struct stretch_list **ret_bucket)
{
        uint64_t hash = ((uint64_t)(uintptr_t)file / sizeof(void *) + number) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
        struct stretch_shard *s = &t->shards[hash % STRETCH_SHARDS];

        *ret_bucket = &s->buckets[hash / STRETCH_SHARDS % t->buckets];
        return s;
}

/* Call with the shard's lock held, or the cache's. */
static struct stretch *bucket_find(const struct stretch_list *bucket, const void *file, uint64_t number)
{
        struct stretch *st;

        LIST_FOREACH(st, bucket, link)
                if (st->number == number && st->file == file)
                        return st;
        return NULL;
}

/* The bits of word W that stand for blocks FIRST to END of a stretch. */
static uint64_t word_bits(unsigned w, uint64_t first, uint64_t end)
{
        uint64_t from = first > w * UINT64_C(64) ? first - w * UINT64_C(64) : 0;
        uint64_t to = end < (w + 1) * UINT64_C(64) ? end - w * UINT64_C(64) : 64;

        return (UINT64_MAX << from) & (UINT64_MAX >> (64 - to));
}

#define FOR_WORDS(w, first, end) for (unsigned w = (unsigned)((first) / 64); w <= ((end) - 1) / 64; w++)

/* Of blocks FIRST to END of the stretch NUMBER. */
static bool stretch_has(struct stretches *t, const void *file, uint64_t number, uint64_t first, uint64_t end)
{
        struct stretch_list *bucket;
        struct stretch_shard *s = shard_of(t, file, number, &bucket);
        struct stretch *st;

        LOCK_SCOPE(&s->lock);
        st = bucket_find(bucket, file, number);
        if (!st)
                return false;
        FOR_WORDS(w, first, end)
                if (~st->there[w] & word_bits(w, first, end))
                        return false;
        st->used = true;
        return true;
}

bool stretches_have(struct stretches *t, const void *file, uint64_t block, size_t blocks)
{
        uint64_t end = block + blocks, next;

        for (; block < end; block = next) {
                uint64_t number = block / STRETCH_BLOCKS, start = number * STRETCH_BLOCKS;

                next = end < start + STRETCH_BLOCKS ? end : start + STRETCH_BLOCKS;
                if (!stretch_has(t, file, number, block - start, next - start))
                        return false;
        }
        return true;
}

bool stretches_unset(struct stretches *t, const void *file, uint64_t block)
{
        struct stretch_list *bucket;
        struct stretch_shard *s = shard_of(t, file, block / STRETCH_BLOCKS, &bucket);
        uint64_t bit = UINT64_C(1) << block % 64, *word;
        struct stretch *st;
        bool was;

        LOCK_SCOPE(&s->lock);
        st = bucket_find(bucket, file, block / STRETCH_BLOCKS);
        if (!st)
                return false;
        word = &st->there[block % STRETCH_BLOCKS / 64];
        was = *word & bit;
        *word &= ~bit;
        return was;
}

/* ---- filling ---- */

/* Pages of the file that the blocks lie in: each one in two, of which the second is the next one's first. */
static uint32_t pages_of(const uint64_t there[STRETCH_WORDS])
{
        uint64_t carried = 0;
        uint32_t n = 0;

        for (unsigned w = 0; w < STRETCH_WORDS; w++) {
                n += (uint32_t)__builtin_popcountll(there[w] | there[w] << 1 | carried);
                carried = there[w] >> 63;
        }
        return n + (uint32_t)carried;
}

static void stretch_count(struct stretches *t, struct stretch *st, uint32_t pages)
{
        pages = pages < STRETCH_PAGES_MIN ? STRETCH_PAGES_MIN : pages > STRETCH_PAGES ? STRETCH_PAGES : pages;
        t->pages += pages - st->pages;
        st->pages = pages;
}

static struct stretch *stretch_add(struct stretches *t, void *file, struct stretch_list *list, uint64_t number)
{
        struct stretch *st = calloc(1, sizeof(*st));
        struct stretch_list *bucket;
        struct stretch_shard *s;

        if (!st)
                return NULL;
        st->file = file;
        st->number = number;
        TAILQ_INSERT_TAIL(&t->turns, st, turn);
        LIST_INSERT_HEAD(list, st, of_file);
        s = shard_of(t, file, number, &bucket);
        LOCK_SCOPE(&s->lock);
        LIST_INSERT_HEAD(bucket, st, link);
        return st;
}

struct stretch *stretches_fill(struct stretches *t, void *file, struct stretch_list *list, uint64_t block, size_t blocks)
{
        uint64_t number = block / STRETCH_BLOCKS, first = block % STRETCH_BLOCKS, more[STRETCH_WORDS] = { 0 };
        struct stretch_list *bucket;
        struct stretch_shard *s = shard_of(t, file, number, &bucket);
        struct stretch *st = bucket_find(bucket, file, number);
        uint32_t before;

        if (!st)
                st = stretch_add(t, file, list, number);
        if (!st)
                return NULL;
        st->fillers++;
        LOCK_SCOPE(&s->lock);
        for (unsigned w = 0; w < STRETCH_WORDS; w++)
                more[w] = st->there[w];
        before = pages_of(more);
        FOR_WORDS(w, first, first + blocks)
                more[w] |= word_bits(w, first, first + blocks);
        /* by what comes: a block that did not verify may still have its pages */
        stretch_count(t, st, st->pages + pages_of(more) - before);
        return st;
}

void stretches_filled(struct stretches *t, struct stretch *st, uint64_t block, size_t blocks, bool good)
{
        uint64_t first = block % STRETCH_BLOCKS;
        struct stretch_list *bucket;
        struct stretch_shard *s = shard_of(t, st->file, st->number, &bucket);

        st->fillers--;
        if (!good)
                return;
        LOCK_SCOPE(&s->lock);
        FOR_WORDS(w, first, first + blocks)
                st->there[w] |= word_bits(w, first, first + blocks);
}

/* ---- giving back ---- */

uint64_t stretches_bytes(const struct stretches *t)
{
        return t->pages * BLOB_BLOCK_SIZE;
}

static void stretch_drop(struct stretches *t, struct stretch *st)
{
        struct stretch_list *bucket;
        struct stretch_shard *s = shard_of(t, st->file, st->number, &bucket);

        lock(&s->lock);
        LIST_REMOVE(st, link);
        unlock(&s->lock);
        TAILQ_REMOVE(&t->turns, st, turn);
        LIST_REMOVE(st, of_file);
        t->pages -= st->pages;
        free(st);
}

/* Was it used since this was asked last? */
static bool stretch_was_used(struct stretches *t, struct stretch *st)
{
        struct stretch_list *bucket;
        struct stretch_shard *s = shard_of(t, st->file, st->number, &bucket);
        bool used;

        LOCK_SCOPE(&s->lock);
        used = st->used;
        st->used = false;
        return used;
}

bool stretches_take(struct stretches *t, void **ret_file, uint64_t *ret_number)
{
        struct stretch *st, *filling = NULL;
        unsigned rounds = 0;

        while ((st = TAILQ_FIRST(&t->turns))) {
                if (st->fillers == 0 && !stretch_was_used(t, st)) {
                        *ret_file = st->file;
                        *ret_number = st->number;
                        stretch_drop(t, st);
                        return true;
                }
                if (!filling && st->fillers > 0)
                        filling = st;
                if (st == filling && ++rounds > 2) /* by now all others would have gone */
                        return false;
                TAILQ_REMOVE(&t->turns, st, turn);
                TAILQ_INSERT_TAIL(&t->turns, st, turn);
        }
        return false;
}

void stretches_forget(struct stretches *t, struct stretch_list *list)
{
        struct stretch *st, *next;

        for (st = LIST_FIRST(list); st; st = next) {
                next = LIST_NEXT(st, of_file);
                if (st->fillers == 0)
                        stretch_drop(t, st);
        }
}
