/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_LIBRARY_H
#define MODEL_CORE_LIBRARY_H

/* The library as a whole. */

#include <stdbool.h>
#include <stdint.h>

struct model;

/* When the library was made. */
int64_t model_born_us(struct model *m);

/* Did a sync fail, so that nothing can be changed until the next start? */
bool model_is_degraded(struct model *m);

#endif
