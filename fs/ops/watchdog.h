/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_WATCHDOG_H
#define FS_OPS_WATCHDOG_H

/*
 * Says in the log which requests take too long, and what they wait for: a lock, a file of a store, a thread of a lane. How
 * many there are is in info/health and info/metrics.
 */

#include "fs/tree/req.h"

/* From SECONDS on a request is slow. Starts a thread. */
int watchdog_start(struct fs *fs, unsigned seconds, struct watchdog **ret);
void watchdog_stop(struct watchdog *d); /* accepts NULL */

#endif
