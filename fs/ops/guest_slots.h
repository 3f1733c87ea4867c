/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_GUEST_SLOTS_H
#define FS_OPS_GUEST_SLOTS_H

/*
 * Which partition of which disk a slot stands for (tree/guest.h): as long as the kernel knows files of its by their numbers,
 * which is until it has said that it has forgotten them as often as it was told them. They stand among the handles of open files
 * (handles.h), so that the process that goes on with the session knows what the kernel goes on to ask for; one that died in
 * the middle of an answer may leave a slot that is never free again, and none that comes to mean something else.
 * Any thread may use it.
 */

#include "fs/tree/guest.h"

/* With what an earlier process left in FS's handles. */
int guest_slots_new(struct fs *fs, struct guest_slots **ret);
void guest_slots_free(struct guest_slots *gs); /* accepts NULL */

/* What struct fs has: false, N has no slot any more. */
bool guest_slots_find(struct fs *fs, struct node n, struct guest_at *ret);

/*
 * The slot of that partition, for KIND's files, counted as told to the kernel once: an answer that does not come there is to be
 * taken back. -EBUSY with a sentence: all are in use.
 */
int guest_slots_take(struct req *rq, enum node_kind kind, const struct guest_at *at, unsigned *ret);
/* The kernel is told of N once more; nothing, where N is none of a guest's. */
void guest_slots_told(struct fs *fs, struct node n);
/* The kernel has forgotten that it was told of N so often, or never came to know. */
void guest_slots_forgotten(struct fs *fs, struct node n, uint64_t times);

#endif
