/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_USER_NAME_H
#define MODEL_CORE_USER_NAME_H

/* What users are called, for texts that say it; and who is called so. */

#include <stddef.h>
#include <sys/types.h>

#include "model/core/diag.h"

struct model;
struct user_names;

/* How many names that one user asks for are asked for at once: of those in user_names, which nobody chooses; and of others. */
#define USER_NAMES_ALL 4
#define USER_NAMES_OF_ONE_USER 2

int user_names_new(unsigned of_one_user, struct user_names **ret);
/* Accepts NULL. Never waits: whoever looks a name up and is not answered frees what is left. */
void user_names_free(struct user_names *names);

/*
 * The user's name; the number where there is none, or where the machine does not say it within half a second. Any thread, with
 * no transaction open, nor a lock held.
 */
void user_name(struct model *m, uid_t uid, char *buf, size_t size);

/*
 * The same for threads that answer requests, which everybody waits for: as the machine said within the last minute, else what it
 * says within a tenth of a second. Likewise.
 */
void user_name_soon(struct model *m, uid_t uid, char *buf, size_t size);

/*
 * The user with this name, or of this number, and what she is called, in RET_NAME of NAME_LEN_MAX + 1 bytes: it may be
 * another name, and is the number where she has none. -ENOENT; -EBUSY, with a sentence: the machine does not say it within two
 * seconds, nor did within the last minute. BY is who wants to know: one user cannot keep others from it. Likewise.
 */
int user_find(struct model *m, uid_t by, const char *user, struct diag *diag, uid_t *ret, char *ret_name);

/* Puts the name in place of the number that diag_set_user() has left. Likewise. */
void user_name_in(struct model *m, struct diag *diag);
void user_name_in_soon(struct model *m, struct diag *diag);

#endif
