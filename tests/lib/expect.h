/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_EXPECT_H
#define TESTS_LIB_EXPECT_H

/* What cmocka needs to have included first, and a comparison of errno values that prints names. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

static inline const char *expect_name(long r)
{
        const char *name = r < 0 ? strerrorname_np((int)-r) : NULL;

        return name ? name : r < 0 ? "?" : "success";
}

#define assert_err(r, wanted)                                                                             \
        do {                                                                                              \
                long got_ = (r);                                                                          \
                long wanted_ = (wanted);                                                                  \
                if (got_ != wanted_)                                                                      \
                        fail_msg("%s gave %ld (%s), not %ld (%s)", #r, got_, expect_name(got_), wanted_, \
                                 expect_name(wanted_));                                                   \
        } while (0)

#define assert_ok(r) assert_err(r, 0)

/* Does TEXT contain PART? */
#define assert_contains(text, part)                                                            \
        do {                                                                                   \
                const char *text_ = (text);                                                    \
                if (!strstr(text_, (part)))                                                    \
                        fail_msg("\"%s\" does not contain \"%s\"", text_, (part));             \
        } while (0)

#endif
