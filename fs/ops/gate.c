/* SPDX-License-Identifier: MIT */
/*
 * INSIDE counts the threads in the store. Who finds it full parks the request, and then tries once more; who leaves first
 * takes what is parked: in whatever order these come, nothing stays parked while there is room.
 */

#include "fs/ops/gate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "fs/ops/background.h"
#include "fs/ops/reply.h"
#include "fs/tree/watch.h"

/*
 * Of all such stores together, of the threads there are (32, see mount.c): so many fewer than what the kernel sends that
 * nobody waits for by itself (24, see background.h), that others' reading ahead goes on beside those that are stuck.
 */
static const unsigned threads[] = { [GATE_USE] = 16, [GATE_OPEN] = 8 };

struct parked {
        STAILQ_ENTRY(parked) link;
        fuse_req_t fuse;
        gate_fn *fn;
        struct gated g;
        struct watched what;
        char bytes[];
};

STAILQ_HEAD(parking, parked);

struct gate {
        SLIST_ENTRY(gate) link;
        uint64_t store;
        enum gate_for purpose;
        unsigned share;
        atomic_uint inside;
        atomic_uint n_parked;
        struct gates *all;
        atomic_bool hangs; /* as of the last look */
        pthread_mutex_t mutex; /* of the rest; a leaf */
        struct parking parked;
        bool stopped;
};

struct gates {
        pthread_mutex_t mutex; /* of the list, which only grows */
        SLIST_HEAD(, gate) all;
        atomic_uint n_parked; /* at all of them */
        struct background background; /* what is parked takes some of what the kernel sends at once */
};

int gates_new(struct gates **ret)
{
        struct gates *gs = calloc(1, sizeof(*gs));

        if (!gs)
                return -ENOMEM;
        (void)pthread_mutex_init(&gs->mutex, NULL); /* cannot fail without attributes, as below */
        (void)pthread_mutex_init(&gs->background.mutex, NULL);
        SLIST_INIT(&gs->all);
        *ret = gs;
        return 0;
}

static struct gate *first(struct gates *gs)
{
        LOCK_SCOPE(&gs->mutex);
        return SLIST_FIRST(&gs->all);
}

static void note_parked(struct gate *gate, int change)
{
        atomic_fetch_add(&gate->n_parked, (unsigned)change);
        atomic_fetch_add(&gate->all->n_parked, (unsigned)change);
}

/* All that are parked, or, unless FUSE is NULL, that one. */
static void take_out(struct gate *gate, fuse_req_t fuse, struct parking *ret)
{
        struct parked *p, *next;
        LOCK_SCOPE(&gate->mutex);

        for (p = STAILQ_FIRST(&gate->parked); p; p = next) {
                next = STAILQ_NEXT(p, link);
                if (fuse ? p->fuse != fuse : !p->g.verb && !gate->stopped)
                        continue;
                STAILQ_REMOVE(&gate->parked, p, parked, link);
                note_parked(gate, -1);
                STAILQ_INSERT_TAIL(ret, p, link);
        }
}

void gates_stop(struct gates *gs, bool answer)
{
        struct gate *gate = gs ? first(gs) : NULL;

        for (; gate; gate = SLIST_NEXT(gate, link)) {
                struct parking out = STAILQ_HEAD_INITIALIZER(out);
                struct parked *p;

                {
                        LOCK_SCOPE(&gate->mutex);
                        gate->stopped = true;
                }
                take_out(gate, NULL, &out);
                while ((p = STAILQ_FIRST(&out))) {
                        STAILQ_REMOVE_HEAD(&out, link);
                        if (answer)
                                (void)fuse_reply_err(p->fuse, EINTR);
                        free(p);
                }
        }
}

void gates_free(struct gates *gs)
{
        struct gate *gate;

        if (!gs)
                return;
        while ((gate = SLIST_FIRST(&gs->all))) {
                SLIST_REMOVE_HEAD(&gs->all, link);
                (void)pthread_mutex_destroy(&gate->mutex);
                free(gate);
        }
        (void)pthread_mutex_destroy(&gs->background.mutex);
        (void)pthread_mutex_destroy(&gs->mutex);
        free(gs);
}

/* Without memory there is none: so much less is sure. */
struct gate *gates_get(struct fs *fs, uint64_t store, enum gate_for purpose)
{
        struct gates *gs = fs->gates;
        unsigned elsewhere;
        struct gate *gate;

        if (!model_is_elsewhere(fs->model, store, &elsewhere))
                return NULL;
        LOCK_SCOPE(&gs->mutex);
        SLIST_FOREACH(gate, &gs->all, link) {
                if (gate->store == store && gate->purpose == purpose)
                        return gate;
        }
        gate = calloc(1, sizeof(*gate));
        if (!gate)
                return NULL;
        gate->all = gs;
        gate->store = store;
        gate->purpose = purpose;
        gate->share = elsewhere < threads[purpose] ? threads[purpose] / elsewhere : 1;
        (void)pthread_mutex_init(&gate->mutex, NULL);
        STAILQ_INIT(&gate->parked);
        SLIST_INSERT_HEAD(&gs->all, gate, link);
        return gate;
}

/* ---- in and out ---- */

