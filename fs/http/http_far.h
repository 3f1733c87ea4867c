/* SPDX-License-Identifier: MIT */
#ifndef FS_HTTP_HTTP_FAR_H
#define FS_HTTP_HTTP_FAR_H

/*
 * What waits for the disk of a blob store other than the library's own. The server's threads are few and each has many
 * clients, so they do none of it: a store has threads of its own, started when they are first needed, so that one that
 * does not answer keeps no others' downloads waiting. Any thread may use all of this.
 */

#include <stdint.h>
#include <sys/queue.h>

struct http_far;

struct http_far_job {
        STAILQ_ENTRY(http_far_job) link;
        uint64_t store;
        void (*run)(struct http_far_job *job); /* which may be added again, or freed, by then */
};

int http_far_new(struct http_far **ret);
/* Runs what is there, waits for all that is at work, and frees. Accepts NULL. */
void http_far_free(struct http_far *far);

/* JOB is borrowed until it runs. -EAGAIN, -ENOMEM: it never will. */
int http_far_add(struct http_far *far, struct http_far_job *job);

#endif
