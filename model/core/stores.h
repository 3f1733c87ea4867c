/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STORES_H
#define MODEL_CORE_STORES_H

/* The blob stores of the library, opened at start or when a region gets one. Private to model/. */

#include "blobstore/blobstore.h"
#include "model/core/state.h"

int stores_open(struct model *m, uint64_t cache_bytes, struct diag *diag, struct stores **ret);
void stores_close(struct stores *s); /* accepts NULL */
/* Borrowed until model_close(). -ENOENT. */
int stores_get(struct model *m, uint64_t store, struct blobstore **ret);
typedef int stores_fn(void *ctx, uint64_t id, struct blobstore *bs);
int stores_each(struct model *m, stores_fn *fn, void *ctx);
/*
 * Does the store belong to this library? Else it holds what the catalogue cannot know: nothing in it is removed for not
 * being named.
 */
bool stores_are_ours(struct model *m, uint64_t store);
/* Where it lies, absolute. -ENOENT, -ENAMETOOLONG. */
int stores_get_path(struct model *m, uint64_t store, char *buf, size_t size);
/* The one at PATH that is open. -ENOENT. */
int stores_find(struct model *m, const char *path, struct diag *diag, uint64_t *ret);
/*
 * Opens (or creates) the store at PATH and gives its id, making the row if it is new. Called without a transaction. One
 * that belongs to another library is taken over with ADOPT, and else refused: -EBUSY.
 */
int stores_add(struct model *m, const char *path, bool adopt, struct diag *diag, uint64_t *ret);

#define STORES_OWN_DIR "blobs" /* the library's own store, in its directory */

/* The library's own store, and when a blob last came to or went from any. */
int stores_own(struct model *m, uint64_t *ret, int64_t *ret_changed_us);

bool stores_are_degraded(struct stores *s);

/* The absolute path of the store with PATH in the database. -ENAMETOOLONG. */
int stores_path(struct model *m, const char *path, char *buf, size_t size);

#endif
