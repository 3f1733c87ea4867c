/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_LIBRARY_H
#define MODEL_CORE_LIBRARY_H

/* The library as a whole. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;

/* When the library was made. */
int64_t model_born_us(struct model *m);

/* A secret of the library's for numbers that users see: the same each time, until its key is lost (secret.h). */
#define MODEL_NUMBER_KEY_SIZE 12
int model_number_key(struct model *m, uint8_t ret[MODEL_NUMBER_KEY_SIZE]);

/* Did a sync fail, so that nothing can be changed until the next start? */
bool model_is_degraded(struct model *m);

/* Is the catalogue on a server that cannot be reached? Then BUF has a sentence that says why. */
bool model_catalogue_trouble(struct model *m, char *buf, size_t size);

/* Calls FN with a sentence for each thing that needs a person, and none where all is well. */
typedef void model_health_fn(void *ctx, const char *sentence);
int model_health(struct model *m, model_health_fn *fn, void *ctx);

#endif
