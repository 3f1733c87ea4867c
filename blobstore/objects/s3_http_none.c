/* SPDX-License-Identifier: MIT */
/* In place of s3_http.c, for a build without libcurl. */

#include <errno.h>

#include "blobstore/objects/s3_http_priv.h"

bool s3_http_is_supported(void)
{
        return false;
}

int s3_http_new(struct s3_http **ret)
{
        (void)ret;
        return -EOPNOTSUPP;
}

void s3_http_free(struct s3_http *h)
{
        (void)h;
}

void s3_http_wake(struct s3_http *h)
{
        (void)h;
}

int s3_http_try(struct s3_http *h, const struct s3_try *try, struct s3_answer *ret)
{
        (void)h;
        (void)try;
        (void)ret;
        return -EOPNOTSUPP;
}
