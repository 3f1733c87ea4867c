/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_GUEST_SLOTS_H
#define FS_OPS_GUEST_SLOTS_H

/*
 * Which partition of which disk a slot stands for (tree/guest.h): as long as the kernel knows files of its by their numbers,
 * which is until it has said that it has forgotten them as often as it was told them. They stand among the handles of open files
 * (handles.h), so that the process that goes on with the session knows what the kernel goes on to ask for; one that died in
 * the middle of an answer may leave a slot that is never free again, and none that comes to mean something else.
 *
 * There are not as many slots as disks: when many are in use, a thread asks the kernel to let go of those that were asked for
 * longest ago, which it does where nobody has anything of them open. Any thread may use it.
 */

#include "fs/tree/guest.h"

/* Asks the kernel to let go of what has that name in guest/, the node PARENT. Not for threads that answer requests. */
typedef void guest_slots_ask_fn(struct fs *fs, fuse_ino_t parent, const char *name);
guest_slots_ask_fn guest_slots_ask_kernel;

/* So many slots are in use without anybody being asked. */
#define GUEST_SLOTS_KEPT (1u << (GUEST_SLOT_BITS - 1))

/* With what an earlier process left in FS's handles. */
int guest_slots_new(struct fs *fs, unsigned kept, guest_slots_ask_fn *ask, struct guest_slots **ret);
/* Ends its thread: before the session goes. Accepts NULL, as the next. */
void guest_slots_stop(struct guest_slots *gs);
void guest_slots_free(struct guest_slots *gs); /* stopped */

/* What struct fs has: false, N has no slot any more. */
bool guest_slots_find(struct fs *fs, struct node n, struct guest_at *ret);

/*
 * The slot of that partition, for the files of DIR's kind, counted as told to the kernel once: an answer that does not come there is to be
 * taken back. DIR is where the file is; where that is guest/, DEVICE is the letter of the disk's (vda: 'a'), else 0. -EBUSY with a
 * sentence: all are in use.
 */
int guest_slots_take(struct req *rq, struct node dir, const struct guest_at *at, char device, unsigned *ret);
/* The kernel is told of N once more; nothing, where N is none of a guest's. */
void guest_slots_told(struct fs *fs, struct node n);
/* The kernel has forgotten that it was told of N so often, or never came to know. */
void guest_slots_forgotten(struct fs *fs, struct node n, uint64_t times);

#endif
