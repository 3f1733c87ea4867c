/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_OUTLOOKS_H
#define MODEL_WORK_OUTLOOKS_H

/* What was found out about instances' disks (instance_warning.c), as a model keeps it. Private to model/. */

struct outlooks;

int outlooks_new(struct outlooks **ret);
void outlooks_free(struct outlooks *os); /* accepts NULL */

#endif
