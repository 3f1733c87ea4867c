/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_KEPT_H
#define BLOBSTORE_BASE_KEPT_H

/*
 * Slots of one size in memory that outlives the process: a file without a place on any disk, which somebody else has open,
 * too. What a process had in its slots when it died the next one finds there. A crash of the machine takes it, as it takes
 * what was not synced.
 *
 * A slot is found by the next process once it was published, so that none is found half filled. Any number of threads may
 * share the slots; nothing in them is a lock, since who held it may be dead. There may be KEPT_SLOTS_MAX of them, which
 * take address space until they take memory.
 */

#include <stddef.h>
#include <stdint.h>

#define KEPT_SLOTS_MAX (UINT32_C(1) << 22)

struct kept;

/* Each slot begins with this; the rest of a new one is zeros. */
struct kept_slot {
        _Atomic uint32_t state; /* this file's */
        uint32_t number;
};

/* A file for slots, which the processes inherit: its descriptor. */
int kept_file(const char *name);

/* FD is borrowed. SLOT_BYTES is a multiple of 64, and always the same for one file. -EBADMSG: it was never that long. */
int kept_open(int fd, size_t slot_bytes, struct kept **ret);
void kept_close(struct kept *k); /* accepts NULL; what is in the slots stays */

/* -ENOMEM. The slot is the caller's, and is not found by another process before kept_publish(). */
int kept_take(struct kept *k, void **ret);
void kept_publish(struct kept *k, void *slot);
void kept_give(struct kept *k, void *slot);

/* By its number. Borrowed as long as it is not given back. NULL: nobody has it. */
void *kept_slot(struct kept *k, uint32_t number);

/* Calls FN for every slot that an earlier process had published, and that nobody has given back since. */
typedef int kept_fn(void *ctx, void *slot);
int kept_each_inherited(struct kept *k, kept_fn *fn, void *ctx);

#endif
