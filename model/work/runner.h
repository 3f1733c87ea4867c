/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_RUNNER_H
#define MODEL_WORK_RUNNER_H

/* The threads that run tasks. Private to model/. */

#include <stdint.h>

struct model;
struct runner;

/*
 * Takes up what ran when the library was closed. QUIET_US: after so long without work, stores are made smaller (tidy.h); 0:
 * never. The model's jobs are there before, and as long as the runner is.
 */
int runner_start(struct model *m, unsigned workers, uint64_t quiet_us, struct runner **ret);
/* What is being done goes on at the next start. Accepts NULL. */
void runner_stop(struct runner *r);

#endif
