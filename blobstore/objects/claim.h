/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_CLAIM_H
#define BLOBSTORE_OBJECTS_CLAIM_H

/*
 * Who has a part of a bucket. Of a store's directory there can be a copy: one that was put back after its host was lost, or one that
 * is in use on another host. Both know the same objects, and each would remove what the other needs.
 *
 * So whoever opens the store to write makes a claim: the object claim/<number>, one higher than the last, which is given once
 * (If-None-Match), and says who made it; the same is in the file "claim" of the directory, and below it, until it is known to be
 * there, the one before, which counts where it is not. The highest has it. Whoever finds one
 * that is higher than that in its file, or another of the same number, was taken over from, and changes nothing any more.
 *
 * A directory without the file, such as one that was lost and made again, takes over; so it goes on with a copy by removing that.
 */

#include <stdint.h>

#include "blobstore/base/strbuf.h"
#include "blobstore/objects/s3.h"

#define CLAIM_FOLDER "claim/"
#define CLAIM_MAX    256 /* of the text */

struct claim {
        uint64_t number; /* 0: none */
        uint64_t tried; /* the last that was to be made here, which may be there one day */
        char text[CLAIM_MAX]; /* what the object says, and the file; empty: nobody has one, or it was taken over */
};

/*
 * In all of these WHY has a sentence with an error: -EROFS: another has it; others of s3.h, and of the directory's disk.
 */

/* The one that the directory has, where nobody has a higher one. */
int claim_find(struct s3 *s, int dir_fd, struct claim *ret, struct strbuf *why);

/*
 * Makes the next one after what was found, and removes those before. Where the bucket is full the last goes on, if there is one: else
 * nothing could be removed there.
 */
int claim_make(struct s3 *s, int dir_fd, struct claim *claim, struct strbuf *why);

/* Is it the highest? -ENOENT: it is not there. */
int claim_hold(struct s3 *s, const struct claim *claim, struct strbuf *why);

#endif
