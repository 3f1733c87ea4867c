/* SPDX-License-Identifier: MIT */

#include "model/core/clock.h"

#include <time.h>

int64_t clock_now_us(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
