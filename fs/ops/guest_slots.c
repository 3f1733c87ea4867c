/* SPDX-License-Identifier: MIT */

#include "fs/ops/guest_slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "blobstore/base/lock.h"
#include "fs/ops/handles.h"

#define SLOTS   (1u << GUEST_SLOT_BITS)
#define BUCKETS 1024 /* a power of two */
#define NONE    UINT16_MAX

/*
 * A slot's handle has the partition as its `ino` and `uid`, the disk as `print`, and how often the kernel was told of files
 * in it as `size`. `ino` is of the file system's node 0, which no file has.
 */
struct slot {
        uint64_t number; /* of the handle */
        struct handle *how; /* NULL: the slot is free */
        uint16_t next; /* in its bucket */
};
_Static_assert(SLOTS <= NONE, "a slot's number must fit");

struct guest_slots {
        struct fs *fs;
        pthread_mutex_t mutex; /* of all below, and of what is in the handles */
        unsigned last; /* given: the next is looked for behind it, so that numbers are not used again soon */
        unsigned used;
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
        gs->used++;
}

static void release(struct guest_slots *gs, unsigned slot)
{
        struct slot *s = &gs->slots[slot];
        uint16_t *at = &gs->buckets[bucket_of(kind_of(s), s->how->print, s->how->uid)];

        while (*at != slot)
                at = &gs->slots[*at].next;
        *at = s->next;
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

static int begin(struct guest_slots *gs, enum node_kind kind, const struct guest_at *at, struct diag *diag,
                 uint16_t *ret)
{
        struct handle how = { .flags = O_RDONLY, .uid = at->number, .print = at->id };
        unsigned slot = gs->last;
        int r;

        if (gs->used == SLOTS)
                return diag_set(diag, -EBUSY, "the files of %u disks are in use at a time: the kernel lets go of some when memory is "
                                "wanted, or of all that nobody has open by `echo 2 > /proc/sys/vm/drop_caches`", SLOTS);
        do
                slot = (slot + 1) % SLOTS;
        while (gs->slots[slot].how);
        how.ino = node_ino(guest_node((struct node){ .kind = kind }, slot, 0, true));
        r = handles_add(gs->fs->handles, &how, NULL, &gs->slots[slot].number);
        if (r < 0)
                return r;
        gs->slots[slot].how = handles_how(gs->fs->handles, gs->slots[slot].number);
        gs->last = slot;
        insert(gs, slot);
        *ret = (uint16_t)slot;
        return 0;
}

/* The node's, if it is what its number was given for. */
static struct slot *get(struct guest_slots *gs, struct node n)
{
        struct slot *s = &gs->slots[guest_slot(n)];

        return guest_is_node(n) && s->how && kind_of(s) == n.kind ? s : NULL;
}

/* ---- for all ---- */

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

int guest_slots_new(struct fs *fs, struct guest_slots **ret)
{
        struct guest_slots *gs = calloc(1, sizeof(*gs));

        if (!gs)
                return -ENOMEM;
        gs->fs = fs;
        (void)pthread_mutex_init(&gs->mutex, NULL); /* cannot fail without attributes */
        for (unsigned i = 0; i < BUCKETS; i++)
                gs->buckets[i] = NONE;
        handles_each_inherited(fs->handles, inherit, gs);
        *ret = gs;
        return 0;
}

void guest_slots_free(struct guest_slots *gs)
{
        if (!gs)
                return;
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

int guest_slots_take(struct req *rq, enum node_kind kind, const struct guest_at *at, unsigned *ret)
{
        struct guest_slots *gs = rq->fs->guest_slots;
        uint16_t slot;
        int r;
        LOCK_SCOPE(&gs->mutex);

        slot = find(gs, kind, at);
        r = slot == NONE ? begin(gs, kind, at, &rq->diag, &slot) : 0;
        if (r < 0)
                return r;
        gs->slots[slot].how->size++;
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
                s->how->size++;
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
