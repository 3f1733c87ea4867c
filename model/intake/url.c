/* SPDX-License-Identifier: MIT */
/*
 *      http://user:password@host:8080/path?query#fragment
 *
 * Only what every reader of URLs takes in the same way is accepted, so that nobody downstream finds another host, or a
 * password, where this found none: printable ASCII without what must be encoded, the last '@' before the path ends the
 * login, a host of letters, digits, dots and dashes or an IPv6 address in brackets. The fragment is for browsers, and
 * dropped.
 */

#include "model/intake/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/parse.h"

/* Of what a server says. */
#define QUOTED_MAX 200
/* A password is hidden from this length on where it stands by itself. */
#define PASSWORD_ALONE_MIN 4

static const char *const schemes[] = { [URL_HTTP] = "http", [URL_HTTPS] = "https", [URL_FTP] = "ftp" };

static int parse_scheme(const char *text, size_t len, enum url_scheme *ret)
{
        for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
                if (strlen(schemes[i]) == len && strncasecmp(schemes[i], text, len) == 0) {
                        *ret = (enum url_scheme)i;
                        return 0;
                }
        }

        return -EINVAL;
}

static bool is_clean(const char *text)
{
        for (const char *p = text; *p; p++)
                if (!isgraph((unsigned char)*p) || strchr("\"<>\\^`{|}", *p))
                        return false;

        return true;
}

/* A part of the login. Control characters would end a line in what is sent to the server. */
static int decode(const char *text, size_t len, char *buf, size_t size)
{
        size_t n = 0;

        for (size_t i = 0; i < len; i++) {
                uint8_t c = (uint8_t)text[i];

                if (c == '%') {
                        if (len - i < 3 || parse_hex(text + i + 1, 2, &c) < 0)
                                return -EINVAL;
                        i += 2;
                }
                if (c < 0x20 || c == 0x7f || n == size - 1)
                        return -EINVAL;
                buf[n++] = (char)c;
        }

        buf[n] = '\0';
        return 0;
}

static int parse_login(const char *text, size_t len, struct url *url)
{
        const char *colon = memchr(text, ':', len);
        size_t user = colon ? (size_t)(colon - text) : len;
        int r;

        r = decode(text, user, url->user, sizeof(url->user));
        if (r == 0 && colon)
                r = decode(colon + 1, len - user - 1, url->password, sizeof(url->password));
        url->has_login = true;
        return r;
}

/* 0x7f.1, 127.1 and 2130706433 are 127.0.0.1 to some and names to others: of numbers only 127.0.0.1 is one. */
static bool is_host(const char *host)
{
        size_t n = strlen(host);
        const char *last, *dot;
        struct in_addr address;

        if (n > 0 && host[n - 1] == '.') /* the whole of a name */
                n--;
        dot = memrchr(host, '.', n);
        last = dot ? dot + 1 : host;
        if (strspn(last, "0123456789") < (size_t)(host + n - last) && strncasecmp(last, "0x", 2) != 0)
                return n > 0;
        return inet_pton(AF_INET, host, &address) == 1;
}

static bool is_bracketed(const char *host)
{
        struct in6_addr address;

        return inet_pton(AF_INET6, host, &address) == 1;
}

/* HOST or HOST:PORT. */
static int parse_host(const char *text, size_t len, struct url *url)
{
        const char *end = text + len, *host = text, *host_end;
        bool bracketed = len > 0 && *text == '[';
        char port[6];
        uint64_t n;

        if (bracketed) {
                host = text + 1;
                host_end = memchr(text, ']', len);
                if (!host_end)
                        return -EINVAL;
                text = host_end + 1;
        } else {
                host_end = host;
                while (host_end < end && (isalnum((unsigned char)*host_end) || strchr(".-_", *host_end)))
                        host_end++;
                text = host_end;
        }
        if (host_end == host)
                return -EINVAL;

        (void)snprintf(url->host, sizeof(url->host), "%.*s", (int)(host_end - host), host);
        if (bracketed ? !is_bracketed(url->host) : !is_host(url->host))
                return -EINVAL;
        if (text == end)
                return 0;
        if (*text != ':' || end - text > (ptrdiff_t)sizeof(port))
                return -EINVAL;

        (void)snprintf(port, sizeof(port), "%.*s", (int)(end - text - 1), text + 1);
        return parse_u64(port, &n) < 0 || n == 0 || n > 65535 ? -EINVAL : 0;
}

int url_parse(const char *text, struct url *ret, struct diag *diag)
{
        const char *authority, *path, *end, *host, *p;
        struct url url = { .has_login = false };
        size_t len;

        if (strlen(text) > URL_MAX)
                return diag_set(diag, -EINVAL, "the address is longer than %d bytes", URL_MAX);
        if (!is_clean(text))
                return diag_set(diag, -EINVAL,
                                "the address has a character that must be written as %% and two hex digits");

        p = strstr(text, "://");
        if (!p || parse_scheme(text, (size_t)(p - text), &url.scheme) < 0)
                return diag_set(diag, -EINVAL,
                                "write http://…, https://… or ftp://…: files come from there and from nowhere else; "
                                "what is on this machine goes in with cp FILE upload");

        authority = p + 3;
        path = authority + strcspn(authority, "/?#");
        end = path + strcspn(path, "#");
        host = memrchr(authority, '@', (size_t)(path - authority));
        host = host ? host + 1 : authority;

        if (host > authority && parse_login(authority, (size_t)(host - authority) - 1, &url) < 0)
                return diag_set(diag, -EINVAL,
                                "the user and password before the @ are not understood: write what is neither a letter "
                                "nor a digit in them as %% and two hex digits");
        if (parse_host(host, (size_t)(path - host), &url) < 0)
                return diag_set(diag, -EINVAL, "the address has no host, or one that is not understood: "
                                               "https://host.example/file");

        len = (size_t)(end - path);
        if (url.scheme == URL_FTP && (len < 2 || path[len - 1] == '/'))
                return diag_set(diag, -EINVAL, "the address names a directory: give that of a file");

        (void)snprintf(url.shown, sizeof(url.shown), "%s://%.*s%s%.*s", schemes[url.scheme], (int)(path - host), host,
                       *path == '/' ? "" : "/", (int)len, path);
        *ret = url;
        return 0;
}

/*
 * Is there the whole of SECRET at P of TEXT, and not a part of another word? A password may be a letter, or a word that
 * servers use: by itself it is one that is worth hiding from so many characters on, and else where a login has it, beside
 * ':' or '@'. What is said stays to be read. *ret_len is its length.
 */
static bool is_secret(const char *text, const char *p, const char *secret, size_t alone_from, size_t *ret_len)
{
        const size_t n = strlen(secret);
        const unsigned char before = p > text ? (unsigned char)p[-1] : ' ';
        unsigned char after;

        if (n == 0 || strncmp(p, secret, n) != 0)
                return false;
        after = (unsigned char)p[n];
        if (isalnum(before) || isalnum(after))
                return false;
        if (n < alone_from && before != ':' && after != ':' && after != '@')
                return false;
        *ret_len = n;
        return true;
}

void url_add_quoted(struct strbuf *out, const struct url *url, const char *text)
{
        size_t n = 0;

        for (const char *p = text; *p && n < QUOTED_MAX; n++) {
                size_t secret = 1;

                if (is_secret(text, p, url->password, PASSWORD_ALONE_MIN, &secret) ||
                    is_secret(text, p, url->user, SIZE_MAX, &secret)) {
                        strbuf_add(out, "***");
                } else if (isprint((unsigned char)*p)) {
                        strbuf_add_bytes(out, p, 1);
                }
                p += secret;
        }
}
