/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_STORE_HISTORY_H
#define FS_TREE_STORE_HISTORY_H

#include "fs/tree/req.h"

enum store_history_format { STORE_HISTORY_CSV, STORE_HISTORY_SVG };

/* What the library held day by day, as a table or as a picture; for others than the administrator it has no text. */
int store_history_text(struct req *rq, struct text **ret, int64_t *ret_changed_us);
int store_history_measure(struct req *rq, uint64_t *ret_size, int64_t *ret_changed_us);

#endif
