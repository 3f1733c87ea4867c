/* SPDX-License-Identifier: MIT */

#include "fs/ops/split.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "fs/ops/process.h"
#include "fs/tree/tree.h"

/* The kernel comes back at once, however long it may be until its thread has the processor; one that was killed does not. */
#define SPLIT_SECONDS 60

/* Of those that stand in for what is removed: partings have theirs below. */
#define SPLIT_BURIED (UINT64_C(1) << 40)

/* A request that waits for the end of one. */
struct parked {
        fuse_req_t fuse; /* NULL: none does */
        fuse_ino_t parent;
        char *name;
        split_fn *fn;
};

enum split_state { SPLIT_FREE, SPLIT_AT_WORK, SPLIT_ENDED };

struct split {
        enum split_state state;
        enum split_kind kind;
        fuse_ino_t parent;
        uint64_t print, to_print;
        fuse_ino_t found; /* where it is renamed */
        pid_t pid;
        uint64_t call; /* the print of the thread's system call; 0: unknown, and so it counts as this one */
        uid_t uid;
        uint64_t buried; /* what is found in its place, where it is removed */
        struct split_result result; /* when it has ended */
        time_t end; /* likewise: when it is forgotten */
        struct parked parked; /* its thread has one request at a time */
};

struct splits {
        pthread_mutex_t mutex; /* of all below */
        struct split_slots *slots; /* of the same numbers; NULL: nothing outlives the process */
        _Atomic size_t n; /* that are not free; changed with the mutex held */
        time_t swept; /* when those whose second request will not come were last looked for */
        uint64_t buried; /* the number of the last */
        struct split items[SPLITS_MAX];
};

/* What this thread is at. */
static _Thread_local struct {
        struct req *rq; /* NULL: nothing, or nothing that may be split */
        struct split change; /* as far as it is known */
        struct split *split; /* NULL: the request has not been answered yet */
} now;

static time_t now_seconds(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
        return ts.tv_sec;
}

