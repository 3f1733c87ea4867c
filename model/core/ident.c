/* SPDX-License-Identifier: MIT */

#include "model/core/ident.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

#define IDENT_DIGITS 12

int ident_new(const char *prefix, char *buf, size_t size)
{
        static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
        uint8_t random[IDENT_DIGITS];
        char text[IDENT_DIGITS + 1];
        int n;

        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
                return -EIO;
        for (size_t i = 0; i < IDENT_DIGITS; i++)
                text[i] = digits[random[i] % 32];
        text[IDENT_DIGITS] = '\0';
        n = snprintf(buf, size, "%s-%s", prefix, text);
        return n < 0 || (size_t)n >= size ? -EINVAL : 0;
}
