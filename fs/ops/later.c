/* SPDX-License-Identifier: MIT */

#include "fs/ops/later.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "fs/ops/file.h"
#include "fs/ops/reply.h"
#include "fs/ops/resent.h"
#include "fs/tree/guest.h"
#include "fs/tree/tree.h"

/*
 * A user's requests are taken one after the other, users in turn, and no user has all threads: another's request waits
 * at the most for one of those that are at work to end.
 */
static const struct {
        unsigned threads, of_one_user;
        enum thread_nice nice;
        bool reads; /* disks, so that its threads may come to wait for a store's */
        bool sure; /* done, whoever interrupts it */
} lanes[] = {
        [LATER_LIST] = { 4, 1, THREAD_NICE_LONG, false, false },
        [LATER_TEXT] = { 4, 1, THREAD_NICE_LONG, false, false },
        [LATER_NAMES] = { 4, 1, THREAD_NICE_REQUESTS, false, false },
        [LATER_COMPARE] = { 4, 1, THREAD_NICE_LONG, true, false },
        [LATER_LOOK] = { 4, 1, THREAD_NICE_LONG, true, false },
        [LATER_TURNS] = { 2, 1, THREAD_NICE_LONG, true, true },
        [LATER_USERS] = { 4, 1, THREAD_NICE_LONG, false, false },
        [LATER_FIND] = { 4, 1, THREAD_NICE_LONG, false, false },
};

/*
 * A part of a lane's threads, for all stores other than the library's own together, which may not answer: as with gates (gate.h).
 * There a user's requests to one of those are taken apart from all else that is hers.
 */
#define ELSEWHERE 2

_Static_assert(sizeof(lanes) / sizeof(lanes[0]) == LATER_LANES, "each lane needs its threads");

struct waiting {
        STAILQ_ENTRY(waiting) link;
        fuse_req_t fuse;
        later_fn *fn;
        later_name_fn *name_fn; /* in its place, where the name in BYTES is asked for */
        later_write_fn *write_fn; /* likewise, where SIZE of them are written */
        fuse_ino_t ino;
        size_t size;
        off_t off;
        bool has_fi;
        struct fuse_file_info fi;
        struct watched what;
        struct resent resent;
        bool told; /* that it waits for long; its thread says the rest */
        char bytes[];
};

/* Who waits in a lane, or has something at work there. */
struct asker {
        TAILQ_ENTRY(asker) link;
        uid_t uid;
        uint64_t store; /* elsewhere, that it is read from; 0: none is */
        unsigned at_work;
        STAILQ_HEAD(, waiting) waiting;
};

struct helper {
        SLIST_ENTRY(helper) link; /* of those that have nothing to do */
        struct lane *lane;
        pthread_t thread;
        sem_t woken; /* not a condition: it takes no mutex before it has a processor */
};

struct lane {
        unsigned number;
        pthread_mutex_t mutex; /* of all below: no lane waits for another's threads, whose turn at the processor may be far */
        bool stopped; /* nothing comes any more … */
        bool left; /* … and what is there is another process' */
        TAILQ_HEAD(, asker) askers; /* whose turn is next is the first */
        SLIST_HEAD(, helper) idle;
        struct helper threads[4];
        unsigned n_threads;
        unsigned elsewhere; /* of those, how many are at a store elsewhere */
};

struct later {
        struct lane lanes[LATER_LANES];
};

/* ---- who is next; with the lane's mutex held ---- */

static struct asker *find_asker(struct lane *lane, uid_t uid, uint64_t store)
{
        struct asker *a;

        TAILQ_FOREACH(a, &lane->askers, link) {
                if (a->uid == uid && a->store == store)
                        return a;
        }
        a = calloc(1, sizeof(*a));
        if (!a)
                return NULL;
        a->uid = uid;
        a->store = store;
        STAILQ_INIT(&a->waiting);
        TAILQ_INSERT_TAIL(&lane->askers, a, link);
        return a;
}

static void drop_idle(struct lane *lane, struct asker *a)
{
        if (a->at_work > 0 || !STAILQ_EMPTY(&a->waiting))
                return;
        TAILQ_REMOVE(&lane->askers, a, link);
        free(a);
}

static struct waiting *take_next(struct lane *lane, struct asker **ret)
{
        struct waiting *w;
        struct asker *a;

        TAILQ_FOREACH(a, &lane->askers, link) {
                if (STAILQ_EMPTY(&a->waiting) || a->at_work == lanes[lane->number].of_one_user ||
                    (a->store && lane->elsewhere == lanes[lane->number].threads / ELSEWHERE))
                        continue;
                w = STAILQ_FIRST(&a->waiting);
                STAILQ_REMOVE_HEAD(&a->waiting, link);
                a->at_work++;
                lane->elsewhere += a->store != 0;
                TAILQ_REMOVE(&lane->askers, a, link);
                TAILQ_INSERT_TAIL(&lane->askers, a, link);
                *ret = a;
                return w;
        }
        return NULL;
}

