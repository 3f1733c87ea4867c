/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STORES_H
#define MODEL_CORE_STORES_H

/* The blob stores of the library, opened at start or when a region gets one. Private to model/. */

#include "blobstore/blobstore.h"
#include "model/core/state.h"
#include "model/core/store_path.h"

/* Sets m->stores, which stores_close() frees on failure, too. Stores that cannot be opened are no failure. */
int stores_open(struct model *m, const struct blobstore_caches *caches, struct kept *kept, struct diag *diag);
/* What waits for a bucket waits no more, and fails: before what is at work is joined. */
void stores_stop(struct model *m);
void stores_close(struct stores *s); /* accepts NULL */

/*
 * Borrowed until model_close(). -ENOENT; -EIO, with a sentence: it is offline, or does not answer, so that bytes cannot be
 * reached; whether it answers is waited for, but where store_ask_never() was called. No transaction may be open.
 */
int stores_get(struct model *m, uint64_t store, struct diag *diag, struct blobstore **ret);
/* Refuses the same way, for what will need the store later, where it is offline. DB_READ will do. */
int stores_refuse_offline(struct model *m, struct db_txn *t, uint64_t store, struct diag *diag);
bool stores_is_offline(struct model *m, uint64_t store);

/* Of those that are online. */
typedef int stores_fn(void *ctx, uint64_t id, struct blobstore *bs);
int stores_each(struct model *m, stores_fn *fn, void *ctx);
size_t stores_count(struct model *m);
/* Of those that are offline and missed, or hang: what is wrong, and where it was to be; NULL: it is there, and hangs. */
typedef int stores_offline_fn(void *ctx, const char *sentence, const char *path);
int stores_each_offline(struct model *m, stores_offline_fn *fn, void *ctx);

/* A negative errno: the lock of one of those is lost, the path of which is put into BUF. */
int stores_hold(struct model *m, char *buf, size_t size);

/* 0: it is none of the library's. */
uint64_t stores_id(struct model *m, const struct blobstore *bs);
/* That of the object's region; 0: it is gone, or in none. */
uint64_t stores_of_object(struct model *m, enum object_kind kind, uint64_t id);
/* Is it another than the library's own? Gives how many are, in any case. */
bool stores_are_elsewhere(struct model *m, uint64_t store, unsigned *ret);
/* Is what belongs to it and is not sealed in the library's directory: is it the library's own, or in a bucket? */
bool stores_are_with_library(struct model *m, uint64_t store);
/* All on disks of their own: where it lies, and the sentence for when that does not answer. */
typedef int stores_elsewhere_fn(void *ctx, const char *path, const char *sentence);
int stores_each_elsewhere(struct model *m, stores_elsewhere_fn *fn, void *ctx);
/* The store that the file at PATH lies in, where it is not the library's own; 0: in none. */
uint64_t stores_of_file(struct model *m, const char *path);
/* Notes which of those do not answer. Gives how many; *RET_CHANGED: they are others than before. */
typedef bool stores_hang_fn(void *ctx, uint64_t id);
int stores_judge(struct model *m, stores_hang_fn *fn, void *ctx, bool *ret_changed);

/*
 * Does the store belong to this library? Else it holds what the catalogue cannot know: nothing in it is removed for not
 * being named.
 */
bool stores_are_ours(struct model *m, uint64_t store);
/* Where it lies, absolute. -ENOENT, -ENAMETOOLONG. */
int stores_get_path(struct model *m, uint64_t store, char *buf, size_t size);
/*
 * PATH is another way to the same part of a bucket, with another endpoint or profile, say: it is the store's from now on. 0: it is no
 * way there, by its name; 1: done. -EBUSY: something else lies there; others as stores_add().
 */
int stores_move(struct model *m, uint64_t store, const char *path, struct diag *diag);
/* The one at PATH that the library has. -ENOENT. */
int stores_find(struct model *m, const char *path, struct diag *diag, uint64_t *ret);
/*
 * Opens (or creates) the store at PATH and gives its id, making the row if it is new. Called without a transaction. One
 * that belongs to another library is taken over with ADOPT, and else refused: -EBUSY.
 */
int stores_add(struct model *m, const char *path, bool adopt, struct diag *diag, uint64_t *ret);
/* Opens one that is offline: -EIO, where it stays so. With ADOPT it is this library's from now on. */
int stores_take_back(struct model *m, uint64_t store, bool adopt, struct diag *diag);

/* The library's own store, and when a blob last came to or went from any. */
int stores_own(struct model *m, uint64_t *ret, int64_t *ret_changed_us);

bool stores_are_degraded(struct stores *s);

#endif
