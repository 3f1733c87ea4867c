/* SPDX-License-Identifier: MIT */
#ifndef FS_SUPERVISE_H
#define FS_SUPERVISE_H

/*
 * A process that keeps what lasts of a mount (lasting.h), and starts the next process to serve it when one dies. It parses
 * nothing, and touches neither the library nor the mount.
 */

#include "fs/lasting.h"
#include "fs/options.h"

/* Does the kernel bring back what was under way, and libfuse let go on with it? */
bool supervise_helps(void);

/*
 * Comes back in the first process that is to serve the mount: 0, and *RET, or a negative errno where nothing can be
 * supervised. The caller's goes on as the supervisor, and ends with the exit status of the last that served. ARGV is what
 * the next ones are started with, until then.
 */
int supervise(const struct options *opts, char **argv, struct lasting *ret);

#endif
