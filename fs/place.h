/* SPDX-License-Identifier: MIT */
#ifndef FS_PLACE_H
#define FS_PLACE_H

#include "model/core/diag.h"

/*
 * The directory of this host for a library that is named by the address of its catalogue: below /var/lib/imagefs, and of an ordinary
 * user below $XDG_STATE_HOME/imagefs. Owned by the caller.
 */
int place_of(const char *address, struct diag *diag, char **ret);

#endif
