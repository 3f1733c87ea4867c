/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_GUEST_TURNS_H
#define MODEL_IMAGE_GUEST_TURNS_H

/*
 * Who may have a new disk looked into while a thread waits for it, which may be one that answers requests. It takes
 * milliseconds, but where the disk was made to keep its reader busy: such disks must cost nobody but who has them. So a user has few threads for it,
 * waits for one of hers as long as they come back, and has none for a while after a disk that was given up. Any thread may
 * use it. Private to model/.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GUEST_TURNS_OF_ONE_USER 4
#define GUEST_TURNS_OF_ALL      12

struct guest_turns;

/* One that none has come back for so long is not waited for; and how long a user has none after one was kept busy. */
int guest_turns_new(int64_t stuck_us, int64_t none_us, struct guest_turns **ret);
void guest_turns_free(struct guest_turns *ts); /* accepts NULL */

/* False: not now. Else it is given back. */
bool guest_turns_take(struct guest_turns *ts, uid_t uid);
void guest_turns_give(struct guest_turns *ts, uid_t uid, bool kept_busy);

#endif
