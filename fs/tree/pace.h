/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_PACE_H
#define FS_TREE_PACE_H

/*
 * Who asks without end. To close a file for which there is nothing to do costs who does it as little as the daemon, so that one who
 * closes copies in a loop has all processors busy with that, by switching between the two. Beyond so many in a tenth of a second
 * such requests are for a lane (later.h): answered one of each user's at a time, and after those of others. Only for requests for
 * which the kernel holds nothing that others wait for: it asks for the attributes of a directory while it has that locked. Any
 * thread may use this; it takes no lock.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PACE_SLOTS 256 /* users whose numbers are as far apart count as one */

/* Zeroed: nobody has asked for anything. */
struct pace {
        _Atomic uint64_t asked[PACE_SLOTS]; /* in which tenth of a second, and in the lower half how often */
};

/* By a clock that only goes forwards, in milliseconds. */
int64_t pace_now_ms(void);

/* Counts a request. Is it to be answered in turn? */
bool pace_is_over(struct pace *p, uid_t uid, int64_t now_ms);

#endif
