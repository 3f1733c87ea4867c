/* SPDX-License-Identifier: MIT */

#include "blobstore/base/strbuf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int strbuf_reserve(struct strbuf *s, size_t extra)
{
        size_t size = s->size ? s->size : 64;
        char *text;

        if (s->error)
                return s->error;
        if (extra > SIZE_MAX / 2 - s->len - 1)
                return s->error = -ENOMEM;
        while (size < s->len + extra + 1)
                size *= 2;
        if (size == s->size)
                return 0;

        text = realloc(s->text, size);
        if (!text)
                return s->error = -ENOMEM;
        s->text = text;
        s->size = size;
        return 0;
}

void strbuf_done(struct strbuf *s)
{
        cleanup_free(&s->text);
        *s = (struct strbuf){ 0 };
}

void strbuf_reset(struct strbuf *s)
{
        s->len = 0;
        s->error = 0;
        if (s->text)
                s->text[0] = '\0';
}

void strbuf_add_bytes(struct strbuf *s, const void *bytes, size_t n)
{
        if (strbuf_reserve(s, n) < 0)
                return;
        if (n)
                memcpy(s->text + s->len, bytes, n);
        s->len += n;
        s->text[s->len] = '\0';
}

void strbuf_add(struct strbuf *s, const char *text)
{
        strbuf_add_bytes(s, text, strlen(text));
}

void strbuf_vaddf(struct strbuf *s, const char *fmt, va_list ap)
{
        va_list again;
        int n;

        va_copy(again, ap);
        n = vsnprintf(NULL, 0, fmt, ap);
        if (n < 0)
                s->error = -ENOMEM;
        else if (strbuf_reserve(s, (size_t)n) == 0) {
                (void)vsnprintf(s->text + s->len, (size_t)n + 1, fmt, again);
                s->len += (size_t)n;
        }
        va_end(again);
}

void strbuf_addf(struct strbuf *s, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        strbuf_vaddf(s, fmt, ap);
        va_end(ap);
}

void strbuf_add_json(struct strbuf *s, const char *text)
{
        if (!text) {
                strbuf_add(s, "null");
                return;
        }
        strbuf_add(s, "\"");
        for (const char *p = text, *plain; *p;) {
                unsigned char c;

                for (plain = p; (c = (unsigned char)*p) >= 0x20 && c != '"' && c != '\\' && c != 0x7f; p++)
                        ;
                strbuf_add_bytes(s, plain, (size_t)(p - plain));
                if (c == '\0')
                        break;
                if (c == '"' || c == '\\')
                        strbuf_addf(s, "\\%c", c);
                else if (c == '\n')
                        strbuf_add(s, "\\n");
                else
                        strbuf_addf(s, "\\u%04x", c);
                p++;
        }
        strbuf_add(s, "\"");
}

void strbuf_add_csv(struct strbuf *s, const char *text)
{
        if (!text[strcspn(text, ",\"\r\n")]) {
                strbuf_add(s, text);
                return;
        }
        strbuf_add(s, "\"");
        for (const char *p = text; *p; p++) {
                if (*p == '"')
                        strbuf_add(s, "\"");
                strbuf_add_bytes(s, p, 1);
        }
        strbuf_add(s, "\"");
}

void strbuf_add_time(struct strbuf *s, long long time_us)
{
        time_t seconds = (time_t)(time_us / 1000000);
        char text[64];
        struct tm tm;

        if (!time_us || !gmtime_r(&seconds, &tm))
                return;
        strbuf_add_bytes(s, text, strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm));
}

const char *strbuf_text(const struct strbuf *s)
{
        return s->text ? s->text : "";
}

int strbuf_error(const struct strbuf *s)
{
        return s->error;
}

char *strbuf_take(struct strbuf *s)
{
        char *text;

        if (strbuf_reserve(s, 0) < 0) {
                strbuf_done(s);
                return NULL;
        }
        s->text[s->len] = '\0';
        text = TAKE_PTR(s->text);
        *s = (struct strbuf){ 0 };
        return text;
}
