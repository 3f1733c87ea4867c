/* SPDX-License-Identifier: MIT */

#include "fs/http/http.h"

int http_start(struct model *m, const struct http_opts *opts, struct diag *diag, struct http **ret)
{
        (void)m;
        (void)opts;
        (void)ret;
        return diag_set(diag, -EOPNOTSUPP, "http: this imagefs was built without libmicrohttpd");
}

void http_look(struct http *h)
{
        (void)h;
}

void http_stop(struct http *h)
{
        (void)h;
}

void http_add_url(const struct http *h, const struct download *d, struct strbuf *out)
{
        (void)h;
        (void)d;
        (void)out;
}
