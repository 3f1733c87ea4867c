/* SPDX-License-Identifier: MIT */

/*
 * The programs that have a file system open, kept for a moment after each question: who walks through a tree asks the next
 * at once. One is its user's alone while she asks it; how many are asked at a time is the caller's to bound (it has as many
 * threads), how many wait is bounded here, and those that have waited too long are ended by a thread.
 */

#include "model/image/guests_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"

#define IDLE_MAX             8
#define IDLE_OF_ONE_USER_MAX 3

TAILQ_HEAD(guest_list, guest);

struct guests {
        unsigned idle_ms;
        pthread_t thread;
        pthread_mutex_t mutex; /* of all below */
        pthread_cond_t changed;
        bool runs, ending; /* the thread */
        struct guest_list idle; /* that has waited longest is the first */
};

int guests_new(unsigned idle_ms, struct guests **ret)
{
        struct guests *gs = calloc(1, sizeof(*gs));

        if (!gs)
                return -ENOMEM;
        gs->idle_ms = idle_ms;
        (void)pthread_mutex_init(&gs->mutex, NULL); /* cannot fail without attributes */
        cond_init(&gs->changed);
        TAILQ_INIT(&gs->idle);
        *ret = gs;
        return 0;
}

static void guest_free(struct guest *g)
{
        guest_files_close(g->files);
        blob_close(g->blob);
        free(g);
}

static void free_all(struct guest_list *l)
{
        struct guest *g;

        while ((g = TAILQ_FIRST(l))) {
                TAILQ_REMOVE(l, g, link);
                guest_free(g);
        }
}

static int64_t now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Moves those to OUT whose time is up, and waits for the next one's, or for a change. With the mutex. */
static void take_due(struct guests *gs, struct guest_list *out)
{
        const int64_t now = now_ms();
        struct guest *g;

        while ((g = TAILQ_FIRST(&gs->idle)) && now >= g->due_ms) {
                TAILQ_REMOVE(&gs->idle, g, link);
                TAILQ_INSERT_TAIL(out, g, link);
        }
        if (!TAILQ_EMPTY(out))
                return;
        if (g) {
                const struct timespec due = { .tv_sec = g->due_ms / 1000, .tv_nsec = g->due_ms % 1000 * 1000000 };

                (void)pthread_cond_timedwait(&gs->changed, &gs->mutex, &due); /* the caller looks what has come of it */
        } else {
                (void)pthread_cond_wait(&gs->changed, &gs->mutex);
        }
}

static void *run(void *arg)
{
        struct guest_list out = TAILQ_HEAD_INITIALIZER(out);
        struct guests *gs = arg;
        LOCK_SCOPE(&gs->mutex);

        thread_set_nice(THREAD_NICE_LONG);
        while (!gs->ending) {
                take_due(gs, &out);
                unlock(&gs->mutex);
                free_all(&out);
                lock(&gs->mutex);
        }
        return NULL;
}

void guests_free(struct guests *gs)
{
        if (!gs)
                return;
        {
                LOCK_SCOPE(&gs->mutex);
                gs->ending = true;
                (void)pthread_cond_signal(&gs->changed);
        }
        if (gs->runs)
                (void)pthread_join(gs->thread, NULL);
        free_all(&gs->idle);
        (void)pthread_cond_destroy(&gs->changed);
        (void)pthread_mutex_destroy(&gs->mutex);
        free(gs);
}

bool guests_can_read(const struct inside_part *p)
{
        return strncmp(p->fs, "ext", 3) == 0 || strcmp(p->fs, "vfat") == 0;
}

static bool is_same(const struct guest *g, const struct guest_asker *a)
{
        return g->uid == a->uid && g->at.snapshot == a->at.snapshot && g->at.id == a->at.id && g->at.number == a->at.number;
}

/* One that waits. NULL: none does. */
static struct guest *take_idle(struct guests *gs, const struct guest_asker *a)
{
        struct guest *g;
        LOCK_SCOPE(&gs->mutex);

        TAILQ_FOREACH(g, &gs->idle, link) {
                if (is_same(g, a)) {
                        TAILQ_REMOVE(&gs->idle, g, link);
                        return g;
                }
        }
        return NULL;
}

static int find_part(struct model *m, const struct inside_subject *s, const struct guest_asker *a, struct diag *diag,
                     struct inside_part *ret)
{
        CLEANUP_FREE struct inside_parts *parts = NULL;
        int r;

        r = inside_get_parts(m, s, &a->asker, diag, &parts);
        if (r < 0)
                return r;
        for (size_t i = 0; i < parts->n; i++) {
                if (parts->part[i].number == a->at.number) {
                        *ret = parts->part[i];
                        return 0;
                }
        }
        return -ESTALE;
}

static int begin(struct model *m, const struct inside_subject *s, const struct guest_asker *a, struct diag *diag,
                 struct guest **ret)
{
        struct guest *g = calloc(1, sizeof(*g));
        struct inside_disk disk = { .size_bytes = s->blob.size_bytes };
        int r;

        if (!g)
                return -ENOMEM;
        g->at = a->at;
        g->uid = a->uid;
        g->size_bytes = s->blob.size_bytes;
        r = find_part(m, s, a, diag, &g->part);
        if (r == 0 && !guests_can_read(&g->part))
                r = -ESTALE;
        if (r == 0)
                r = s->snapshot ? snapshot_open(m, s->id, diag, &g->blob) : image_disk_open(m, s->id, diag, &g->blob);
        if (r == 0) {
                r = guest_files_open(&disk, &g->part, &g->files);
                r = r < 0 ? inside_refuse(r, diag) : 0;
        }
        if (r < 0) {
                guest_free(g);
                return r == -ENOENT ? -ESTALE : r;
        }
        *ret = g;
        return 0;
}

int guests_take(struct model *m, const struct guest_asker *a, struct diag *diag, struct guest **ret, bool *ret_new)
{
        struct inside_subject s;
        int r;

        r = inside_subject_get(m, a->at.snapshot, a->at.id, &s);
        if (r < 0)
                return r == -ENOENT ? -ESTALE : r;
        *ret = take_idle(m->guests, a);
        *ret_new = !*ret;
        return *ret ? 0 : begin(m, &s, a, diag, ret);
}

/* One that is more than there may be; NULL: there is none. With the mutex. */
static struct guest *take_excess(struct guests *gs, uid_t uid)
{
        struct guest *oldest = NULL, *g;
        unsigned n = 0, hers = 0;

        TAILQ_FOREACH(g, &gs->idle, link) {
                n++;
                hers += g->uid == uid;
                if (!oldest && g->uid == uid)
                        oldest = g;
        }
        g = hers > IDLE_OF_ONE_USER_MAX ? oldest : n > IDLE_MAX ? TAILQ_FIRST(&gs->idle) : NULL;
        if (g)
                TAILQ_REMOVE(&gs->idle, g, link);
        return g;
}

void guests_give(struct model *m, struct guest *g)
{
        struct guests *gs = m->guests;
        struct guest *excess = NULL;

        if (guest_files_died(g->files)) {
                guest_free(g);
                return;
        }
        g->due_ms = now_ms() + gs->idle_ms;
        {
                LOCK_SCOPE(&gs->mutex);
                TAILQ_INSERT_TAIL(&gs->idle, g, link);
                excess = take_excess(gs, g->uid);
                /* With the first: a daemon that goes to the background has no thread before that. */
                if (!gs->runs)
                        gs->runs = thread_start(&gs->thread, run, gs) == 0;
                (void)pthread_cond_signal(&gs->changed);
        }
        if (excess)
                guest_free(excess);
}
