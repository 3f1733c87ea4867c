/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_INSTANCE_WARNING_H
#define MODEL_WORK_INSTANCE_WARNING_H

/* What somebody who is going to make an image of an instance should know beforehand. */

#include <stdint.h>

struct model;
struct strbuf;

/*
 * Adds lines to OUT: what the image's `warnings` would say, for the disks that image-disks selects now. GO_ON is asked
 * now and then whether to go on, with 0 or -EINTR, which is then the answer. Disks are read for it, so that no thread
 * calls it that answers requests; what was found is kept as long as nobody writes to them. *RET_CHANGED_US is when a
 * disk last changed, 0 without any. -ENOENT.
 */
int instance_get_warnings(struct model *m, uint64_t id, int (*go_on)(void *ctx), void *ctx, struct strbuf *out,
                          int64_t *ret_changed_us);

#endif
