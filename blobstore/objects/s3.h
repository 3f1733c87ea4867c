/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_S3_H
#define BLOBSTORE_OBJECTS_S3_H

/*
 * Objects of a bucket. Each is put whole and once; a part of one can be read. Any number of threads may use a client: each call
 * has a connection to itself, and these are kept.
 *
 * No try begins after the deadline, and the last one ends by it, too, but for the time that its bytes take at 64 KB a second while
 * they move. What may pass (no connection, one that was cut or stands still, 429, 500, 502, 503, 504)
 * is tried again until then, after a pause that doubles. What a server says is held against what was asked: of a PUT it has the
 * SHA-256, and a range that comes back shorter or from elsewhere than it says is an error.
 *
 * There is no upload in parts: a server need not heed the condition when they are put together (Ceph's does not), and what goes
 * into a bucket is no larger than a segment.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/base/strbuf.h"
#include "blobstore/objects/s3_place.h"

struct s3;

struct s3_opts {
        struct s3_place place;
        const struct s3_keys *keys; /* copied */
        unsigned deadline_ms; /* of a call with all its tries, see above */
        unsigned stall_ms; /* so long nothing may move in a try */
};

bool s3_is_supported(void);

/* -EOPNOTSUPP: this imagefs was built without libcurl. */
int s3_new(const struct s3_opts *opts, struct s3 **ret);
void s3_free(struct s3 *s); /* nothing may be in use; accepts NULL */

/*
 * All that is at work, and whatever is called from now on, ends with -ECANCELED at once, as does what a thread is at whose leash is
 * pulled (child_leash.h). Any thread.
 */
void s3_stop(struct s3 *s);

/*
 * In all of these NAME comes after the place's prefix, and WHY, which may be NULL, gets a sentence with an error:
 *      -ENOENT                 there is no such object
 *      -ENODEV                 nor such a bucket
 *      -EACCES                 the keys are wrong, or do not allow it
 *      -EDQUOT                 the bucket, or its owner, may have no more
 *      -ETIMEDOUT              the deadline: whether it was done is not known
 *      -EPROTO                 the server answers what cannot be
 *      -EIO                    it refuses otherwise
 */

/* SIZE bytes of the file. Only when there is none of that name: -EEXIST. An object that this very call has made is none. */
int s3_put(struct s3 *s, const char *name, int fd, uint64_t size, struct strbuf *why);

/*
 * Up to N bytes from FROM on: fewer where the object ends. RET_SIZE, which may be NULL, gets how large it is; 0: the server does not say
 * so.
 */
int s3_get(struct s3 *s, const char *name, uint64_t from, void *buf, size_t n, size_t *ret_n, uint64_t *ret_size, struct strbuf *why);

int s3_size(struct s3 *s, const char *name, uint64_t *ret, struct strbuf *why);

/* One that is not there is removed, too. */
int s3_remove(struct s3 *s, const char *name, struct strbuf *why);

/*
 * The same, and no try begins after UNTIL_MS of s3_clock_ms(), whatever has kept it until then: -ESTALE. By a clock that goes on while the
 * process is stopped, or the machine sleeps.
 */
int s3_remove_until(struct s3 *s, const char *name, int64_t until_ms, struct strbuf *why);
int64_t s3_clock_ms(void);

/* Each name that begins with START, in order, and its size. The first error of EACH ends it, and what there was is no list. */
typedef int s3_each_fn(void *ctx, const char *name, uint64_t size);
int s3_list(struct s3 *s, const char *start, s3_each_fn *each, void *ctx, struct strbuf *why);

/*
 * Tries what a store will rely on, with two objects that are removed again: what was put is there at once and in the list, a
 * part of it can be read, a name is given once, and who signs wrongly is refused. -EPROTO: the server does not keep it.
 */
int s3_probe(struct s3 *s, struct strbuf *why);

#endif
