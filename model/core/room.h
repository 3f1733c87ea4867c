/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_ROOM_H
#define MODEL_CORE_ROOM_H

/*
 * Space that is left free on a store's disk for what must work when it is full. Since others fill disks too, the
 * database has a reserve (db/reserve.h), and so has each store. Private to model/.
 */

#include <stdint.h>

#include "model/db/reserve.h"

struct blobstore;

/* Tasks leave less: what an upload brought that was let in may be in the store already, and need hardly any space. */
#define ROOM_LEFT_BY_UPLOADS RESERVE_LEAVES
#define ROOM_LEFT_BY_TASKS   (UINT64_C(4) << 20)

/* Can N bytes be written to the store's disk, and LEFT stay free? -ENOSPC. */
int room_check(struct blobstore *bs, uint64_t n, uint64_t left);

#endif
