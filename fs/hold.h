/* SPDX-License-Identifier: MIT */
#ifndef FS_HOLD_H
#define FS_HOLD_H

/*
 * Ends the process when the library's lock is lost, or that of a blob store: on a file system of several hosts, because this
 * one was given up and another may serve the library, or the region, by now.
 */

#include <stdbool.h>

struct hold;
struct model;

/* Starts two threads. STORE, for the log, is borrowed until hold_stop(). FOLLOWED: there can be a next process. */
int hold_start(struct model *model, const char *store, bool followed, struct hold **ret);
void hold_stop(struct hold *h); /* before the model is closed; accepts NULL */

#endif
