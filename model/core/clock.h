/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_CLOCK_H
#define MODEL_CORE_CLOCK_H

/* The time of day, as rows keep it. Private to model/. */

#include <stdint.h>

/* Microseconds since 1970. */
int64_t clock_now_us(void);

#endif
