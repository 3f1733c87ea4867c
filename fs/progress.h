/* SPDX-License-Identifier: MIT */
#ifndef FS_PROGRESS_H
#define FS_PROGRESS_H

#include <stdint.h>

/*
 * How far long work of a command is, for whoever waits for it at a terminal; where standard error is none, nothing. A
 * model_progress_fn, without context.
 */
void progress_show(void *ctx, const char *what, uint64_t done, uint64_t total);
/* Before something else is said: what was shown of it goes from its line, and comes again with the next step. */
void progress_clear(void);

#endif
