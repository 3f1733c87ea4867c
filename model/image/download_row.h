/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_DOWNLOAD_ROW_H
#define MODEL_IMAGE_DOWNLOAD_ROW_H

/* What the upkeep and the start call. Private to model/. */

#include <stdint.h>

struct model;

/* Without the key that their tokens follow from there are none. */
int download_end_all(struct model *m);
/* Removes addresses whose time is up. *ret_due_us: when the next one's is; 0: there is none. */
int download_expire(struct model *m, int64_t *ret_due_us);

#endif
