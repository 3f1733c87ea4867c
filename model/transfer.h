/* SPDX-License-Identifier: MIT */
#ifndef MODEL_TRANSFER_H
#define MODEL_TRANSFER_H

/* The catalogue of a library that nobody serves, from its file to a server of PostgreSQL, and back. */

#include "model/restore.h"

#define TRANSFER_TO_FILE "sqlite"

/*
 * Makes the catalogue anew at the address TO, or in a file again, with all that is in the one there is, and has the library
 * use it. The old one stays, under a name of its own, or on its server: FN gets lines of what was done. -EBUSY: the library is
 * open; -EINVAL: that is where it is, or no address; -EEXIST: there is one at TO.
 */
int model_transfer(const char *dir, const char *to, restore_fn *fn, void *ctx, struct diag *diag);

#endif
