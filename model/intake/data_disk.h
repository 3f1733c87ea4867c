/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_DATA_DISK_H
#define MODEL_INTAKE_DATA_DISK_H

/*
 * The data disks of an image that is queued: what a backup of an image has besides its system disk. Each is added by
 * name and then uploaded (upload_open_disk()), before the system disk, with whose import they come in.
 */

#include "model/core/object.h"

/* DEVICE is vdb … vdz. -EDQUOT: it is a snapshot. -EBUSY, -EEXIST, -EINVAL, -EOPNOTSUPP. Gives the disk. */
int image_add_data_disk(struct model *m, const struct caller *c, uint64_t image, const char *device, struct diag *diag,
                        uint64_t *ret);

/* With what was uploaded to it. -EBUSY when it is queued no longer. */
int image_remove_data_disk(struct model *m, const struct caller *c, uint64_t disk, struct diag *diag);

#endif
