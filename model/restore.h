/* SPDX-License-Identifier: MIT */
#ifndef MODEL_RESTORE_H
#define MODEL_RESTORE_H

/* Putting back the catalogue of a library that no daemon has open, from the copies in its blob stores. */

#include "model/core/diag.h"

typedef void restore_fn(void *ctx, const char *line);

/*
 * Brings back the newest copy that is whole and this library's, of those in the library's own store and, where the
 * catalogue can still be read, in the others that it names. What was there is kept beside. FN gets lines about what was
 * done. 1: it is of an earlier version, and the next mount brings it up to date. -EBUSY: the library is open; -ENOENT:
 * there is no such copy.
 */
int model_restore(const char *dir, restore_fn *fn, void *ctx, struct diag *diag);

#endif
