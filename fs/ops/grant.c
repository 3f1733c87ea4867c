/* SPDX-License-Identifier: MIT */

#include "fs/ops/grant.h"

#include <string.h>

#include "blobstore/base/kept.h"
#include "blobstore/base/lock.h"
#include "fs/ops/permit.h"

/* In memory that outlives the process. */
struct grant_slot {
        struct kept_slot slot;
        uint64_t instance, file;
        uint32_t owner, uid;
        uint8_t rest[32];
};
_Static_assert(sizeof(struct grant_slot) == 64, "as the file of slots was made");

struct grant {
        uint64_t instance;
        uint64_t file; /* inode number */
        uid_t owner; /* as it was */
        uid_t uid; /* who may open it */
        struct grant_slot *slot; /* NULL: it goes with the process */
};

struct grants {
        pthread_mutex_t mutex; /* of all below */
        struct grant *items; /* in order of machine and file */
        size_t n, size;
        struct kept *kept; /* NULL: there is no next process; set before there are any */
};

int grants_new(struct grants **ret)
{
        struct grants *g = calloc(1, sizeof(*g));

        if (!g)
                return -ENOMEM;
        (void)pthread_mutex_init(&g->mutex, NULL); /* cannot fail without attributes */
        *ret = g;
        return 0;
}

void grants_free(struct grants *g)
{
        if (!g)
                return;
        free(g->items);
        kept_close(g->kept);
        (void)pthread_mutex_destroy(&g->mutex);
        free(g);
}

/* ---- the list; all with the mutex held ---- */

/* Of the first that is not before it. */
static size_t grants_place(const struct grants *g, uint64_t instance, uint64_t file)
{
        size_t from = 0, to = g->n;

        while (from < to) {
                const size_t mid = from + (to - from) / 2;
                const struct grant *i = &g->items[mid];

                if (i->instance < instance || (i->instance == instance && i->file < file))
                        from = mid + 1;
                else
                        to = mid;
        }
        return from;
}

static bool grants_has(const struct grants *g, size_t at, uint64_t instance, uint64_t file)
{
        return at < g->n && g->items[at].instance == instance && g->items[at].file == file;
}

static void grants_remove(struct grants *g, uint64_t instance, uint64_t file)
{
        const size_t at = grants_place(g, instance, file);

        if (!grants_has(g, at, instance, file))
                return;
        if (g->items[at].slot)
                kept_give(g->kept, g->items[at].slot);
        g->n--;
        memmove(&g->items[at], &g->items[at + 1], (g->n - at) * sizeof(*g->items));
}

static int grants_put(struct grants *g, const struct grant *new)
{
        const size_t at = grants_place(g, new->instance, new->file);

        if (!grants_has(g, at, new->instance, new->file)) {
                if (g->n == g->size) {
                        const size_t size = g->size ? g->size * 2 : 16;
                        struct grant *items = reallocarray(g->items, size, sizeof(*items));

                        if (!items)
                                return -ENOMEM;
                        g->items = items;
                        g->size = size;
                }
                memmove(&g->items[at + 1], &g->items[at], (g->n - at) * sizeof(*g->items));
                g->n++;
        } else if (g->items[at].slot) {
                kept_give(g->kept, g->items[at].slot);
        }
        g->items[at] = *new;
        return 0;
}

/* In the order in which a death does no harm: it was not answered yet. */
static int grants_put_lasting(struct grants *g, struct grant *new)
{
        void *taken;
        int r;

        r = g->kept ? kept_take(g->kept, &taken) : 0;
        if (r < 0)
                return r;
        if (g->kept) {
                new->slot = taken;
                new->slot->instance = new->instance;
                new->slot->file = new->file;
                new->slot->owner = new->owner;
                new->slot->uid = new->uid;
        }
        r = grants_put(g, new);
        if (new->slot) {
                if (r == 0)
                        kept_publish(g->kept, taken);
                else
                        kept_give(g->kept, taken);
        }
        return r;
}

/* A kept_fn. */
static int take_up(void *ctx, void *bytes)
{
        struct grant_slot *slot = bytes;
        const struct grant was = { .instance = slot->instance, .file = slot->file, .owner = slot->owner, .uid = slot->uid, .slot = slot };

        return grants_put(ctx, &was);
}

int grants_last(struct grants *g, int fd)
{
        int r;
        LOCK_SCOPE(&g->mutex);

        r = kept_open(fd, sizeof(struct grant_slot), &g->kept);
        return r < 0 ? r : kept_each_inherited(g->kept, take_up, g);
}

/* ---- ---- */

/* A copy of the first from FILE of INSTANCE on, of that machine or a later one. */
static bool grants_next(struct grants *g, uint64_t instance, uint64_t file, struct grant *ret)
{
        size_t at;
        LOCK_SCOPE(&g->mutex);

        at = grants_place(g, instance, file);
        if (at == g->n)
                return false;
        *ret = g->items[at];
        return true;
}

bool grant_is_of(struct node n)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        const struct entry *entry = tree_entry(n);

        if (entry)
                return entry->flags & (ENTRY_DISK | ENTRY_SEED);
        return n.row == ROW_CHILD && kind && kind->of_machine && kind->blob;
}