/* Answers those who wait, or, unless FUSE is NULL, that one. */
static void answer_interrupted(struct lane *lane, fuse_req_t fuse)
{
        struct asker *next_asker;
        struct waiting *next;

        for (struct asker *a = TAILQ_FIRST(&lane->askers); a; a = next_asker) {
                next_asker = TAILQ_NEXT(a, link);
                for (struct waiting *w = STAILQ_FIRST(&a->waiting); w; w = next) {
                        next = STAILQ_NEXT(w, link);
                        if (fuse && w->fuse != fuse)
                                continue;
                        STAILQ_REMOVE(&a->waiting, w, waiting, link);
                        (void)fuse_reply_err(w->fuse, EINTR);
                        free(w);
                }
                drop_idle(lane, a);
        }
}

/* ---- threads ---- */

static void answer(struct waiting *w)
{
        struct fs *fs = fuse_req_userdata(w->fuse);

        watch_go_on(fs->watch, &w->what);
        resent_go_on(&w->resent);
        if (w->name_fn)
                w->name_fn(w->fuse, w->ino, w->bytes);
        else if (w->write_fn)
                w->write_fn(w->fuse, w->ino, w->bytes, w->size, w->off, &w->fi);
        else
                w->fn(w->fuse, w->ino, w->size, w->off, w->has_fi ? &w->fi : NULL);
        resent_go_on(&(struct resent){ 0 });
        watch_end(fs->watch);
        free(w);
}

/* Notes that what H did for *A is done, unless that is NULL; *RET: what it does next, NULL: it waits. False: it ends. */
static bool next(struct helper *h, struct asker **a, struct waiting **ret)
{
        struct lane *lane = h->lane;
        LOCK_SCOPE(&lane->mutex);

        if (*a) {
                (*a)->at_work--;
                lane->elsewhere -= (*a)->store != 0;
                drop_idle(lane, *a);
                *a = NULL;
        }
        *ret = lane->left ? NULL : take_next(lane, a);
        if (!*ret && !lane->stopped)
                SLIST_INSERT_HEAD(&lane->idle, h, link);
        return *ret || !lane->stopped;
}

/*
 * Whoever asks needs the mutex, so who has it goes with requests (thread.h). All else is done with the priority of the work,
 * waiting for it, too: a thread that waits with a higher one is woken with that, and what it then does with its own is
 * forgotten when it waits again. Readers of lists were seen to keep everybody else from a processor for 240 ms like that.
 */
static void *work(void *arg)
{
        struct helper *h = arg;
        struct waiting *w;
        struct asker *a = NULL;
        bool goes_on;
        int nice;

        thread_set_nice(lanes[h->lane->number].nice);
        for (;;) {
                nice = thread_hurry(THREAD_NICE_REQUESTS);
                goes_on = next(h, &a, &w);
                thread_calm(nice);
                if (!goes_on)
                        return NULL;
                if (w)
                        answer(w);
                else
                        while (sem_wait(&h->woken) != 0) /* a signal */
                                ;
        }
}

/* With the first request: a daemon that goes to the background has no thread before that. */
static int start_threads(struct lane *lane)
{
        while (lane->n_threads < lanes[lane->number].threads) {
                struct helper *h = &lane->threads[lane->n_threads];

                h->lane = lane;
                (void)sem_init(&h->woken, 0, 0); /* cannot fail with this */
                if (pthread_create(&h->thread, NULL, work, h) != 0)
                        return lane->n_threads > 0 ? 0 : -EAGAIN;
                lane->n_threads++;
        }
        return 0;
}

int later_new(struct later **ret)
{
        struct later *l = calloc(1, sizeof(*l));

        if (!l)
                return -ENOMEM;
        for (unsigned i = 0; i < LATER_LANES; i++) {
                l->lanes[i].number = i;
                (void)pthread_mutex_init(&l->lanes[i].mutex, NULL); /* cannot fail without attributes, as below */
                TAILQ_INIT(&l->lanes[i].askers);
                SLIST_INIT(&l->lanes[i].idle);
        }
        *ret = l;
        return 0;
}

