/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_USER_H
#define MODEL_CORE_USER_H

/* Users by name and number. */

#include <stddef.h>
#include <sys/types.h>

#include "model/core/diag.h"

/* The user's name, or the number where there is none. May take long: with no transaction open, nor a lock held. */
void user_name(uid_t uid, char *buf, size_t size);

/* Puts the name in place of the number that diag_set_user() has left. Likewise. */
void user_name_in(struct diag *diag);

/* The user with this name, or of this number. -ENOENT. */
int user_find(const char *name, uid_t *ret);

#endif
