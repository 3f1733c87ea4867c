/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CHECK_H
#define MODEL_CHECK_H

/*
 * Holds a library that no daemon has open against itself: database, states, quotas counted again, every blob named
 * and every name's blob there, maps and chunks in place, nothing unowned. Changes nothing.
 */

#include <stdbool.h>

#include "model/model.h"

/* Called with one line per finding, naming the image concerned where there is one. */
typedef void check_fn(void *ctx, const char *text);

/*
 * Gives the number of findings; a negative errno (and DIAG) where the library cannot be opened at all. PROGRESS, of the
 * chunks of each blob store, may be NULL; it has no context.
 */
int model_check(const char *dir, bool read_data, model_progress_fn *progress, check_fn *report, void *ctx,
                struct diag *diag);

#endif
