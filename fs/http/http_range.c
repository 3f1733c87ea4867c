/* SPDX-License-Identifier: MIT */

#include "fs/http/http_range.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "blobstore/base/parse.h"

#define DIGITS     "0123456789"
#define DIGITS_MAX 20

/* The number at *TEXT, which moves on. */
static bool take_number(const char **text, uint64_t *ret)
{
        size_t n = strspn(*text, DIGITS);
        char digits[DIGITS_MAX + 1];

        if (n == 0 || n > DIGITS_MAX)
                return false;
        memcpy(digits, *text, n);
        digits[n] = '\0';
        *text += n;
        return parse_u64(digits, ret) == 0;
}

static bool at_digit(const char *text)
{
        return *text && strchr(DIGITS, *text);
}

/* "FIRST-", "FIRST-LAST" or "-COUNT", and nothing after it; COUNT comes as FIRST with *ret_from_end. */
static bool take_range(const char *text, uint64_t *ret_first, uint64_t *ret_last, bool *ret_from_end)
{
        *ret_last = UINT64_MAX;
        *ret_from_end = *text == '-';
        if (*ret_from_end) {
                text++;
                if (!take_number(&text, ret_first))
                        return false;
        } else {
                if (!take_number(&text, ret_first) || *text++ != '-')
                        return false;
                if (at_digit(text) && (!take_number(&text, ret_last) || *ret_last < *ret_first))
                        return false;
        }
        return text[strspn(text, " \t")] == '\0';
}

int http_range_parse(const char *text, uint64_t size, struct http_range *ret)
{
        uint64_t first, last;
        bool from_end;

        if (strncasecmp(text, "bytes=", 6) != 0)
                return 0;
        text += 6;
        text += strspn(text, " \t");
        if (!take_range(text, &first, &last, &from_end))
                return 0;

        if (from_end) {
                last = UINT64_MAX;
                if (first == 0)
                        return -ERANGE;
                first = first < size ? size - first : 0;
        }
        if (first >= size)
                return -ERANGE;
        if (last > size - 1)
                last = size - 1;
        *ret = (struct http_range){ .begin = first, .len = last - first + 1 };
        return 1;
}

bool http_tag_matches(const char *list, const char *tag)
{
        const size_t n = strlen(tag);

        for (const char *p = list + strspn(list, ", \t"); *p; p += strspn(p, ", \t")) {
                if (strncmp(p, "W/", 2) == 0)
                        p += 2;
                if (*p == '*' || strncmp(p, tag, n) == 0)
                        return true;
                p += strcspn(p, ",");
        }
        return false;
}
