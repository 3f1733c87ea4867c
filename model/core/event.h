/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_EVENT_H
#define MODEL_CORE_EVENT_H

/*
 * What happened in the library, in the order in which it was committed. The schema's triggers write it down, each event in
 * the transaction that it tells of; here it is read.
 *
 * Who sees an event is who might see the object then: its owner, the administrator, whom the modes of its directory and
 * its region let in, and with whom the image was shared.
 */

#include "model/core/object.h"

struct event {
        uint64_t seq;
        int64_t time_us;
        uid_t uid;                                        /* whose it was */
        const char *what, *region, *object, *id, *detail; /* in one piece of memory, the event's */
        bool of_user;                                     /* the detail is a user, by number */
};

struct events {
        struct event *event;
        size_t n;
};

void events_done(struct events *e); /* for CLEANUP */

/* The newest MAX that C may see, in order. */
int events_newest(struct model *m, const struct caller *c, size_t max, struct events *ret);

/* The first MAX after SEQ and up to LAST. */
int events_after(struct model *m, const struct caller *c, uint64_t seq, uint64_t last, size_t max, struct events *ret);

/*
 * The newest of all. What there is up to it outlives the machine when this returns, so that nobody hears of what a power
 * cut undoes. -EIO: it never will.
 */
int events_last(struct model *m, uint64_t *ret);

/* Is all there that C may see after SEQ? -ESTALE: some of it is not kept any more, or SEQ is none that was given out yet. */
int events_check(struct model *m, const struct caller *c, uint64_t seq, struct diag *diag);

#endif
