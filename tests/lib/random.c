/* SPDX-License-Identifier: MIT */

#include "tests/lib/random.h"

#include <stdlib.h>
#include <string.h>

/* splitmix64 */
uint64_t random_next(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

void random_fill(uint64_t *state, void *buf, size_t n)
{
        uint8_t *p = buf;

        for (size_t i = 0; i < n; i += 8) {
                uint64_t v = random_next(state);

                memcpy(p + i, &v, n - i < 8 ? n - i : 8);
        }
}

uint64_t environment_number(const char *name, uint64_t otherwise)
{
        const char *text = getenv(name);

        return text ? strtoull(text, NULL, 0) : otherwise;
}
