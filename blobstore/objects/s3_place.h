/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_S3_PLACE_H
#define BLOBSTORE_OBJECTS_S3_PLACE_H

/*
 * Where objects lie in a bucket, as a person writes it:
 *
 *      s3://BUCKET/PREFIX endpoint=https://HOST:PORT region=NAME path-style=yes profile=NAME
 *
 * and who may come there. Keys are of the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN) or of the
 * file that other programs have them from (~/.aws/credentials, AWS_SHARED_CREDENTIALS_FILE), never of the text above.
 */

#include <stdbool.h>
#include <stddef.h>

#include "blobstore/base/strbuf.h"

#define S3_NAME_MAX   256
#define S3_BUCKET_MAX 63
#define S3_PREFIX_MAX 512
#define S3_KEY_MAX    2048 /* a session's token is the longest */

struct s3_place {
        char bucket[S3_BUCKET_MAX + 1];
        char prefix[S3_PREFIX_MAX + 1]; /* "" or with a slash at its end */
        char endpoint[S3_NAME_MAX]; /* "https://host:port" */
        char region[S3_NAME_MAX];
        char profile[S3_NAME_MAX]; /* "": whichever the environment says */
        bool path_style; /* the bucket is in the path, not in the host's name */
};

struct s3_keys {
        char id[S3_NAME_MAX];
        char secret[S3_KEY_MAX];
        char token[S3_KEY_MAX]; /* "": none */
};

/* -EINVAL, and WHY has a sentence. */
int s3_place_parse(const char *text, struct s3_place *ret, struct strbuf *why);

/* As it is to be noted: what is as it would be anyhow is left out. -ENAMETOOLONG. */
int s3_place_print(const struct s3_place *place, char *buf, size_t size);

/* -ENOENT: there are none, -EINVAL: the file cannot be understood; WHY has a sentence. They are to be wiped after use. */
int s3_keys_find(const char *profile, struct s3_keys *ret, struct strbuf *why);

#endif
