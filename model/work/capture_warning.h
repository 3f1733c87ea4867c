/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_CAPTURE_WARNING_H
#define MODEL_WORK_CAPTURE_WARNING_H

/* What the owner of an image should know before making a machine of it. Private to model/. */

#include "model/core/jobs.h"
#include "model/image/image_disk_row.h"

/*
 * Adds a sentence to RET where the /etc/fstab of the instance that JOB makes an image of asks for disks that are not
 * among the image's DISKS. That there is none is not promised: what cannot be found out is no reason to fail. The only
 * error is -ECANCELED.
 */
int capture_warn(struct job *job, const struct disk_list *disks, struct strbuf *ret);

#endif
