/* SPDX-License-Identifier: MIT */
#ifndef FS_HOLD_H
#define FS_HOLD_H

/*
 * Ends the process when the library's lock is lost: on a file system of several hosts, because this one was given up and
 * another may serve the library by now.
 */

struct hold;
struct model;

/* Starts a thread. STORE, for the log, is borrowed until hold_stop(). */
int hold_start(const struct model *model, const char *store, struct hold **ret);
void hold_stop(struct hold *h); /* before the model is closed; accepts NULL */

#endif