static bool enter(struct gate *gate)
{
        unsigned n = atomic_load(&gate->inside);

        while (n < gate->share)
                if (atomic_compare_exchange_weak(&gate->inside, &n, n + 1))
                        return true;
        return false;
}

static struct parked *take_next(struct gate *gate)
{
        struct parked *p;
        LOCK_SCOPE(&gate->mutex);

        p = STAILQ_FIRST(&gate->parked);
        if (p) {
                STAILQ_REMOVE_HEAD(&gate->parked, link);
                note_parked(gate, -1);
        }
        return p;
}

/* Of the calling thread, which is inside: goes on with what is parked, and comes out when there is nothing. */
static void leave(struct gate *gate)
{
        struct parked *p;

        do {
                while (atomic_load(&gate->n_parked) > 0 && (p = take_next(gate))) {
                        struct fs *fs = fuse_req_userdata(p->fuse);

                        watch_go_on(fs->watch, &p->what);
                        p->fn(p->fuse, &p->g);
                        free(p);
                }
                atomic_fetch_sub(&gate->inside, 1);
        } while (atomic_load(&gate->n_parked) > 0 && enter(gate));
}

/* ---- parking ---- */

/* libfuse may call it when the request has just been answered: see wait.c, which has the same rules. */
static void interrupt(fuse_req_t fuse, void *data)
{
        struct parking out = STAILQ_HEAD_INITIALIZER(out);
        struct parked *p;

        take_out(data, fuse, &out);
        p = STAILQ_FIRST(&out);
        if (p)
                (void)fuse_reply_err(fuse, EINTR);
        free(p);
}

/* With no lock held. */
static void make_room(struct fs *fs)
{
        background_make_room(&fs->gates->background, fs->mountpoint, atomic_load(&fs->gates->n_parked));
}

static int park(struct gate *gate, struct parked *p)
{
        LOCK_SCOPE(&gate->mutex);

        if (gate->stopped || (p->g.verb && fuse_req_interrupted(p->fuse)))
                return -EINTR;
        STAILQ_INSERT_TAIL(&gate->parked, p, link);
        note_parked(gate, 1);
        return 0;
}

static void refuse(struct fs *fs, const struct gate *gate, fuse_req_t fuse, const struct gated *g)
{
        CLEANUP_REQ struct req rq;
        int r;

        req_init(&rq, fuse);
        rq.doing.verb = g->verb;
        r = model_refuse_offline(fs->model, gate->store, &rq.diag);
        reply_refusal(&rq, node_of(g->ino), r < 0 ? r : -EIO);
}

static void wait_for_turn(fuse_req_t fuse, struct gate *gate, gate_fn *fn, const struct gated *g)
{
        struct fs *fs = fuse_req_userdata(fuse);
        const size_t n = g->bytes ? g->size : 0;
        struct parked *p;
        int r;

        if (g->verb && atomic_load(&gate->hangs)) {
                refuse(fs, gate, fuse, g);
                return;
        }
        p = malloc(sizeof(*p) + n);
        if (!p) {
                (void)fuse_reply_err(fuse, ENOMEM);
                return;
        }
        *p = (struct parked){ .fuse = fuse, .fn = fn, .g = *g };
        if (n) {
                memcpy(p->bytes, g->bytes, n);
                p->g.bytes = p->bytes;
        }
        watch_get(fs->watch, &p->what);
        if (g->verb)
                fuse_req_interrupt_func(fuse, interrupt, gate);
        r = park(gate, p);
        make_room(fs); /* P may be gone by now */
        if (r < 0) {
                free(p);
                (void)fuse_reply_err(fuse, -r);
        } else if (enter(gate)) {
                leave(gate);
        }
}

void gate_run(fuse_req_t fuse, struct gate *gate, gate_fn *fn, const struct gated *g)
{
        if (!gate) {
                fn(fuse, g);
        } else if (enter(gate)) {
                fn(fuse, g);
                leave(gate);
        } else {
                wait_for_turn(fuse, gate, fn, g);
        }
}

/* ---- for who looks ---- */

static unsigned count_slow(struct gate *gate, int64_t since_us)
{
        const struct parked *p;
        unsigned slow = 0;
        LOCK_SCOPE(&gate->mutex);

        STAILQ_FOREACH(p, &gate->parked, link)
                slow += p->what.since_us && p->what.since_us < since_us;
        return slow;
}

static void refuse_parked(struct fs *fs, struct gate *gate)
{
        struct parking out = STAILQ_HEAD_INITIALIZER(out);
        struct parked *p;

        take_out(gate, NULL, &out);
        while ((p = STAILQ_FIRST(&out))) {
                STAILQ_REMOVE_HEAD(&out, link);
                refuse(fs, gate, p->fuse, &p->g);
                free(p);
        }
}

unsigned gates_look(struct fs *fs, int64_t limit_us)
{
        const int64_t since_us = watch_now_us() - limit_us;
        unsigned slow = 0;

        for (struct gate *gate = first(fs->gates); gate; gate = SLIST_NEXT(gate, link)) {
                struct diag ignored = { 0 };
                const bool hangs = model_refuse_offline(fs->model, gate->store, &ignored) == -EIO;

                atomic_store(&gate->hangs, hangs);
                if (hangs)
                        refuse_parked(fs, gate);
                slow += count_slow(gate, since_us);
        }
        make_room(fs);
        return slow;
}
