/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_CHECKSUM_H
#define MODEL_WORK_CHECKSUM_H

/* Checksums of blobs that have none. Private to model/. */

#include <stdint.h>

struct model;

/* Makes the thread that calls it the last to get a processor. */
void checksum_give_way(void);

/* Works out that of the next blob after *AFTER that has none, and moves *AFTER. -ENOENT: there is none. */
int checksum_next(struct model *m, uint64_t *after);

#endif
