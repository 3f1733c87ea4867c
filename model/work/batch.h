/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_BATCH_H
#define MODEL_WORK_BATCH_H

/* Several images at once. */

#include "model/core/object.h"

/* Carries out "copy REGION IMAGE…" or "delete IMAGE…", of private images by handle or id: all or none. */
int batch_run(struct model *m, const struct caller *c, uint64_t region, const char *line, struct diag *diag);

#endif
