/* SPDX-License-Identifier: MIT */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

/*
 * What a service manager is told: sd_notify(3)'s protocol, one datagram to the socket named in NOTIFY_SOCKET. Without that
 * variable nothing happens. With WATCHDOG_USEC (for this process or its supervisor, WATCHDOG_PID) it hears from a thread, twice in that time,
 * that requests are answered: each time one was sent through the kernel and came back.
 */

struct notify;

/* Takes the variables, so that no child inherits them. *RET is NULL where there is no manager. 0, -ENOMEM. */
int notify_new(struct notify **ret);
/* The mount can be used. MOUNTPOINT is borrowed until the end. Each accepts NULL. */
void notify_ready(struct notify *n, const char *mountpoint);
void notify_stopping(struct notify *n);
/* Once the mount is gone: a request of the thread's that nobody serves any more would be waited for. */
void notify_free(struct notify *n);

#endif
