/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_FETCH_AHEAD_H
#define BLOBSTORE_OBJECTS_FETCH_AHEAD_H

/*
 * Threads that fetch what will be wanted soon, for all stores together: so many pieces are in memory at once, and no more, however
 * many images are open and however far away they lie. What there is no room for is not fetched, and whoever wants it then does it
 * himself. They are started when there is something for them, so that a process may still fork after it has opened a store.
 *
 * Pieces that follow each other are fetched together: of Ceph's gateway and OSD two of 1 MiB take a third less work so. Four
 * take little less than that, and whoever waits for the first of them waits for all: cold reads were slower again.
 */

#include <stdint.h>

#define FETCH_AHEAD_PIECES 16 /* at once: a line of 1 Gbit/s with 100 ms of way is used well by so many MiB */
#define FETCH_AHEAD_RUN    2  /* together: from one multiple of this to the next, as objects lie in stripes */

struct fetch_ahead;

/* Fetches N pieces of an object. */
typedef void fetch_ahead_fn(void *ctx, uint32_t id, uint32_t number, unsigned n);

int fetch_ahead_new(struct fetch_ahead **ret);
void fetch_ahead_free(struct fetch_ahead *a); /* accepts NULL; everybody has left */

/* FN will be called for pieces NUMBER on, for each once, unless CTX leaves. For how many: there may be no room for all N. */
uint32_t fetch_ahead_ask(struct fetch_ahead *a, fetch_ahead_fn *fn, void *ctx, uint32_t id, uint32_t number, uint32_t n);

/* Nothing is fetched for CTX any more when this returns; whoever is at it comes to its end first. */
void fetch_ahead_leave(struct fetch_ahead *a, const void *ctx);

#endif
