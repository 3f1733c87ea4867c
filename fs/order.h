/* SPDX-License-Identifier: MIT */
#ifndef FS_ORDER_H
#define FS_ORDER_H

/*
 * What the kernel orders, for the thread sanitizer, which sees locks and atomics alone: a request on a node that comes after
 * the answer to another on it comes after all that was done for that one. So a file is closed when nobody reads or writes
 * it any more, and freed without a lock. Elsewhere these do nothing.
 */

#if defined(__SANITIZE_THREAD__)
#define ORDER_IS_SEEN 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ORDER_IS_SEEN 0
#endif
#endif
#ifndef ORDER_IS_SEEN
#define ORDER_IS_SEEN 1 /* by nobody who would have to be told */
#endif

#include <stddef.h>
#include <sys/uio.h>

#if ORDER_IS_SEEN
static inline void order_note_request(const void *buf, size_t n)
{
        (void)buf;
        (void)n;
}

static inline void order_note_answer(const struct iovec *iov, int count)
{
        (void)iov;
        (void)count;
}
#else
/* Of what was read from the kernel; and right before it is written there. */
void order_note_request(const void *buf, size_t n);
void order_note_answer(const struct iovec *iov, int count);
#endif

#endif
