/* SPDX-License-Identifier: MIT */
#ifndef FS_PLACE_H
#define FS_PLACE_H

#include "model/core/diag.h"

/*
 * The directory of this host for a library that is named by the address of its catalogue: below /var/lib/imagefs, and of an ordinary
 * user below $XDG_STATE_HOME/imagefs. Those above it are made. Owned by the caller, also after a failure.
 */
int place_of(const char *address, struct diag *diag, char **ret);

/*
 * The directory that a library's name on a command line says, which is itself, or the address of its catalogue: then it is wiped, since
 * it may have a password, that ps would show. Makes nothing: -ENOENT. Owned by the caller, also after a failure.
 */
int place_find(const char *word, struct diag *diag, char **ret);

#endif
