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
/*
 * So many blob stores hang, and who works on them with them: for each there are as many more for tasks, so that those of
 * other stores have their turn. Tasks of one that answers again have theirs. Not beside runner_stop().
 */
void runner_reinforce(struct runner *r, unsigned hanging);
/* What is being done goes on at the next start. Accepts NULL. */
void runner_stop(struct runner *r);

#endif
