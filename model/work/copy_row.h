/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_COPY_ROW_H
#define MODEL_WORK_COPY_ROW_H

/* Copies, inside a transaction. Private to model/. */

#include "model/core/changes.h"
#include "model/core/region.h"
#include "model/core/state.h"
#include "model/image/image.h"
#include "model/work/copy.h"

/*
 * The copy of an image that is shown under the region's name; *ret as copy_find() gives it. -ENOENT; DB_READ will do.
 */
int copy_load(struct db_txn *t, uint64_t image, const char *region, struct object *ret);

/*
 * Would all of these be accepted together? The errors of image_copy(); an owner's quota is asked for what all of hers
 * need, so that the sentence has those numbers.
 */
int copy_check_all(struct model *m, struct db_txn *t, const uint64_t *images, size_t n, const struct region *target,
                   struct diag *diag);

/* Accepts a copy, inside the caller's transaction; the errors of image_copy(). */
int copy_submit(struct model *m, struct db_txn *t, const struct caller *c, const struct image *source,
                const struct region *target, struct changes *ch, struct diag *diag, uint64_t *ret_task);

#endif
