/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_CONVERT_H
#define MODEL_WORK_CONVERT_H

/* Images of local disks made into ones of cloud disks. */

#include "model/core/object.h"

/* "cloud" or "cloud NAME", as written to convert. -EOPNOTSUPP, -EBUSY, -EDQUOT, -EPERM, -EINVAL. */
int image_convert(struct model *m, const struct caller *c, uint64_t id, const char *command, struct diag *diag);

struct conversion {
        enum { CONVERT_IDLE, CONVERT_RUNNING, CONVERT_DONE, CONVERT_FAILED } status;
        char image[IDENT_MAX]; /* made by the last conversion; "" if there is none (any more) */
        uint64_t image_id; /* likewise 0 */
        unsigned percent;
};
int image_get_conversion(struct model *m, uint64_t id, struct conversion *ret);

#endif
