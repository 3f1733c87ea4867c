/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_S3_SIGN_H
#define BLOBSTORE_OBJECTS_S3_SIGN_H

/*
 * Signature version 4 of a request. libcurl has one too, but that of 7.88 is wrong with queries that are not sorted, with names
 * without values, and with slashes in values.
 */

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "blobstore/base/strbuf.h"
#include "blobstore/objects/s3_place.h"

#define S3_SHA_HEX 65

struct s3_header {
        const char *name, *value; /* small letters; no blanks around */
};

struct s3_request {
        const char *method;
        const char *host; /* as it is sent: without the port that the scheme has anyhow */
        const char *path; /* from the slash on, encoded */
        const char *query; /* encoded and sorted by name; "" */
        const char *body_sha; /* of the body, in hexadecimal */
        const struct s3_header *headers; /* x-amz-…, sorted by name, without those that are added here */
        size_t n_headers;
};

/* RET gets "name: value" for each header to send, as many lines, of the time NOW. -ENOMEM. */
int s3_sign(const struct s3_request *rq, const char *region, const struct s3_keys *keys, time_t now, struct strbuf *ret);

/* Appends TEXT for a path, or (with SLASH, which encodes slashes too) for a query's value. */
void s3_encode(const char *text, bool slash, struct strbuf *ret);

void s3_hex(const void *bytes, size_t n, char *ret);

#endif
