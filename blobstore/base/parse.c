/* SPDX-License-Identifier: MIT */

#include "blobstore/base/parse.h"

#include <errno.h>
#include <string.h>

/* Reads digits up to the first other character, which *rest then points at. */
static int parse_digits(const char *text, const char **rest, uint64_t *ret)
{
        uint64_t value = 0;
        const char *p = text;

        for (; *p >= '0' && *p <= '9'; p++) {
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
                        return -ERANGE;
        }
        if (p == text)
                return -EINVAL;
        *rest = p;
        *ret = value;
        return 0;
}

int parse_u64(const char *text, uint64_t *ret)
{
        const char *rest;
        uint64_t value;
        int r;

        r = parse_digits(text, &rest, &value);
        if (r < 0)
                return r;
        if (*rest)
                return -EINVAL;
        *ret = value;
        return 0;
}

int parse_size(const char *text, uint64_t *ret)
{
        static const char units[] = "KMGT";
        const char *rest, *unit;
        uint64_t value;
        int r;

        r = parse_digits(text, &rest, &value);
        if (r < 0)
                return r;
        if (*rest) {
                unit = strchr(units, *rest);
                if (!unit || rest[1])
                        return -EINVAL;
                if (__builtin_mul_overflow(value, UINT64_C(1024) << (10 * (unit - units)), &value))
                        return -ERANGE;
        }
        *ret = value;
        return 0;
}

int parse_bool(const char *text, bool *ret)
{
        if (strcmp(text, "yes") == 0)
                *ret = true;
        else if (strcmp(text, "no") == 0)
                *ret = false;
        else
                return -EINVAL;
        return 0;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -EINVAL;
}

int parse_hex(const char *text, size_t n, uint8_t *ret)
{
        if (n % 2 || strnlen(text, n) < n)
                return -EINVAL;
        for (size_t i = 0; i < n; i++)
                if (hex_digit(text[i]) < 0)
                        return -EINVAL;
        for (size_t i = 0; i < n / 2; i++)
                ret[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
        return 0;
}

/* Decodes one UTF-8 sequence (RFC 3629, section 4); gives its length, or 0 where it is ill-formed. */
static size_t utf8_decode(const unsigned char *p, size_t left, uint32_t *ret)
{
        static const struct {
                uint8_t mask, lead, len;
                uint32_t min;
        } forms[] = {
                { 0x80, 0x00, 1, 0 },
                { 0xe0, 0xc0, 2, 0x80 },
                { 0xf0, 0xe0, 3, 0x800 },
                { 0xf8, 0xf0, 4, 0x10000 },
        };

        for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
                uint32_t c;

                if ((p[0] & forms[f].mask) != forms[f].lead)
                        continue;
                if (forms[f].len > left)
                        return 0;
                c = p[0] & (uint8_t)~forms[f].mask;
                for (size_t i = 1; i < forms[f].len; i++) {
                        if ((p[i] & 0xc0) != 0x80)
                                return 0;
                        c = c << 6 | (p[i] & 0x3f);
                }
                if (c < forms[f].min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                        return 0;
                *ret = c;
                return forms[f].len;
        }
        return 0;
}

static bool is_control(uint32_t c)
{
        return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

static bool text_check(const char *text, size_t len, bool multiline)
{
        const unsigned char *p = (const unsigned char *)text;
        uint32_t c;

        for (size_t i = 0, n; i < len; i += n) {
                n = utf8_decode(p + i, len - i, &c);
                if (n == 0)
                        return false;
                if (multiline && (c == '\n' || c == '\t'))
                        continue;
                if (is_control(c))
                        return false;
        }
        return true;
}

bool text_is_clean(const char *text, size_t len)
{
        return text_check(text, len, false);
}

bool text_is_clean_multiline(const char *text, size_t len)
{
        return text_check(text, len, true);
}

void text_make_clean(char *text)
{
        size_t len = strlen(text);
        uint32_t c;

        for (size_t i = 0, n; i < len; i += n ? n : 1) {
                n = utf8_decode((unsigned char *)text + i, len - i, &c);
                if (n == 0 || is_control(c))
                        memset(text + i, '?', n ? n : 1);
        }
}

size_t text_fit(const char *text, size_t max)
{
        size_t n = strnlen(text, max);

        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
                n--;
        return n;
}

bool name_is_valid(const char *name)
{
        size_t len = strnlen(name, NAME_LEN_MAX + 1);

        return len >= 1 && len <= NAME_LEN_MAX && name[0] != '.' && !memchr(name, '/', len) &&
               text_is_clean(name, len);
}
