/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_CHECKSUM_H
#define MODEL_WORK_CHECKSUM_H

/* Checksums of blobs that have none. Private to model/. */

#include <stdint.h>

struct model;

enum checksum_size { CHECKSUM_QUICK, CHECKSUM_LONG, CHECKSUM_SIZES };

/* Which blobs have had their turn: of each size those up to this one. */
struct checksum_turns {
        uint64_t after[CHECKSUM_SIZES];
};

/*
 * Works out that of the next blob that has none; one that takes long waits for all others, and lets those that come
 * meanwhile go first. -ENOENT: there is none; -ECANCELED: the library is being closed.
 */
int checksum_next(struct model *m, struct checksum_turns *turns);

#endif
