/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STORE_HANG_H
#define MODEL_CORE_STORE_HANG_H

/*
 * Finds the blob stores that do not answer: a network mount whose server is gone has whoever asks it wait, for ever and
 * without an error. The library's own is not among them, whose disk the catalogue is on. Private to model/.
 */

#include <stdbool.h>
#include <stdint.h>

struct model;

struct store_hang;
int store_hang_new(struct store_hang **ret);
void store_hang_free(struct store_hang *h); /* accepts NULL */

/*
 * Looks which threads of this process have been waiting for a store's disk for more than LIMIT_US, and has stores_judge()
 * know; for one thread alone. Gives how many stores hang, *RET_CHANGED: they are others than at the last look.
 */
int store_hang_look(struct store_hang *h, struct model *m, int64_t limit_us, bool *ret_changed);

#endif
