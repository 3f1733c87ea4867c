/* SPDX-License-Identifier: MIT */

/* An address to fetch from, and what its server says: the password is never shown. A line each. */

#include <errno.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/parse.h"
#include "model/intake/url.h"
#include "tests/fuzz/lib/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        CLEANUP_STRBUF struct strbuf said = { 0 };
        CLEANUP_FREE char *text = input_line(&in);
        CLEANUP_FREE char *answer = input_text(&in);
        struct diag diag = { 0 };
        static struct url url;
        int r;

        if (!text)
                return 0;
        r = url_parse(text, &url, &diag);
        MUST(r == 0 || r == -EINVAL);
        if (r < 0) {
                MUST(diag.error == -EINVAL && diag.text[0]);
                return 0;
        }
        MUST(url.host[0] && strlen(url.shown) <= URL_MAX && strlen(url.host) <= URL_MAX);
        MUST(strlen(url.user) <= URL_LOGIN_MAX && strlen(url.password) <= URL_LOGIN_MAX);
        MUST(text_is_clean(url.shown, strlen(url.shown)));
        MUST(!strchr(url.host, '@') && !strchr(url.host, '/'));
        url_add_quoted(&said, &url, answer);
        MUST(text_is_clean(strbuf_text(&said), said.len));
        return 0;
}
