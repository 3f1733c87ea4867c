/* SPDX-License-Identifier: MIT */
#ifndef FS_HTTP_HTTP_H
#define FS_HTTP_HTTP_H

/*
 * Downloads over HTTP: GET and HEAD of the addresses that download/ gives out, of /metrics for whom that is open to, and
 * 404 for everything else. A program
 * built without libmicrohttpd has none (http_none.c).
 */

#include <stdatomic.h>

#include "blobstore/base/strbuf.h"
#include "model/image/download.h"

struct http;

struct http_opts {
        const char *listen; /* ADDRESS:PORT, [ADDRESS]:PORT; port 0: any that is free */
        const char *cert_file, *key_file; /* PEM; NULL: without TLS */
        const char *name; /* HOST or HOST:PORT for addresses; NULL: what is listened on */
        /* Goes up with every change of an image: downloads then look whether they may go on. Read until http_stop(). */
        const atomic_uint *changes;
        /*
         * What /metrics shows. Nobody gets it unless the administrator says so, since it is the administrator's to read:
         * on a machine with several users who asks from this machine may be any of them.
         */
        enum http_metrics { HTTP_METRICS_NONE, HTTP_METRICS_LOOPBACK, HTTP_METRICS_ALL } metrics;
        int (*metrics_add)(void *ctx, struct strbuf *out);
        void *metrics_ctx;
};

/*
 * Starts to serve what M gives out, which is borrowed until http_stop(). -EINVAL, -EADDRINUSE …, -EOPNOTSUPP: not
 * built in; DIAG says why.
 */
int http_start(struct model *m, const struct http_opts *opts, struct diag *diag, struct http **ret);

/* Breaks off what waits for a blob store that is known to hang. Accepts NULL. */
void http_look(struct http *h);

/* Breaks off what is being downloaded; waits for the threads that are at a disk. Accepts NULL. */
void http_stop(struct http *h);

/* The address of a download, as users and programs take it. */
void http_add_url(const struct http *h, const struct download *d, struct strbuf *out);

#endif
