/* SPDX-License-Identifier: MIT */
/*
 * A slot for each thread, which it alone writes. A number goes up before and after: odd, the slot is being written; the
 * same before and after it was read, and it was read whole. Slots of threads that have ended are used again.
 */

#include "fs/tree/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/lock.h"

#define NAME_WORDS (WATCH_NAME_BYTES / sizeof(uint64_t))

struct slot {
        SLIST_ENTRY(slot) link;
        atomic_bool taken;
        atomic_int thread;
        atomic_uint_fast64_t number; /* how often it was written */
        atomic_int_fast64_t since_us; /* 0: at nothing */
        atomic_uint request, uid;
        atomic_uint_fast64_t ino;
        atomic_uint_fast64_t name[NAME_WORDS];

        uint64_t told_number; /* whoever looks has these: of what was said to be slow; 0: nothing is */
        struct watched told;
};

struct watch {
        pthread_key_t mine;
        pthread_mutex_t mutex; /* of the list, which only grows */
        SLIST_HEAD(, slot) slots;
};

int64_t watch_now_us(void)
{
        struct timespec t;

        /* some milliseconds coarse, and a third of what the other one costs */
        (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t); /* cannot fail with it */
        return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* ---- slots ---- */

static void slot_leave(void *slot)
{
        atomic_store(&((struct slot *)slot)->taken, false);
}

static struct slot *slot_find_free(struct watch *w)
{
        struct slot *s;

        SLIST_FOREACH(s, &w->slots, link) {
                if (!atomic_exchange(&s->taken, true))
                        return s;
        }
        s = calloc(1, sizeof(*s));
        if (!s)
                return NULL;
        atomic_init(&s->taken, true);
        SLIST_INSERT_HEAD(&w->slots, s, link);
        return s;
}

/* NULL, without memory: what the thread is at is not known, that is all. */
static struct slot *slot_mine(struct watch *w)
{
        struct slot *s = pthread_getspecific(w->mine);

        if (s)
                return s;
        LOCK_SCOPE(&w->mutex);
        s = slot_find_free(w);
        if (!s)
                return NULL;
        atomic_store(&s->thread, gettid());
        if (pthread_setspecific(w->mine, s) != 0) {
                slot_leave(s);
                return NULL;
        }
        return s;
}

#define KEEP(field, value) atomic_store_explicit(&s->field, value, memory_order_relaxed)
#define KEPT(field)        atomic_load_explicit(&s->field, memory_order_relaxed)

static void slot_write(struct slot *s, const struct watched *what, const char *name)
{
        const uint64_t number = KEPT(number);
        size_t len = name ? strnlen(name, WATCH_NAME_BYTES - 1) : 0;

        KEEP(number, number + 1);
        atomic_thread_fence(memory_order_release);
        KEEP(request, what->request);
        KEEP(uid, what->uid);
        KEEP(ino, what->ino);
        for (size_t i = 0; i <= len / sizeof(uint64_t); i++) {
                uint64_t word = 0;
                size_t at = i * sizeof(word);

                if (len > at)
                        memcpy(&word, name + at, len - at < sizeof(word) ? len - at : sizeof(word));
                KEEP(name[i], word);
        }
        KEEP(since_us, what->since_us);
        atomic_store_explicit(&s->number, number + 2, memory_order_release);
}

/* False: it is being written. */
static bool slot_read(const struct slot *s, uint64_t *ret_number, struct watched *ret)
{
        uint64_t number = atomic_load_explicit(&s->number, memory_order_acquire);

        *ret = (struct watched){
                .thread = KEPT(thread),
                .request = (enum count)KEPT(request),
                .ino = KEPT(ino),
                .uid = KEPT(uid),
                .since_us = KEPT(since_us),
        };
        for (size_t i = 0; i < NAME_WORDS; i++) {
                uint64_t word = KEPT(name[i]);

                memcpy(ret->name + i * sizeof(word), &word, sizeof(word));
        }
        ret->name[WATCH_NAME_BYTES - 1] = '\0';
        atomic_thread_fence(memory_order_acquire);
        *ret_number = number;
        return number % 2 == 0 && KEPT(number) == number;
}

int watch_new(struct watch **ret)
{
        struct watch *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        r = -pthread_key_create(&w->mine, slot_leave);
        if (r < 0) {
                free(w);
                return r;
        }
        (void)pthread_mutex_init(&w->mutex, NULL); /* cannot fail without attributes */
        SLIST_INIT(&w->slots);
        *ret = w;
        return 0;
}

void watch_free(struct watch *w)
{
        struct slot *s;

        if (!w)
                return;
        (void)pthread_key_delete(w->mine);
        while ((s = SLIST_FIRST(&w->slots))) {
                SLIST_REMOVE_HEAD(&w->slots, link);
                free(s);
        }
        (void)pthread_mutex_destroy(&w->mutex);
        free(w);
}

/* ---- for who answers requests ---- */

void watch_begin(struct watch *w, enum count request, uint64_t ino, const char *name, uid_t uid)
{
        struct slot *s = slot_mine(w);

        if (s)
                slot_write(s, &(struct watched){ .request = request, .ino = ino, .uid = uid, .since_us = watch_now_us() },
                           name);
}

void watch_end(struct watch *w)
{
        struct slot *s = slot_mine(w);

        if (s)
                atomic_store_explicit(&s->since_us, 0, memory_order_relaxed);
}

void watch_get(struct watch *w, struct watched *ret)
{
        const struct slot *s = slot_mine(w);
        uint64_t number;

        if (!s || !slot_read(s, &number, ret)) /* which is its own */
                *ret = (struct watched){ 0 };
}

void watch_go_on(struct watch *w, const struct watched *what)
{
        struct slot *s = slot_mine(w);

        if (s && what->since_us)
                slot_write(s, what, what->name);
}

/* ---- for who looks ---- */

unsigned watch_look(struct watch *w, int64_t limit_us, watch_fn *fn, void *ctx)
{
        const int64_t now = watch_now_us();
        struct watched what;
        unsigned slow = 0;
        uint64_t number;
        struct slot *s;

        {
                LOCK_SCOPE(&w->mutex);
                s = SLIST_FIRST(&w->slots);
        }
        for (; s; s = SLIST_NEXT(s, link)) {
                bool is_slow;

                if (!slot_read(s, &number, &what))
                        number = 0; /* another one than what was told */
                is_slow = number && what.since_us && now - what.since_us > limit_us;
                if (s->told_number && (number != s->told_number || !is_slow)) {
                        s->told_number = 0;
                        fn(ctx, &s->told, true, now - s->told.since_us);
                }
                slow += is_slow;
                if (!is_slow || s->told_number)
                        continue;
                s->told_number = number;
                s->told = what;
                fn(ctx, &what, false, now - what.since_us);
        }
        return slow;
}

bool watch_find(struct watch *w, pid_t thread, struct watched *ret)
{
        uint64_t number;
        struct slot *s;

        {
                LOCK_SCOPE(&w->mutex);
                s = SLIST_FIRST(&w->slots);
        }
        for (; s; s = SLIST_NEXT(s, link)) {
                if (slot_read(s, &number, ret) && ret->thread == thread && ret->since_us)
                        return true;
        }
        return false;
}
