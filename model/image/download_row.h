/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_DOWNLOAD_ROW_H
#define MODEL_IMAGE_DOWNLOAD_ROW_H

/* What the upkeep calls. Private to model/. */

#include <stdint.h>

struct model;

/* Removes addresses whose time is up. *ret_due_us: when the next one's is; 0: there is none. */
int download_expire(struct model *m, int64_t *ret_due_us);

#endif
