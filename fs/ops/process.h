/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_PROCESS_H
#define FS_OPS_PROCESS_H

/* What Linux says of the process that a request is from. Of those in another PID namespace it says no number: 0. */

#include <stdbool.h>
#include <sys/types.h>

/* The process of a thread, by whose number requests come. Where /proc does not say (hidepid), a thread counts as a process. */
pid_t process_of(pid_t thread);

/*
 * Is this thread ending, and by a signal? Linux closes the files of who ends before anybody can wait for it, so that a close
 * can tell what was finished from what was interrupted. False where /proc does not say.
 */
/* Has the thread a program? The kernel's own have none. false also where it cannot be seen. */
bool process_is_program(pid_t thread);

bool process_is_killed(pid_t thread);

#endif
