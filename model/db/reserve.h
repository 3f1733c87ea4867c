/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_RESERVE_H
#define MODEL_DB_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Space that is kept for what must work on a full disk, recording how things ended and removing: a file beside the
 * database, which is given up when there is nothing else left, and made again when there is. Private to model/.
 */

/* It is made where so many bytes stay free, which others leave too: so it is not made and given up in turn. */
#define RESERVE_LEAVES (UINT64_C(8) << 20)

/* Are so many bytes left beside those? */
bool reserve_leaves(int dir_fd, uint64_t n);

/* Both do what they can; nobody is told of a failure. */
void reserve_give_up(int dir_fd);
void reserve_fill(int dir_fd);

/* Gives it up if there is hardly any space left for a transaction. */
void reserve_ease(int dir_fd);

#endif
