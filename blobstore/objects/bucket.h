/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_BUCKET_H
#define BLOBSTORE_OBJECTS_BUCKET_H

/*
 * A store's part of a bucket: what is there of it, whether it answers, and that it is this store's. Any number of threads may
 * share one.
 *
 * Where the server does not answer, refuses the keys or says what cannot be, the bucket is away: every call fails at once with
 * -EHOSTDOWN, and a thread asks until it is back. So nobody waits longer than what one read may take, once.
 *
 * The object "format" says which store it is: before the first change it is held against the one that is open here, so that
 * another library does not work in it, too; and of the copies of one, the last that was opened does (claim.h). What the others are
 * asked to change is -EROFS from then on, and what is not there for them is -EHOSTDOWN: nothing is known of it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/base/strbuf.h"
#include "blobstore/objects/s3.h"

/* What a caller asks for at once at the most. */
#define BUCKET_READ_MAX ((size_t)2 << 20)

struct bucket;

/*
 * Asks nobody yet. PLACE is as s3_place_parse() has it. -EOPNOTSUPP, -EINVAL, -ENOENT (there are no keys); WHY has a sentence, as in
 * all of these.
 */
int bucket_new(const char *place, struct bucket **ret, struct strbuf *why);
/* Ends what is at work with an error, as all that is asked from then on: before the threads that use it are joined. */
void bucket_stop(struct bucket *b); /* accepts NULL */
void bucket_free(struct bucket *b); /* accepts NULL */

/* From now on it is asked another way: PLACE is as above, and nobody is asked whether the same lies there. Errors as above. */
int bucket_move(struct bucket *b, const char *place, struct strbuf *why);

/* Can a new store lie there? -ENOTEMPTY: something does already. Else as s3_probe(). */
int bucket_probe(struct bucket *b, struct strbuf *why);
struct bucket_store {
        const char *format; /* what the object says; copied */
        int dir_fd; /* of its directory, borrowed; -1: nothing is to be changed */
        atomic_bool *taken; /* is set when another copy has taken it over; borrowed */
};
/* It is that of a new store: -EBUSY where it is another's. Succeeds where it is that already, and takes over from whoever had it. */
int bucket_claim(struct bucket *b, const struct bucket_store *store, struct strbuf *why);
/* Of a store that is there, which is asked before the first change. Once is enough. */
int bucket_expect(struct bucket *b, const struct bucket_store *store);
/* Is it that of the store with this format, and directory, as that has it now? -EBUSY: it is not. */
int bucket_compare(struct bucket *b, const char *format, int dir_fd, struct strbuf *why);
/* Asks now whether it is there, and this copy's: as before a change. */
int bucket_look(struct bucket *b);
/* Was it found to be another copy's? With WHO, which may be NULL, whose. */
bool bucket_is_taken(struct bucket *b, struct strbuf *who);

/* Is it away? With TROUBLE, which may be NULL, why. */
bool bucket_is_away(struct bucket *b, struct strbuf *trouble);
bool bucket_is_stopped(struct bucket *b);
/* Until it is not away, or so long at the most, or until it is stopped: then false. */
bool bucket_wait(struct bucket *b, unsigned ms);

/*
 * -EHOSTDOWN: it is away, or refuses. Others as said; of changes -EDQUOT: it is full; -EROFS: another copy has it.
 */

/* SIZE bytes of the file; succeeds where the same is there. -EEXIST: something else is, that nobody but us should have put there. */
int bucket_put(struct bucket *b, const char *name, int fd, uint64_t size);
/* Up to N bytes, BUCKET_READ_MAX at the most; fewer where the object ends. RET_SIZE as in s3_get(). -ENOENT. */
int bucket_get(struct bucket *b, const char *name, uint64_t from, void *buf, size_t n, size_t *ret_n, uint64_t *ret_size);
int bucket_size(struct bucket *b, const char *name, uint64_t *ret); /* -ENOENT */
int bucket_remove(struct bucket *b, const char *name); /* one that is gone, too */
int bucket_each(struct bucket *b, const char *start, s3_each_fn *each, void *ctx);

#endif
