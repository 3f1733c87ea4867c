/* SPDX-License-Identifier: MIT */
#ifndef MODEL_HOME_H
#define MODEL_HOME_H

/* The directory of a library, and who has it open. Private to model/. */

#include "model/core/state.h"

/* Before anything else, so that home_close() can be called. */
void home_init(struct model *m);

/*
 * Opens the directory, made if it is missing and MAKE says so, and takes its lock: -EBUSY. -EUCLEAN: it is something
 * else's, or m->read_only and without a database. DIAG has a sentence for each.
 */
int home_open(struct model *m, const char *path, bool make, struct diag *diag);

/* Whoever waits for the library learns that it is being closed. */
void home_closing(struct model *m);
void home_close(struct model *m);

#endif
