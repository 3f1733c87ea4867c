/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_DISKS_DISKS_H
#define BLOBSTORE_DISKS_DISKS_H

/* All writable disks of a store, for what composes a store: blobstore.c. */

#include "blobstore/disks/disk.h"

/* Their directory is DIR_FD, which it takes over in any case. */
int disks_open(struct blobstore *bs, int dir_fd);

/* Slots of so many bytes are what the disks keep beyond the process (kept.h). */
#define DISKS_KEPT_BYTES 4096

/*
 * Opens those that an earlier process had open and left unsynced changes of, without a user. The store is open, and its
 * KEPT was set before any disk was opened.
 */
int disks_adopt(struct blobstore *bs);

/* Nobody uses one any more. Lets go of those whose last sync found no room. Succeeds where they were not opened. */
void disks_close(struct blobstore *bs);

/* Reports each that is damaged. */
typedef void disks_problem_fn(void *ctx, const char *text);
int disks_check(struct blobstore *bs, disks_problem_fn *report, void *ctx);

#endif
