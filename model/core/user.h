/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_USER_H
#define MODEL_CORE_USER_H

/* Users by name and number. */

#include <stddef.h>
#include <sys/types.h>

/* The user's name, or the number where there is none. May take long: with no transaction open, nor a lock held. */
void user_name(uid_t uid, char *buf, size_t size);

/* The user with this name, or of this number. -ENOENT. */
int user_find(const char *name, uid_t *ret);

#endif
