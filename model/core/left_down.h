/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_LEFT_DOWN_H
#define MODEL_CORE_LEFT_DOWN_H

/*
 * Why the library is not served any more, from who gave it up: a sentence in a file of its directory, for whoever starts it
 * the next time and looks at info/health.
 */

#include "model/core/library.h"

/* Durably. STORE is the library's directory. */
int left_down_note(const char *store, const char *sentence);

/* For model.c and library.c: takes the file away, and has its sentence in health as long as the library is open. */
void left_down_recall(struct model *m);
void left_down_health(struct model *m, model_health_fn *fn, void *ctx);

#endif
