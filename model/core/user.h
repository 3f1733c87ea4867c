/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_USER_H
#define MODEL_CORE_USER_H

/* Users by name and number. */

#include <stddef.h>
#include <sys/types.h>

/*
 * The user's name; -ENOENT: there is none, or another error, and the number in its place. Waits for as long as the machine
 * takes to tell: see user_name.h for who cannot.
 */
int user_ask_name(uid_t uid, char *buf, size_t size);

/* The user with this name, or of this number. -ENOENT. Likewise. */
int user_ask_uid(const char *name, uid_t *ret);

#endif