static void stop(struct later *l, bool answer)
{
        for (unsigned i = 0; i < LATER_LANES; i++) {
                LOCK_SCOPE(&l->lanes[i].mutex);
                l->lanes[i].stopped = true;
                l->lanes[i].left = !answer;
                if (answer && !lanes[i].sure)
                        answer_interrupted(&l->lanes[i], NULL);
                for (unsigned t = 0; t < l->lanes[i].n_threads; t++)
                        (void)sem_post(&l->lanes[i].threads[t].woken);
        }
        for (unsigned i = 0; i < LATER_LANES; i++) {
                for (unsigned t = 0; t < l->lanes[i].n_threads; t++) {
                        (void)pthread_join(l->lanes[i].threads[t].thread, NULL);
                        (void)sem_destroy(&l->lanes[i].threads[t].woken);
                }
                l->lanes[i].n_threads = 0;
        }
}

void later_stop(struct later *l)
{
        if (l)
                stop(l, true);
}

void later_leave(struct later *l)
{
        stop(l, false);
}

void later_free(struct later *l)
{
        if (!l)
                return;
        for (unsigned i = 0; i < LATER_LANES; i++)
                (void)pthread_mutex_destroy(&l->lanes[i].mutex);
        free(l);
}

/* ---- stores that are known to hang ---- */

STAILQ_HEAD(refused, waiting);

/* The next store after LAST that somebody waits for; 0: there is none. */
static uint64_t next_store(struct later *l, uint64_t last)
{
        uint64_t next = 0;
        struct asker *a;

        for (unsigned i = 0; i < LATER_LANES; i++) {
                LOCK_SCOPE(&l->lanes[i].mutex);
                TAILQ_FOREACH(a, &l->lanes[i].askers, link)
                        if (a->store > last && !STAILQ_EMPTY(&a->waiting) && (next == 0 || a->store < next))
                                next = a->store;
        }
        return next;
}

static void take_waiting(struct later *l, uint64_t store, struct refused *ret)
{
        struct asker *a, *next;

        for (unsigned i = 0; i < LATER_LANES; i++) {
                LOCK_SCOPE(&l->lanes[i].mutex);
                for (a = TAILQ_FIRST(&l->lanes[i].askers); a; a = next) {
                        struct waiting *w;

                        next = TAILQ_NEXT(a, link);
                        while (a->store == store && (w = STAILQ_FIRST(&a->waiting))) {
                                STAILQ_REMOVE_HEAD(&a->waiting, link);
                                STAILQ_INSERT_TAIL(ret, w, link);
                        }
                        drop_idle(&l->lanes[i], a);
                }
        }
}

static const char *verb_of(const struct waiting *w)
{
        if (w->what.request == COUNT_flush)
                return "close";
        return w->name_fn ? "look up" : w->write_fn ? "write" : "read";
}

void later_refuse_hanging(struct fs *fs)
{
        struct refused out = STAILQ_HEAD_INITIALIZER(out);
        uint64_t store = 0;
        struct waiting *w;

        while ((store = next_store(fs->later, store))) {
                struct diag diag = { 0 };

                if (model_refuse_offline(fs->model, store, &diag) != -EIO)
                        continue;
                take_waiting(fs->later, store, &out);
                while ((w = STAILQ_FIRST(&out))) {
                        CLEANUP_REQ struct req rq;

                        STAILQ_REMOVE_HEAD(&out, link);
                        req_init(&rq, w->fuse);
                        rq.doing.verb = verb_of(w);
                        rq.diag = diag;
                        reply_refusal(&rq, node_of(w->ino), -EIO);
                        free(w);
                }
        }
}

/* ---- who waits too long ---- */

#define TOLD_AT_ONCE 16

/* Notes the first of those that nobody was told of; gives how many have become slow. */
static unsigned find_slow(struct later *l, int64_t since_us, struct watched *ret, unsigned *ret_found)
{
        unsigned slow = 0, found = 0;
        struct waiting *w;
        struct asker *a;

        for (unsigned i = 0; i < LATER_LANES; i++) {
                LOCK_SCOPE(&l->lanes[i].mutex);
                TAILQ_FOREACH(a, &l->lanes[i].askers, link) {
                        STAILQ_FOREACH(w, &a->waiting, link) {
                                if (!w->what.since_us || w->what.since_us >= since_us)
                                        continue;
                                slow++;
                                if (w->told || found == TOLD_AT_ONCE)
                                        continue;
                                w->told = true;
                                ret[found++] = w->what;
                        }
                }
        }
        *ret_found = found;
        return slow;
}

unsigned later_look(struct later *l, int64_t limit_us, watch_fn *fn, void *ctx)
{
        const int64_t now = watch_now_us();
        struct watched found[TOLD_AT_ONCE];
        unsigned slow, n;

        slow = find_slow(l, now - limit_us, found, &n);
        for (unsigned i = 0; i < n; i++)
                fn(ctx, &found[i], false, now - found[i].since_us);
        return slow;
}

/* ---- requests ---- */

