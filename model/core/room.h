/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_ROOM_H
#define MODEL_CORE_ROOM_H

/*
 * Space that is kept for what must work on a full disk: recording how things ended, and removing. Uploads and tasks
 * leave some of it free; and since others fill disks too, a file beside the database holds some more, which is given up
 * when there is nothing else left, and made again when there is. (The stores keep a reserve of their own.) Private to
 * model/.
 */

#include <stdint.h>

struct blobstore;

/* Tasks leave less: what an upload brought that was let in may be in the store already, and need hardly any space. */
#define ROOM_LEFT_BY_UPLOADS (UINT64_C(8) << 20)
#define ROOM_LEFT_BY_TASKS   (UINT64_C(4) << 20)

/* Can N bytes be written to the store's disk, and LEFT stay free? -ENOSPC. */
int room_check(struct blobstore *bs, uint64_t n, uint64_t left);

/* Both do what they can; nobody is told of a failure. */
void room_give_up_reserve(int dir_fd);
void room_fill_reserve(int dir_fd);

/* Gives up the reserve if there is hardly any space left for a transaction. */
void room_ease(int dir_fd);

#endif
