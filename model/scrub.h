/* SPDX-License-Identifier: MIT */
#ifndef MODEL_SCRUB_H
#define MODEL_SCRUB_H

/* Reading through all stores of a library that no daemon has open, as a daemon does in its own time (work/scrub.h). */

#include <stdbool.h>
#include <stdint.h>

#include "model/core/diag.h"

struct model_scrub_ops {
        /* DONE bytes of about TOTAL were read of the store at PATH, since this began. False: enough for now. */
        bool (*goes_on)(void *ctx, const char *path, uint64_t done, uint64_t total);
        void (*report)(void *ctx, const char *line); /* one per finding, naming what is concerned */
        void (*healed)(void *ctx, const char *line); /* what was found, and is whole again */
        void *ctx;
};

/*
 * Goes on where the last pass was left, or begins one. Gives the number of disks and stores that are known to be
 * damaged. -ECANCELED: not to its end; another one goes on there. Else with DIAG.
 */
int model_scrub(const char *dir, const struct model_scrub_ops *ops, struct diag *diag);

#endif