/* libfuse may call it when the request has just been answered: see wait.c, which has the same rules. */
static void interrupt(fuse_req_t fuse, void *data)
{
        struct later *l = data;

        for (unsigned i = 0; i < LATER_LANES; i++) {
                LOCK_SCOPE(&l->lanes[i].mutex);
                answer_interrupted(&l->lanes[i], fuse);
        }
}

/* *RET: who is to be woken for it; NULL: nobody has nothing to do. */
static int enqueue(struct lane *lane, struct waiting *w, uint64_t store, struct helper **ret)
{
        struct asker *a;
        int r;
        LOCK_SCOPE(&lane->mutex);

        if (lane->stopped || (!lanes[lane->number].sure && fuse_req_interrupted(w->fuse)))
                return -EINTR;
        r = start_threads(lane);
        if (r < 0)
                return r;
        a = find_asker(lane, fuse_req_ctx(w->fuse)->uid, store);
        if (!a)
                return -ENOMEM;
        STAILQ_INSERT_TAIL(&a->waiting, w, link);
        *ret = SLIST_FIRST(&lane->idle);
        if (*ret)
                SLIST_REMOVE_HEAD(&lane->idle, link);
        return 0;
}

/* A child is a comparison, an entry a list, where it does not say otherwise. */
enum later_lane later_lane(struct node n)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        const struct entry *entry = tree_entry(n);

        if (guest_is_of(n) || (kind && kind->looks))
                return LATER_LOOK;
        if (n.kind == KIND_EVENTS_AFTER || (entry && (entry->flags & ENTRY_USERS)))
                return LATER_USERS;
        if (n.row == ROW_CHILD)
                return LATER_COMPARE;
        return entry && (entry->flags & ENTRY_LOOK) ? LATER_LOOK : LATER_LIST;
}

/* W is taken. */
static void wait_in(struct later *l, enum later_lane lane, struct waiting *w)
{
        const fuse_req_t fuse = w->fuse;
        struct fs *fs = fuse_req_userdata(fuse);
        struct helper *idle;
        uint64_t store;
        int r;

        store = lanes[lane].reads ? file_store_elsewhere(fs, fuse, node_of(w->ino)) : 0;
        watch_get(fs->watch, &w->what);
        w->what.thread = 0;
        w->resent = resent_get();
        if (!lanes[lane].sure)
                fuse_req_interrupt_func(fuse, interrupt, l);
        r = enqueue(&l->lanes[lane], w, store, &idle);
        if (r < 0) {
                free(w);
                (void)fuse_reply_err(fuse, -r);
        } else if (idle) {
                (void)sem_post(&idle->woken);
        }
}

bool later_in_turn(fuse_req_t fuse)
{
        struct fs *fs = fuse_req_userdata(fuse);

        if (!pace_is_over(&fs->pace, fuse_req_ctx(fuse)->uid, pace_now_ms()))
                return false;
        counts_add(&fs->counts, COUNT_IN_TURN, 1);
        return true;
}

void later_run(fuse_req_t fuse, enum later_lane lane, later_fn *fn, fuse_ino_t ino, size_t size, off_t off,
               const struct fuse_file_info *fi)
{
        struct fs *fs = fuse_req_userdata(fuse);
        struct waiting *w = malloc(sizeof(*w));

        if (!w) {
                (void)fuse_reply_err(fuse, ENOMEM);
                return;
        }
        *w = (struct waiting){ .fuse = fuse, .fn = fn, .ino = ino, .size = size, .off = off, .has_fi = fi };
        if (fi)
                w->fi = *fi;
        wait_in(fs->later, lane, w);
}

void later_run_name(fuse_req_t fuse, enum later_lane lane, later_name_fn *fn, fuse_ino_t parent, const char *name)
{
        struct fs *fs = fuse_req_userdata(fuse);
        const size_t n = strlen(name) + 1;
        struct waiting *w = malloc(sizeof(*w) + n);

        if (!w) {
                (void)fuse_reply_err(fuse, ENOMEM);
                return;
        }
        *w = (struct waiting){ .fuse = fuse, .name_fn = fn, .ino = parent };
        memcpy(w->bytes, name, n);
        wait_in(fs->later, lane, w);
}

void later_run_write(fuse_req_t fuse, enum later_lane lane, later_write_fn *fn, fuse_ino_t ino, const char *bytes, size_t size,
                     off_t off, const struct fuse_file_info *fi)
{
        struct fs *fs = fuse_req_userdata(fuse);
        struct waiting *w = malloc(sizeof(*w) + size);

        if (!w) {
                (void)fuse_reply_err(fuse, ENOMEM);
                return;
        }
        *w = (struct waiting){ .fuse = fuse, .write_fn = fn, .ino = ino, .size = size, .off = off, .has_fi = true, .fi = *fi };
        memcpy(w->bytes, bytes, size);
        wait_in(fs->later, lane, w);
}
