/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_REPEATS_H
#define FS_OPS_REPEATS_H

/*
 * Keeps the log from being filled by who tries again: what was said there a moment ago is counted, and said with its number
 * when it comes up later. Any thread may use it.
 */

#include <stdbool.h>
#include <stdint.h>

/* In which a sentence is said once. */
#define REPEATS_SECONDS 60

struct repeats;

int repeats_new(struct repeats **ret);
void repeats_free(struct repeats *r); /* accepts NULL */

/* Is TEXT to be said, at NOW_US of a clock that only goes forwards? *ret_before: so often it was not, since it was last. */
bool repeats_may_say(struct repeats *r, const char *text, int64_t now_us, uint64_t *ret_before);

#endif