/* FNV-1a. Who makes two names of the same print meets nobody else's. */
static uint64_t print_of(const char *text)
{
        uint64_t print = UINT64_C(0xcbf29ce484222325);

        for (; *text; text++)
                print = (print ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
        return print;
}

static bool is_name_of(const struct split *i, fuse_ino_t parent, const char *name)
{
        const uint64_t print = print_of(name);

        return i->parent == parent && (i->print == print || (i->kind == SPLIT_RENAMED && i->to_print == print));
}

/* -ESRCH: the thread is gone. *RET: as in struct split. */
static int call_of(pid_t thread, uint64_t *ret)
{
        char call[256];
        int r;

        r = process_call(thread, call, sizeof(call));
        if (r == -ESRCH)
                return r;
        *ret = r < 0 ? 0 : print_of(call);
        return 0;
}

/* Is a thread that is there, and in that call, in the one of I? */
static bool is_call_of(const struct split *i, uint64_t call)
{
        return !call || !i->call || call == i->call;
}

/* ---- the array; all with the mutex held ---- */

static void note(struct splits *s, const struct split *i)
{
        struct split_slot *slot;

        if (!s->slots)
                return;
        slot = &s->slots->slot[i - s->items];
        slot->uid = i->uid;
        slot->pid = i->pid;
        slot->kind = i->kind;
        slot->parent = i->parent;
        slot->print = i->print;
        slot->to_print = i->to_print;
        slot->found = i->found;
        atomic_store(&slot->used, 1);
}

static void drop(struct splits *s, struct split *i)
{
        if (s->slots)
                atomic_store(&s->slots->slot[i - s->items].used, 0);
        *i = (struct split){ .state = SPLIT_FREE };
        s->n--;
}

static void drop_old(struct splits *s)
{
        const time_t seconds = s->n > 0 ? now_seconds() : 0;

        for (size_t k = 0; k < SPLITS_MAX && s->n > 0; k++)
                if (s->items[k].state == SPLIT_ENDED && s->items[k].end < seconds)
                        drop(s, &s->items[k]);
}

/* The one that a thread has; it has one at a time, and one that it left is as old as its last request. */
static struct split *find_of(struct splits *s, const struct fuse_ctx *who)
{
        for (size_t k = 0; k < SPLITS_MAX && s->n > 0; k++) {
                struct split *i = &s->items[k];

                if (i->state != SPLIT_FREE && i->pid == who->pid && i->uid == who->uid)
                        return i;
        }
        return NULL;
}

static struct split *find(struct splits *s, fuse_ino_t parent, const char *name, const struct fuse_ctx *who)
{
        struct split *i;

        drop_old(s);
        i = find_of(s, who);
        return i && is_name_of(i, parent, name) ? i : NULL;
}

/*
 * The one whose second request this is on the way to, or is. What its thread left behind when it went on to something else
 * is dropped. The mutex is given up meanwhile: to see what a thread is in may take a moment.
 */
static struct split *find_in_call(struct splits *s, fuse_ino_t parent, const char *name, const struct fuse_ctx *who)
{
        struct split *i = find(s, parent, name, who);
        uint64_t call = 0;

        if (!i || !i->call)
                return i;
        unlock(&s->mutex);
        (void)call_of(who->pid, &call); /* it is there: it asks */
        lock(&s->mutex);
        i = find(s, parent, name, who);
        if (!i || is_call_of(i, call))
                return i;
        if (i->state == SPLIT_ENDED)
                drop(s, i);
        return NULL;
}

/* Drops those whose threads are gone, or in another call. The mutex is given up meanwhile. */
static void drop_left(struct splits *s)
{
        const time_t seconds = now_seconds();

        if (s->swept == seconds)
                return;
        s->swept = seconds;
        for (size_t k = 0; k < SPLITS_MAX; k++) {
                struct split *i = &s->items[k];
                const struct split was = *i;
                uint64_t call = 0;
                bool is_left;

                if (was.state != SPLIT_ENDED)
                        continue;
                unlock(&s->mutex);
                is_left = call_of(was.pid, &call) < 0 || !is_call_of(&was, call);
                lock(&s->mutex);
                if (is_left && i->state == SPLIT_ENDED && i->pid == was.pid && i->buried == was.buried)
                        drop(s, i);
        }
}

/* NULL: there are too many. */
static struct split *find_free(struct splits *s, const struct fuse_ctx *who)
{
        unsigned of_user = 0, at_work = 0, at_work_of_user = 0;
        struct split *free_one = NULL, *old;

        drop_old(s);
        old = find_of(s, who);
        if (old && old->state == SPLIT_AT_WORK)
                return NULL;
        if (old)
                drop(s, old); /* a thread of that number was killed between its requests */
        for (size_t k = 0; k < SPLITS_MAX; k++) {
                struct split *i = &s->items[k];

                if (i->state == SPLIT_FREE) {
                        free_one = free_one ? free_one : i;
                        continue;
                }
                of_user += i->uid == who->uid;
                at_work += i->state == SPLIT_AT_WORK;
                at_work_of_user += i->state == SPLIT_AT_WORK && i->uid == who->uid;
        }
        if (of_user >= SPLITS_OF_A_USER || at_work >= SPLITS_AT_WORK || at_work_of_user >= SPLITS_AT_WORK_OF_A_USER)
                return NULL;
        return free_one;
}

static struct split *take_free(struct splits *s, const struct fuse_ctx *who)
{
        struct split *i = find_free(s, who);

        if (i)
                return i;
        drop_left(s);
        return find_free(s, who);
}

/* ---- ---- */

int splits_new(struct split_slots *slots, struct splits **ret)
{
        struct splits *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        (void)pthread_mutex_init(&s->mutex, NULL); /* cannot fail without attributes */
        s->slots = slots;
        for (size_t k = 0; slots && k < SPLITS_MAX; k++) {
                const struct split_slot *slot = &slots->slot[k];

                if (!atomic_load(&slot->used))
                        continue;
                s->items[k] = (struct split){
                        .state = SPLIT_ENDED, .kind = slot->kind, .parent = slot->parent, .print = slot->print,
                        .to_print = slot->to_print, .found = slot->found, .pid = slot->pid, .uid = slot->uid,
                        .buried = ++s->buried,
                        .result = { .inherited = true }, .end = now_seconds() + SPLIT_SECONDS,
                };
                s->n++;
        }
        *ret = s;
        return 0;
}

void splits_free(struct splits *s)
{
        if (!s)
                return;
        (void)pthread_mutex_destroy(&s->mutex);
        free(s);
}

void split_begin(struct req *rq, const struct split_change *change)
{
        const struct dir_kind *kind = tree_kind(node_of(change->parent).kind);
        const struct fuse_ctx *who = rq->fuse ? fuse_req_ctx(rq->fuse) : NULL;

        now.rq = NULL;
        now.split = NULL;
        if (!kind->crowded || rq->caller.admin || !who || !process_is_program(who->pid))
                return;
        now.rq = rq;
        now.change = (struct split){
                .state = SPLIT_AT_WORK, .kind = change->kind, .parent = change->parent, .print = print_of(change->name),
                .to_print = change->to ? print_of(change->to) : 0, .found = change->found, .pid = who->pid, .uid = who->uid,
        };
        (void)call_of(who->pid, &now.change.call); /* it is there: it asks */
}

void split_committed(void)
{
        struct req *rq = now.rq;
        struct splits *s;

        if (!rq || now.split)
                return;
        s = rq->fs->splits;
        {
                LOCK_SCOPE(&s->mutex);
                now.split = take_free(s, fuse_req_ctx(rq->fuse));
                if (!now.split) {
                        now.rq = NULL;
                        return;
                }
                *now.split = now.change;
                now.split->buried = ++s->buried;
                s->n++;
                note(s, now.split);
        }
        (void)fuse_lowlevel_notify_inval_inode(rq->fs->session, now.change.parent, -1, 0); /* -ENOENT: it has none */
        (void)fuse_reply_err(rq->fuse, ESTALE); /* fails only when nobody waits for the answer any more */
        rq->fuse = NULL;
}

bool split_end(struct req *rq, int r, uint64_t child)
{
        struct splits *s = rq->fs->splits;
        struct split *i = now.split;
        struct parked parked;

        now.rq = NULL;
        now.split = NULL;
        if (!i)
                return false;
        {
                LOCK_SCOPE(&s->mutex);
                i->state = SPLIT_ENDED;
                i->result = (struct split_result){ .r = r, .child = child };
                i->end = now_seconds() + SPLIT_SECONDS;
                parked = i->parked;
                i->parked = (struct parked){ 0 };
        }
        if (parked.fuse)
                parked.fn(parked.fuse, parked.parent, parked.name);
        free(parked.name);
        return true;
}

int split_find(struct splits *s, fuse_ino_t parent, const char *name, const struct fuse_ctx *who, struct node *ret)
{
        const struct split *i;
        LOCK_SCOPE(&s->mutex);

        i = s->n > 0 ? find_in_call(s, parent, name, who) : NULL;
        if (!i)
                return 0;
        if (i->kind == SPLIT_MADE || (i->kind == SPLIT_RENAMED && i->print != print_of(name)))
                return -ENOENT;
        if (i->kind == SPLIT_RENAMED)
                *ret = node_of(i->found);
        else
                *ret = (struct node){ .kind = KIND_BURIED, .oid = SPLIT_BURIED | i->buried };
        return 1;
}

/* With the mutex held. One that cannot be kept waits no longer. */
static bool park(struct split *i, fuse_req_t fuse, fuse_ino_t parent, const char *name, split_fn *fn)
{
        char *copy = i && i->state == SPLIT_AT_WORK && !i->parked.fuse ? strdup(name) : NULL;

        if (copy)
                i->parked = (struct parked){ .fuse = fuse, .parent = parent, .name = copy, .fn = fn };
        return copy;
}

bool split_awaits(struct splits *s, fuse_req_t fuse, fuse_ino_t parent, const char *name, split_fn *fn)
{
        struct split *i;
        LOCK_SCOPE(&s->mutex);

        i = find_of(s, fuse_req_ctx(fuse));
        if (!i || is_name_of(i, parent, name)) /* with the directory kept */
                return false;
        return park(i, fuse, parent, name, fn);
}

bool split_awaits_at(struct splits *s, fuse_req_t fuse, fuse_ino_t ino, split_fn *fn)
{
        if (s->n == 0)
                return false;
        LOCK_SCOPE(&s->mutex);
        return park(find_of(s, fuse_req_ctx(fuse)), fuse, ino, "", fn);
}

bool split_is_second(struct splits *s, fuse_req_t fuse, fuse_ino_t parent, const char *name, split_fn *fn)
{
        struct split *i;

        {
                LOCK_SCOPE(&s->mutex);
                i = s->n > 0 ? find_in_call(s, parent, name, fuse_req_ctx(fuse)) : NULL;
                if (!i)
                        return false;
                if (park(i, fuse, parent, name, fn))
                        return true;
        }
        fn(fuse, parent, name);
        return true;
}

bool split_take(struct splits *s, fuse_ino_t parent, const char *name, const struct fuse_ctx *who,
                struct split_result *ret)
{
        struct split *i;
        LOCK_SCOPE(&s->mutex);

        i = find(s, parent, name, who);
        if (!i || i->state != SPLIT_ENDED)
                return false;
        *ret = i->result;
        drop(s, i);
        return true;
}
