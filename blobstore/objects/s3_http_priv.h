/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_S3_HTTP_PRIV_H
#define BLOBSTORE_OBJECTS_S3_HTTP_PRIV_H

/* One request and its answer, over a connection that is kept for the next one. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/objects/s3_sign.h"

#define S3_CODE_MAX  64
#define S3_RANGE_MAX 128
#define S3_PUT_BYTES 16
#define S3_PUT_HEX   (2 * S3_PUT_BYTES + 1)
#define S3_META_PUT  "x-amz-meta-put"

struct s3_http;

struct s3_try {
        const char *method, *url;
        const char *headers; /* a line each */
        int fd; /* of the body, from its start; -1: none */
        uint64_t size;
        void *buf; /* for the body of an answer that is no error */
        size_t n;
        unsigned stall_ms, deadline_ms;
        const atomic_bool *stopped; /* and the leash of the thread (child_leash.h) */
};

struct s3_answer {
        unsigned status;
        char code[S3_CODE_MAX]; /* what an error's body calls it: "SlowDown" */
        size_t got; /* of the body */
        bool too_long; /* there was more than N */
        int64_t length; /* that it was said to have; -1 */
        char range[S3_RANGE_MAX]; /* Content-Range */
        char put[S3_PUT_HEX]; /* which call has put the object */
        char error[256]; /* of the connection */
};

bool s3_http_is_supported(void);
int s3_http_new(struct s3_http **ret);
void s3_http_free(struct s3_http *h); /* accepts NULL */

/* Whoever is at a try looks at once whether it is to end. Any thread. */
void s3_http_wake(struct s3_http *h);

/*
 * 0: there is a whole answer, of whatever status. -EAGAIN: there is none, and another try may have one; -ECANCELED; -EKEYREJECTED:
 * the server is not proved to be who it should be; -EIO: the body could not be read. ERROR says more.
 */
int s3_http_try(struct s3_http *h, const struct s3_try *try, struct s3_answer *ret);

#endif
