/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_DIAG_H
#define MODEL_CORE_DIAG_H

/*
 * One sentence about why a request was refused, for the person who made it: the
 * rule, the numbers and the way out. Lives on the caller's stack; the first
 * sentence stays, since it is closest to the cause.
 */

#include <stdbool.h>
#include <sys/types.h>

#define DIAG_TEXT_MAX 1024

struct diag {
        int error; /* negative errno, 0 while nothing was said */
        char text[DIAG_TEXT_MAX];
        bool of_store; /* it is a blob store's, and the same of all that is in it */
        /* Where it has the number of a user in place of the name, which user_name_in() looks up; 0 digits: nowhere. */
        unsigned user_at, user_digits;
        uid_t user;
};

/*
 * Says why, and gives back ERROR. DIAG may be NULL. A longer sentence is cut at a character's boundary; control
 * characters and what is no UTF-8, as names that were asked for may have them, become question marks: it is one line.
 */
int diag_set(struct diag *diag, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * The same of a sentence that goes on with a user, and ends with END. It is mostly said with locks held, under which no
 * name may be looked up.
 */
int diag_set_user(struct diag *diag, int error, uid_t user, const char *end, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));

/* Adds a sentence about ERROR, which befell the store or the machine and not the user's request. */
struct strbuf;
void diag_add_error(struct strbuf *out, int error);

#endif
