/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_WAY_H
#define BLOBSTORE_OBJECTS_WAY_H

/*
 * How a place in a bucket is asked: as its text says, with the keys that there are when the way is made, and with deadlines that
 * differ for who reads and who writes. When the text, or the keys, are changed, there is a newer one; whoever uses one has it until
 * the end.
 */

#include "blobstore/base/strbuf.h"
#include "blobstore/objects/s3.h"

struct way {
        struct way *older;
        struct s3 *reads, *writes;
};

/* Asks nobody yet. -EOPNOTSUPP, -EINVAL, -ENOENT (there are no keys); WHY has a sentence. */
int way_new(const char *place, struct way **ret, struct strbuf *why);
void way_free(struct way *way); /* and not the older ones; accepts NULL */

#endif
