/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_TURNS_H
#define MODEL_CORE_TURNS_H

/* Whose turn it is: when work of a user's was last taken, in each lane, since the library was opened. Private to model/. */

#include <stdint.h>
#include <sys/types.h>

struct turns;

int turns_new(struct turns **ret);
void turns_free(struct turns *ts); /* accepts NULL */

/* A number that goes up; 0: she had none. */
uint64_t turns_last(struct turns *ts, unsigned lane, uid_t uid);
void turns_take(struct turns *ts, unsigned lane, uid_t uid);

#endif
