/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_ACCESS_H
#define MODEL_MACHINE_ACCESS_H

/* Owners and permission bits of objects of every kind. */

#include "model/core/object.h"

/*
 * Permission bits and owners of an object's directory, as chmod and chown set them. NULL: unchanged. Handing over
 * takes the quota along: -EDQUOT where the new owner has none left, -EPERM unless admin.
 */
int model_set_access(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, const mode_t *mode,
                     const uid_t *uid, const gid_t *gid, struct diag *diag);

#endif
