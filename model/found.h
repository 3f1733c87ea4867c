/* SPDX-License-Identifier: MIT */
#ifndef MODEL_FOUND_H
#define MODEL_FOUND_H

/*
 * What lies in the stores of a library that no daemon has open without any name: after a crash, or newer than a
 * catalogue that was put back. It stays for unnamed-days. Stores of other libraries are left out.
 */

#include <stdbool.h>

#include "model/core/diag.h"

typedef void found_fn(void *ctx, const char *line);

/* FN gets a line about each blob and each writable disk. Changes nothing. Gives their number. */
int model_found_list(const char *dir, found_fn *fn, void *ctx, struct diag *diag);

/*
 * Makes each such blob an image in the recycle bin of a region that uses the store, the first by name: found-<the
 * blob's id>, of whoever calls this. Gives how many; a blob that cannot be one is told of, and left as it is. REMAKE: the
 * indices of the blob stores are made again before.
 */
int model_found_name(const char *dir, bool remake, found_fn *fn, void *ctx, struct diag *diag);

#endif
