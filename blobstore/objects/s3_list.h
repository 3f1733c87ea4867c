/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_S3_LIST_H
#define BLOBSTORE_OBJECTS_S3_LIST_H

/* What a server answers to "list the objects" (version 2, with names encoded as in a URL). */

#include "blobstore/base/strbuf.h"
#include "blobstore/objects/s3.h"

/*
 * EACH for each object, whose name begins with PREFIX, which is left out. 1: there is more, after NEXT; 0: that was all. -EPROTO:
 * it is no such answer, or not all of it: what EACH was told of may be anything. PAGE is changed.
 */
int s3_list_page(char *page, const char *prefix, s3_each_fn *each, void *ctx, struct strbuf *next);

#endif
