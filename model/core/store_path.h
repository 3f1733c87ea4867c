/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STORE_PATH_H
#define MODEL_CORE_STORE_PATH_H

/* Where blob stores lie. Private to model/. */

#include "model/core/state.h"

#define STORES_OWN_DIR "blobs" /* the library's own store, in its directory */
#define STORES_FAR_DIR "bucket-" /* what of one in a bucket is not there, likewise */

/* Where the store with PATH in the database lies: an absolute path, or a place in a bucket. -ENAMETOOLONG. */
int store_path_complete(struct model *m, const char *path, char *buf, size_t size);
bool store_path_is_far(const char *path); /* in a bucket */

/* Its directory: that path, or where what is not in the bucket is. -ENAMETOOLONG. */
int store_path_dir(struct model *m, const char *path, char *buf, size_t size);

/*
 * PATH, that somebody wrote, as it goes into the database; BUF has PATH_MAX bytes. -EINVAL: no store may lie there; -EOPNOTSUPP: it
 * is in a bucket, and this program knows none; -ENOENT, as the directory that it would be made in is not there.
 */
int store_path_check(struct model *m, const char *path, char *buf, struct diag *diag);

#endif
