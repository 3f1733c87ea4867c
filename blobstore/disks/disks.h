/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_DISKS_DISKS_H
#define BLOBSTORE_DISKS_DISKS_H

/* All writable disks of a store, for what composes a store: blobstore.c. */

#include "blobstore/disks/disk.h"

/* Their directory is DIR_FD, which it takes over in any case. */
int disks_open(struct blobstore *bs, int dir_fd);

/* Nobody uses one any more. Lets go of those whose last sync found no room. Succeeds where they were not opened. */
void disks_close(struct blobstore *bs);

/* Reports each that is damaged. */
typedef void disks_problem_fn(void *ctx, const char *text);
int disks_check(struct blobstore *bs, disks_problem_fn *report, void *ctx);

#endif
