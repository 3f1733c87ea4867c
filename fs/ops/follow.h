/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_FOLLOW_H
#define FS_OPS_FOLLOW_H

/*
 * Readers of info/events-after/<seq>. One for whom nothing has happened yet is kept unanswered, without a thread, until
 * there is an event that it may see, its reader is interrupted, or the daemon stops. What it is given then is made in
 * pieces as it is read, however much there is.
 */

#include "fs/tree/req.h"

int followers_new(struct fs *fs, struct followers **ret);
void followers_free(struct followers *fl); /* accepts NULL; nobody waits any more */

/* Something was committed. Does not wait for anything: any thread, whatever it holds. */
void follow_wake(struct followers *fl);

/* The daemon stops: every reader gets EINTR, and so does everyone who comes later. */
void follow_shutdown(struct followers *fl);

#endif
