/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_DAMAGE_H
#define MODEL_CORE_DAMAGE_H

/* What scrubbing found damaged (work/scrub.c), for people. */

#include <stdint.h>

#include "model/core/library.h"

/* A sentence for each store with damage, without names of anybody's objects: as info/health has it for all. */
int damage_health(struct model *m, model_health_fn *fn, void *ctx);

/* A line for each damaged disk of an image, snapshot, clone, and store, up to a hundred: for the administrator. */
int damage_each(struct model *m, model_health_fn *fn, void *ctx);

struct damage_stats {
        int64_t scrubbed_us; /* when the last pass ended; of several stores the oldest; 0: not all were scrubbed yet */
        uint64_t blobs;      /* that are damaged */
};
int damage_get_stats(struct model *m, struct damage_stats *ret);

#endif
