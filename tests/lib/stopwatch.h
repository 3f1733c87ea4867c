/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_STOPWATCH_H
#define TESTS_LIB_STOPWATCH_H

/*
 * That something is not waited for is seen by the fastest of many times, however busy the machine is: where it is waited
 * for, each takes as long as that at least.
 */

#include <stdint.h>
#include <time.h>

#define STOPWATCH_NEVER INT64_MAX

static inline int64_t stopwatch_us(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Another time has ended, which began at BEGAN_US. */
static inline void stopwatch_keep(int64_t began_us, int64_t *fastest_us)
{
        const int64_t took_us = stopwatch_us() - began_us;

        if (took_us < *fastest_us)
                *fastest_us = took_us;
}

#endif
