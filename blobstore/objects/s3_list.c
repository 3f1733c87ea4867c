/* SPDX-License-Identifier: MIT */
/*
 * The few elements that are wanted are found by their names: what is between them is text, since names come encoded, and other
 * text of a server's (an owner's name) has no < in it, as XML has it.
 */

#include "blobstore/objects/s3_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/parse.h"

#define TAG_MAX 32

/* What is in the first TAG in [TEXT, END). NULL: there is none. */
static char *element(char *text, const char *end, const char *tag, char **ret_end)
{
        char open[TAG_MAX + 3], close[TAG_MAX + 4], *from, *to;

        (void)snprintf(open, sizeof(open), "<%s>", tag);
        (void)snprintf(close, sizeof(close), "</%s>", tag);
        from = strstr(text, open);
        if (!from || from >= end)
                return NULL;
        from += strlen(open);
        to = strstr(from, close);
        if (!to || to >= end)
                return NULL;
        *ret_end = to;
        return from;
}

/* The text of the first TAG there: NULL also if it is more than text, of which the end that is found may lie in another's. */
static char *value(char *text, const char *end, const char *tag, char **ret_end)
{
        char *from = element(text, end, tag, ret_end);

        return from && !memchr(from, '<', (size_t)(*ret_end - from)) ? from : NULL;
}

/* In place. */
static int decode_url(char *text)
{
        char *to = text;
        uint8_t byte;

        for (; *text; text++) {
                if (*text != '%') {
                        *to++ = *text == '+' ? ' ' : *text;
                        continue;
                }
                if (!text[1] || !text[2] || parse_hex(text + 1, 2, &byte) < 0 || byte == 0)
                        return -EPROTO;
                *to++ = (char)byte;
                text += 2;
        }
        *to = '\0';
        return 0;
}

static const struct {
        const char *escape;
        char is;
} escapes[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' }, { "&#34;", '"' },
                { "&#39;", '\'' } };

static void add_unescaped(const char *text, struct strbuf *ret)
{
        while (*text) {
                size_t i, n = 1;
                char c = *text;

                for (i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
                        if (strncmp(text, escapes[i].escape, strlen(escapes[i].escape)) == 0) {
                                c = escapes[i].is;
                                n = strlen(escapes[i].escape);
                                break;
                        }
                }
                strbuf_add_bytes(ret, &c, 1);
                text += n;
        }
}

static int object(char *text, char *end, const char *prefix, s3_each_fn *each, void *ctx)
{
        char *key_end, *size_end, *key = value(text, end, "Key", &key_end), *size = value(text, end, "Size", &size_end);
        uint64_t bytes;

        if (!key || !size)
                return -EPROTO;
        *key_end = *size_end = '\0';
        if (decode_url(key) < 0 || parse_u64(size, &bytes) < 0 || strncmp(key, prefix, strlen(prefix)) != 0)
                return -EPROTO;
        return each(ctx, key + strlen(prefix), bytes);
}

int s3_list_page(char *page, const char *prefix, s3_each_fn *each, void *ctx, struct strbuf *next)
{
        char *end = strstr(page, "</ListBucketResult>"), *more, *more_end, *token, *token_end, *text, *text_end;
        bool truncated;

        if (!end)
                return -EPROTO;
        more = value(page, end, "IsTruncated", &more_end);
        if (!more)
                return -EPROTO;
        truncated = more_end - more == 4 && strncmp(more, "true", 4) == 0;
        token = value(page, end, "NextContinuationToken", &token_end);
        if (truncated && (!token || token == token_end))
                return -EPROTO;
        for (char *at = page; (text = element(at, end, "Contents", &text_end)); at = text_end + 1) {
                int r = object(text, text_end, prefix, each, ctx); /* which cuts before TEXT_END: it goes on behind */

                if (r < 0)
                        return r;
        }
        if (!truncated)
                return 0;
        *token_end = '\0';
        add_unescaped(token, next);
        return strbuf_error(next) < 0 ? -ENOMEM : 1;
}
