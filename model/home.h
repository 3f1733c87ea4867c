/* SPDX-License-Identifier: MIT */
#ifndef MODEL_HOME_H
#define MODEL_HOME_H

/* The directory of a library, and who has it open. Private to model/. */

#include "model/core/state.h"

/* Before anything else, so that home_close() can be called. */
void home_init(struct model *m);

enum home_purpose {
        HOME_USE, /* of what is a library */
        HOME_MAKE, /* of what is none yet; the directory is made if it is missing, and goes again where nothing was put in it */
        HOME_RESTORE, /* of one that has lost its database, too */
};

/*
 * Opens the directory and takes its lock: -EBUSY. -ENOENT, -EUCLEAN: it is no library; -EEXIST: it is one, and was to be
 * made. DIAG has a sentence for each.
 */
int home_open(struct model *m, const char *path, enum home_purpose purpose, struct diag *diag);

/*
 * Takes the lock that is held once more, which asks who keeps it: a server, where the library lies on a file system of
 * several hosts. 0, or why it is ours no more.
 */
int home_hold(const struct model *m);

#define HOME_HERE_MAX 128
/* A name of the place that is locked, the same only as long as the system runs; "": it has none. */
void home_here(const struct model *m, char *buf, size_t size);

/* Whoever waits for the library learns that it is being closed. */
void home_closing(struct model *m);
void home_close(struct model *m);

#endif
