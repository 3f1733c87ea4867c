/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_SHARE_ROW_H
#define MODEL_IMAGE_SHARE_ROW_H

/* Shares, inside a transaction. Private to model/. */

#include "model/core/state.h"
#include "model/image/share.h"

/* Is the image shared with the caller? -EACCES with a sentence that does not name it; DB_READ will do. */
int share_load_check(struct db_txn *t, const struct caller *c, uint64_t image, struct diag *diag);

#endif
