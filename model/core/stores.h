/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STORES_H
#define MODEL_CORE_STORES_H

/* What model.c and region.c ask of the stores beside model_priv.h. */

#include "model/model_priv.h"

#define STORES_OWN_DIR "blobs" /* the library's own store, in its directory */

/* The library's own store, and when a blob last came to or went from any. */
int stores_own(struct model *m, uint64_t *ret, int64_t *ret_changed_us);

bool stores_are_degraded(struct stores *s);

/* The absolute path of the store with PATH in the database. -ENAMETOOLONG. */
int stores_path(struct model *m, const char *path, char *buf, size_t size);

#endif
