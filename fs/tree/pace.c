/* SPDX-License-Identifier: MIT */

#include "fs/tree/pace.h"

#include <time.h>

#define WINDOW_MS 100
#define AT_ONCE   20 /* in it: whoever does anything with a disk between opening and closing it stays below */

int64_t pace_now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t); /* cannot fail with it */
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool pace_is_over(struct pace *p, uid_t uid, int64_t now_ms)
{
        const uint64_t window = (uint32_t)(now_ms / WINDOW_MS);
        _Atomic uint64_t *asked = &p->asked[uid % PACE_SLOTS];
        uint64_t before = atomic_load_explicit(asked, memory_order_relaxed), n;

        do {
                n = before >> 32 == window ? (before & UINT32_MAX) + 1 : 1;
        } while (!atomic_compare_exchange_weak_explicit(asked, &before, window << 32 | n, memory_order_relaxed,
                                                        memory_order_relaxed));
        return n > AT_ONCE;
}
