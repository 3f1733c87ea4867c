/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_GUEST_H
#define FS_TREE_GUEST_H

/*
 * guest/ and what is in it. A file of a guest's is known by its number in its file system, which takes 32 bits, and by the
 * disk and the partition that this is in: they have a slot as long as the kernel knows a file of theirs (ops/guest_slots.h).
 * The directory guest/ itself is of the image or snapshot.
 */

#include "fs/tree/req.h"
#include "fs/tree/node.h"
#include "model/image/guest.h"

#define GUEST_SLOT_BITS 15
_Static_assert(GUEST_SLOT_BITS + 32 + 1 == OID_BITS, "a slot, a number, and what says that it is these");

static inline bool guest_is_of(struct node n)
{
        return n.kind == KIND_IMAGE_GUEST || n.kind == KIND_SHARED_GUEST || n.kind == KIND_SNAPSHOT_GUEST;
}

/* Something in guest/, not that itself. */
static inline bool guest_is_node(struct node n)
{
        return guest_is_of(n) && (n.oid & 1);
}

static inline unsigned guest_slot(struct node n)
{
        return (unsigned)(n.oid >> 33);
}

static inline uint32_t guest_number(struct node n)
{
        return (uint32_t)(n.oid >> 1);
}

/* DIR is the directory that it is in. */
static inline struct node guest_node(struct node dir, unsigned slot, uint32_t number, bool is_dir)
{
        return (struct node){ .kind = dir.kind, .row = is_dir ? 0 : ROW_CHILD, .place = is_dir ? dir.place : 0,
                              .oid = (uint64_t)slot << 33 | (uint64_t)number << 1 | 1 };
}

#endif
