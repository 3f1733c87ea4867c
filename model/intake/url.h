/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_URL_H
#define MODEL_INTAKE_URL_H

/*
 * Addresses of files elsewhere, read strictly and taken apart at once: what may be shown, and what must not. Private to
 * model/.
 */

#include <stdbool.h>

#include "blobstore/base/strbuf.h"
#include "model/core/diag.h"

#define URL_MAX       2048
#define URL_LOGIN_MAX 255

enum url_scheme { URL_HTTP, URL_HTTPS, URL_FTP };

struct url {
        enum url_scheme scheme;
        char shown[URL_MAX + 1]; /* without user and password: it may be shown, and is what is asked for */
        char host[URL_MAX + 1];
        bool has_login;
        char user[URL_LOGIN_MAX + 1]; /* decoded */
        char password[URL_LOGIN_MAX + 1];
};

/* -EINVAL, with a sentence that holds nothing of TEXT. */
int url_parse(const char *text, struct url *ret, struct diag *diag);

/*
 * Adds what a server said, as printable text without the login that it may repeat, and not all of it if it is long. Words
 * that only look like a part of the login stay.
 */
void url_add_quoted(struct strbuf *out, const struct url *url, const char *text);

#endif