/* The machine that the file is of, 0: none, and whose it is. -ESTALE. */
static int grant_find_machine(struct req *rq, struct node n, uint64_t *ret_instance, uid_t *ret_owner)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        const struct entry *entry = tree_entry(n);
        const struct volume *v;
        struct blob_file file;
        struct object o;
        int r;

        if (entry && (entry->flags & ENTRY_DISK)) {
                r = req_volume(rq, n.oid, &v);
                if (r < 0)
                        return r == -ENOENT ? -ESTALE : r;
                *ret_instance = v->instance;
                *ret_owner = v->o.uid;
                return 0;
        }
        r = entry ? kind->object(rq, n.oid, &o) : kind->child_object(rq, n.oid, &o);
        if (r == 0 && !entry) /* a CD: in the drive? */
                r = kind->blob->info(rq, n.oid, &file);
        if (r < 0)
                return r == -ENOENT ? -ESTALE : r;
        *ret_instance = o.id;
        *ret_owner = o.uid;
        return 0;
}

/* Does it hold still? One that does not is dropped. */
static bool grant_holds(struct req *rq, const struct grant *i)
{
        struct grants *g = rq->fs->grants;
        uint64_t instance;
        uid_t owner;
        int r;

        r = grant_find_machine(rq, node_of(i->file), &instance, &owner);
        if (r == 0 && instance == i->instance && owner == i->owner)
                return true;
        if (r < 0 && r != -ESTALE)
                return false; /* it cannot be told now */
        LOCK_SCOPE(&g->mutex);
        grants_remove(g, i->instance, i->file);
        return false;
}

void grants_changed(struct fs *fs, uint64_t instance)
{
        CLEANUP_REQ struct req rq = { .fs = fs };
        struct grant i;

        for (i = (struct grant){ .instance = instance }; grants_next(fs->grants, i.instance, i.file, &i); i.file++) {
                if (instance && i.instance != instance)
                        break;
                (void)grant_holds(&rq, &i);
        }
}

int grant_chown(struct req *rq, struct node n, uid_t uid)
{
        struct grants *g = rq->fs->grants;
        struct grant new = { .file = node_ino(n), .uid = uid };
        int r;

        r = grant_find_machine(rq, n, &new.instance, &new.owner);
        if (r < 0)
                return r;
        if (!rq->caller.admin && rq->caller.uid != new.owner)
                return diag_set(&rq->diag, -EPERM, "only its owner and the administrator let another user open a disk");
        if (!new.instance)
                return diag_set(&rq->diag, -EPERM, "a disk is given to the user of the machine that it is attached to, and "
                                                   "this is attached to none");
        if (uid != new.owner && uid != 0 && uid != rq->fs->uid) {
                LOCK_SCOPE(&g->mutex);
                return grants_put_lasting(g, &new);
        }
        LOCK_SCOPE(&g->mutex);
        grants_remove(g, new.instance, new.file);
        return 0;
}

/* Who may open the file besides. */
static bool grant_find(struct req *rq, struct node n, uid_t *ret_uid)
{
        uint64_t instance;
        struct grant i;
        uid_t owner;

        if (!grant_is_of(n) || !grants_next(rq->fs->grants, 0, 0, &i) || grant_find_machine(rq, n, &instance, &owner) < 0)
                return false;
        if (!grants_next(rq->fs->grants, instance, node_ino(n), &i) || i.instance != instance || i.file != node_ino(n))
                return false;
        if (!grant_holds(rq, &i))
                return false;
        *ret_uid = i.uid;
        return true;
}

/* What it gives: to read, and to write what can be written at all. */
static mode_t grant_bits(struct node n)
{
        const struct entry *entry = tree_entry(n);

        return entry ? entry->mode & 0600 : 0400;
}

bool grant_allows(struct req *rq, struct node n, mode_t rwx)
{
        uid_t uid;

        return !(rwx & ~(grant_bits(n) >> 6)) && grant_find(rq, n, &uid) && uid == rq->caller.uid;
}

static bool grant_leads_to(const struct dir_kind *kind, struct node n)
{
        return n.row == 0 && kind && kind->of_machine;
}

int grant_enter(struct req *rq, struct node dir, const struct node *found)
{
        const struct dir_kind *kind = tree_kind(dir.kind);
        struct object o;
        int r;

        if (!grant_leads_to(kind, dir) || rq->caller.admin || (found && grant_allows(rq, *found, 0)))
                return 0;
        r = kind->object(rq, dir.oid, &o);
        if (r < 0)
                return r == -ENOENT ? -ESTALE : r;
        return object_allows(&o, &rq->caller, PERMIT_SEARCH) ? 0 : -EACCES;
}

void grant_show(struct req *rq, struct node n, struct object *o)
{
        const mode_t bits = grant_bits(n);
        struct grant i;
        uid_t uid;

        if (grant_leads_to(tree_kind(n.kind), n)) {
                for (uint64_t file = 0; grants_next(rq->fs->grants, n.oid, file, &i); file = i.file + 1) {
                        if (i.instance != n.oid)
                                return;
                        if (grant_holds(rq, &i)) {
                                o->mode |= 0111;
                                return;
                        }
                }
        } else if (grant_find(rq, n, &uid)) {
                o->mode = bits | (o->mode & 0077);
                if (o->uid != 0) /* now one of the others, to the kernel */
                        o->mode |= bits >> 3 | bits >> 6;
                o->uid = uid;
        }
}
