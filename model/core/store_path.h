/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STORE_PATH_H
#define MODEL_CORE_STORE_PATH_H

/* Where blob stores lie. Private to model/. */

#include "model/core/state.h"

#define STORES_OWN_DIR "blobs" /* the library's own store, in its directory */

/* The absolute path of the store with PATH in the database. -ENAMETOOLONG. */
int store_path_complete(struct model *m, const char *path, char *buf, size_t size);

/*
 * PATH, that somebody wrote, as it goes into the database; BUF has PATH_MAX bytes. -EINVAL: no store may lie there;
 * -ENOENT, as the directory that it would be made in is not there.
 */
int store_path_check(struct model *m, const char *path, char *buf, struct diag *diag);

#endif
