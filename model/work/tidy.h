/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_TIDY_H
#define MODEL_WORK_TIDY_H

/* Making stores smaller while nothing else is to be done. For the keeper (runner.c) alone. */

#include <stdbool.h>
#include <stdint.h>

struct model;

struct tidier {
        struct model *m;
        uint64_t quiet_us; /* after so long without work it begins; 0: never */
        int64_t due_us;    /* 0: there is nothing to do before there is work again */
};

/*
 * After each round of upkeep: WOKEN, by something that happened and not by the clock. Works on until there is something
 * to be done. Sets *garbage where there is space to be given back. Gives when to come again; 0: there is no need.
 */
int64_t tidy_run(struct tidier *t, bool woken, bool *garbage);

#endif
