/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_DISKS_DISK_BITMAP_PRIV_H
#define BLOBSTORE_DISKS_DISK_BITMAP_PRIV_H

/*
 * Which blocks of a disk were changed: a bit for each, in memory, and in a file behind data that must be durable first.
 * Bits are set and never cleared, so that a bit seen set can be relied upon without a lock. Any number of
 * threads may share a bitmap.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "blobstore/base/kept.h"

#define DISK_BITMAP_NAME_SIZE 16

struct disk_bitmap;

/* Bytes that the file of a bitmap has; as a hole it says that nothing was changed. */
uint64_t disk_bitmap_file_size(uint64_t blocks);

/* Takes FD over in any case. SEED is the disk's, so that another disk's bitmap does not pass. */
int disk_bitmap_open(int fd, uint64_t seed, struct disk_bitmap **ret);

/* Empty, and in memory alone. */
int disk_bitmap_new(struct disk_bitmap **ret);

/*
 * One that is empty gets a file, which is a hole: as if it had been opened with it. Takes FD over. Who sets bits or syncs does so
 * after this has returned.
 */
void disk_bitmap_attach(struct disk_bitmap *b, int fd, uint64_t seed);

/*
 * Has the bits of the disk of that NAME outlive the process in KEPT, which is borrowed until disk_bitmap_free(), and takes
 * over those that an earlier process left there. Call it before anything else. -EBADMSG: these are no pages of a disk.
 */
int disk_bitmap_keep(struct disk_bitmap *b, struct kept *kept, const uint8_t name[DISK_BITMAP_NAME_SIZE]);
/* The name of the disk in a slot of KEPT. */
const uint8_t *disk_bitmap_name_of(const void *slot);

void disk_bitmap_free(struct disk_bitmap *b); /* accepts NULL; what was not synced is lost */

/* Is FIRST set? And how many blocks from it on, MAX at most, have the same answer; at least one. -EBADMSG. */
int disk_bitmap_run(struct disk_bitmap *b, uint64_t first, uint64_t max, bool *ret_set, uint64_t *ret_n);

/* -ENOSPC: there is no room for their place in the file; -EBADMSG, -ENOMEM. Some of them may be set then. */
int disk_bitmap_set(struct disk_bitmap *b, uint64_t first, uint64_t n);

/* Is there something to sync? */
bool disk_bitmap_is_dirty(struct disk_bitmap *b);

/*
 * Makes DATA_FD durable, and then every bit that was set before the call. A sync of the file system that fails sets
 * *degraded; after other errors, as -ENOSPC, it can be called again. One call at a time.
 */
int disk_bitmap_sync(struct disk_bitmap *b, int data_fd, atomic_bool *degraded);

#endif
