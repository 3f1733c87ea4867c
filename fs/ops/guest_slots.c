/* SPDX-License-Identifier: MIT */

#include "fs/ops/guest_slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "fs/ops/handles.h"

#define SLOTS   (1u << GUEST_SLOT_BITS)
#define BUCKETS 1024 /* a power of two */
#define NONE    UINT16_MAX

/*
 * A slot's handle has the partition as its `ino` and `uid`, the disk as `print`, and how often the kernel was told of files
 * in it as `size`. `ino` is of the file system's node 0, which no file has. By which name it is known stands in `request`, the
 * node of guest/, and in `gid`, the letter of the disk's.
 */
struct slot {
        uint64_t number; /* of the handle */
        struct handle *how; /* NULL: the slot is free */
        uint16_t next; /* in its bucket */
        TAILQ_ENTRY(slot) link;
        bool asked; /* the kernel was, to let go of it, and has been told of nothing in it since */
};
TAILQ_HEAD(slot_list, slot);
_Static_assert(SLOTS <= NONE, "a slot's number must fit");

struct guest_slots {
        struct fs *fs;
        unsigned kept;
        guest_slots_ask_fn *ask;
        pthread_t thread;
        pthread_mutex_t mutex; /* of all below, and of what is in the handles */
        pthread_cond_t crowded;
        bool runs, ending; /* the thread */
        struct slot_list fresh, asked; /* that were told of longest ago are the first */
        unsigned last; /* given: the next is looked for behind it, so that numbers are not used again soon */
        unsigned used, n_asked;
        uint16_t buckets[BUCKETS];
        struct slot slots[SLOTS];
};

