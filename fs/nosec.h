/* SPDX-License-Identifier: MIT */
#ifndef FS_NOSEC_H
#define FS_NOSEC_H

/*
 * Has the kernel not ask for security.capability before every write: see nosec.c. A failure leaves everything right, only
 * slower.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct iovec;

/* Of a mount: how far the exchange has come. Zeroed before it begins. */
struct nosec {
        atomic_int state;
};

/* Can libfuse not say so itself? Then each message from the kernel is to be looked at, and each to it amended. */
bool nosec_is_needed(void);
void nosec_look(struct nosec *nosec, const void *buf, size_t n);
void nosec_amend(struct nosec *nosec, struct iovec *iov, int count);

#endif
