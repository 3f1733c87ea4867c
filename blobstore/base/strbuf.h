/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_STRBUF_H
#define BLOBSTORE_BASE_STRBUF_H

/*
 * A growing text buffer whose error is sticky: appending after a failed
 * allocation does nothing, and strbuf_error() tells at the end. Callers append
 * without a check per line and check once. The text is always terminated.
 * Not for sharing between threads.
 */

#include <stdarg.h>
#include <stddef.h>

#include "blobstore/base/cleanup.h"

struct strbuf {
        char *text; /* NULL until the first append; use strbuf_text() */
        size_t len; /* bytes, without the terminator */
        size_t size;
        int error; /* 0 or -ENOMEM */
};

void strbuf_done(struct strbuf *s);
void strbuf_reset(struct strbuf *s); /* empties it, and forgets an error */

void strbuf_add(struct strbuf *s, const char *text);
void strbuf_add_bytes(struct strbuf *s, const void *bytes, size_t n);
void strbuf_addf(struct strbuf *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *s, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Appends TEXT as a quoted JSON string, or null for NULL. */
void strbuf_add_json(struct strbuf *s, const char *text);

/* Appends TEXT as one RFC 4180 field, quoted where needed. */
void strbuf_add_csv(struct strbuf *s, const char *text);

/* Appends microseconds since the epoch as RFC 3339 UTC ("2026-01-31T12:00:00Z"); nothing for 0. */
void strbuf_add_time(struct strbuf *s, long long time_us);

/* Never NULL; borrowed until the next change. */
const char *strbuf_text(const struct strbuf *s);

int strbuf_error(const struct strbuf *s);

/* The text, owned by the caller, release with free(); the buffer is left empty. NULL after an error. */
char *strbuf_take(struct strbuf *s);

#define CLEANUP_STRBUF CLEANUP(strbuf_done)

#endif