static unsigned bucket_of(enum node_kind kind, uint64_t id, unsigned part)
{
        return (unsigned)((id << 2 ^ kind ^ (uint64_t)part << 5) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (BUCKETS - 1);
}

static enum node_kind kind_of(const struct slot *s)
{
        return node_of(s->how->ino).kind;
}

/* ---- with the mutex held ---- */

static void insert(struct guest_slots *gs, unsigned slot)
{
        struct slot *s = &gs->slots[slot];
        uint16_t *bucket = &gs->buckets[bucket_of(kind_of(s), s->how->print, s->how->uid)];

        s->next = *bucket;
        *bucket = (uint16_t)slot;
        s->asked = false;
        TAILQ_INSERT_TAIL(&gs->fresh, s, link);
        gs->used++;
}

static void unlist(struct guest_slots *gs, struct slot *s)
{
        TAILQ_REMOVE(s->asked ? &gs->asked : &gs->fresh, s, link);
        gs->n_asked -= s->asked;
}

static void release(struct guest_slots *gs, unsigned slot)
{
        struct slot *s = &gs->slots[slot];
        uint16_t *at = &gs->buckets[bucket_of(kind_of(s), s->how->print, s->how->uid)];

        while (*at != slot)
                at = &gs->slots[*at].next;
        *at = s->next;
        unlist(gs, s);
        (void)handles_remove(gs->fs->handles, s->number);
        s->how = NULL;
        gs->used--;
}

static uint16_t find(struct guest_slots *gs, enum node_kind kind, const struct guest_at *at)
{
        uint16_t i = gs->buckets[bucket_of(kind, at->id, at->number)];

        while (i != NONE && (kind_of(&gs->slots[i]) != kind || gs->slots[i].how->print != at->id ||
                             gs->slots[i].how->uid != at->number))
                i = gs->slots[i].next;
        return i;
}

/* ---- the thread ---- */

/* The next that the kernel is to be asked for. False: there will be few enough, when it has let go of those that it was. */
static bool next_to_ask(struct guest_slots *gs, fuse_ino_t *ret_parent, char name[16])
{
        struct slot *s = TAILQ_FIRST(&gs->fresh);

        if (gs->used - gs->n_asked <= gs->kept || !s)
                return false;
        TAILQ_REMOVE(&gs->fresh, s, link);
        TAILQ_INSERT_TAIL(&gs->asked, s, link);
        s->asked = true;
        gs->n_asked++;
        *ret_parent = s->how->request;
        if (s->how->uid)
                (void)snprintf(name, 16, "vd%c%u", (char)s->how->gid, s->how->uid);
        else
                (void)snprintf(name, 16, "vd%c", (char)s->how->gid);
        return true;
}

static void *run(void *arg)
{
        struct guest_slots *gs = arg;
        fuse_ino_t parent;
        char name[16];
        LOCK_SCOPE(&gs->mutex);

        thread_set_nice(THREAD_NICE_LONG);
        while (!gs->ending) {
                if (!next_to_ask(gs, &parent, name)) {
                        (void)pthread_cond_wait(&gs->crowded, &gs->mutex);
                        continue;
                }
                unlock(&gs->mutex);
                gs->ask(gs->fs, parent, name);
                lock(&gs->mutex);
        }
        return NULL;
}

/* ---- with the mutex held, again ---- */

static int begin(struct guest_slots *gs, struct node dir, const struct guest_at *at, char device, struct diag *diag,
                 uint16_t *ret)
{
        struct handle how = { .flags = O_RDONLY, .uid = at->number, .print = at->id, .request = node_ino(dir),
                              .gid = (unsigned char)device };
        unsigned slot = gs->last;
        int r;

        if (gs->used == SLOTS)
                return diag_set(diag, -EBUSY, "the files of %u disks are in use at a time: the kernel lets go of some when memory is "
                                "wanted, or of all that nobody has open by `echo 2 > /proc/sys/vm/drop_caches`", SLOTS);
        do
                slot = (slot + 1) % SLOTS;
        while (gs->slots[slot].how);
        how.ino = node_ino(guest_node((struct node){ .kind = dir.kind }, slot, 0, true));
        r = handles_add(gs->fs->handles, &how, NULL, &gs->slots[slot].number);
        if (r < 0)
                return r;
        gs->slots[slot].how = handles_how(gs->fs->handles, gs->slots[slot].number);
        gs->last = slot;
        insert(gs, slot);
        *ret = (uint16_t)slot;
        if (gs->used <= gs->kept)
                return 0;
        /* With the first: a daemon that goes to the background has no thread before that. Without it there are as many as there are. */
        if (!gs->runs)
                gs->runs = thread_start(&gs->thread, run, gs) == 0;
        (void)pthread_cond_signal(&gs->crowded);
        return 0;
}

/* The node's, if it is what its number was given for. */
static struct slot *get(struct guest_slots *gs, struct node n)
{
        struct slot *s = &gs->slots[guest_slot(n)];

        return guest_is_node(n) && s->how && kind_of(s) == n.kind ? s : NULL;
}

static void tell(struct guest_slots *gs, struct slot *s)
{
        s->how->size++;
        unlist(gs, s);
        s->asked = false;
        TAILQ_INSERT_TAIL(&gs->fresh, s, link);
}

/* ---- for all ---- */

void guest_slots_ask_kernel(struct fs *fs, fuse_ino_t parent, const char *name)
{
        (void)fuse_lowlevel_notify_inval_entry(fs->session, parent, name, strlen(name)); /* -ENOENT: it has */
}

/* A handles_fn. */
static void inherit(void *ctx, uint64_t number)
{
        struct guest_slots *gs = ctx;
        struct handle *how = handles_how(gs->fs->handles, number);
        struct slot *s;

        if (!how || !guest_is_node(node_of(how->ino)) || guest_number(node_of(how->ino)) != 0)
                return;
        s = &gs->slots[guest_slot(node_of(how->ino))];
        if (s->how)
                return;
        *s = (struct slot){ .number = number, .how = how };
        insert(gs, guest_slot(node_of(how->ino)));
}

int guest_slots_new(struct fs *fs, unsigned kept, guest_slots_ask_fn *ask, struct guest_slots **ret)
{
        struct guest_slots *gs = calloc(1, sizeof(*gs));

        if (!gs)
                return -ENOMEM;
        gs->fs = fs;
        gs->kept = kept;
        gs->ask = ask;
        (void)pthread_mutex_init(&gs->mutex, NULL); /* neither can fail without attributes */
        (void)pthread_cond_init(&gs->crowded, NULL);
        TAILQ_INIT(&gs->fresh);
        TAILQ_INIT(&gs->asked);
        for (unsigned i = 0; i < BUCKETS; i++)
                gs->buckets[i] = NONE;
        handles_each_inherited(fs->handles, inherit, gs);
        *ret = gs;
        return 0;
}

void guest_slots_stop(struct guest_slots *gs)
{
        if (!gs)
                return;
        {
                LOCK_SCOPE(&gs->mutex);
                gs->ending = true;
                (void)pthread_cond_signal(&gs->crowded);
        }
        if (gs->runs)
                (void)pthread_join(gs->thread, NULL);
        gs->runs = false;
}

void guest_slots_free(struct guest_slots *gs)
{
        if (!gs)
                return;
        (void)pthread_cond_destroy(&gs->crowded);
        (void)pthread_mutex_destroy(&gs->mutex);
        free(gs);
}

bool guest_slots_find(struct fs *fs, struct node n, struct guest_at *ret)
{
        struct guest_slots *gs = fs->guest_slots;
        const struct slot *s;
        LOCK_SCOPE(&gs->mutex);

        s = get(gs, n);
        if (s)
                *ret = (struct guest_at){ .snapshot = n.kind == KIND_SNAPSHOT_GUEST, .id = s->how->print,
                                          .number = s->how->uid };
        return s;
}

int guest_slots_take(struct req *rq, struct node dir, const struct guest_at *at, char device, unsigned *ret)
{
        struct guest_slots *gs = rq->fs->guest_slots;
        uint16_t slot;
        int r;
        LOCK_SCOPE(&gs->mutex);

        slot = find(gs, dir.kind, at);
        r = slot == NONE ? begin(gs, dir, at, device, &rq->diag, &slot) : 0;
        if (r < 0)
                return r;
        if (device) /* as it is known now */
                gs->slots[slot].how->request = node_ino(dir);
        tell(gs, &gs->slots[slot]);
        *ret = slot;
        return 0;
}

void guest_slots_told(struct fs *fs, struct node n)
{
        struct guest_slots *gs = fs->guest_slots;
        struct slot *s;

        if (!guest_is_node(n))
                return;
        LOCK_SCOPE(&gs->mutex);
        s = get(gs, n);
        if (s)
                tell(gs, s);
}

void guest_slots_forgotten(struct fs *fs, struct node n, uint64_t times)
{
        struct guest_slots *gs = fs->guest_slots;
        struct slot *s;

        if (!guest_is_node(n))
                return;
        LOCK_SCOPE(&gs->mutex);
        s = get(gs, n);
        if (!s)
                return;
        s->how->size -= times < s->how->size ? times : s->how->size;
        if (s->how->size == 0)
                release(gs, guest_slot(n));
}
