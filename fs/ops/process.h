/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_PROCESS_H
#define FS_OPS_PROCESS_H

/* What Linux says of the process that a request is from. Of those in another PID namespace it says no number: 0. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The process of a thread, by whose number requests come. Where /proc does not say (hidepid), a thread counts as a process. */
pid_t process_of(pid_t thread);

/*
 * Is this thread ending, and by a signal? Linux closes the files of who ends before anybody can wait for it, so that a close
 * can tell what was finished from what was interrupted. False where /proc does not say.
 */
bool process_is_killed(pid_t thread);

/* Has the thread a program? The kernel's own have none. false also where it cannot be seen. */
bool process_is_program(pid_t thread);

/*
 * The system call that the thread waits in, as a text: as long as that has not come back it is the same, and another time
 * another, unless the same call is made in the same place. -ESRCH: there is no such thread; -EAGAIN: that cannot be told, for
 * one, because it does not wait yet.
 */
int process_call(pid_t thread, char *buf, size_t size);

#endif
