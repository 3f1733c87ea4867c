/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_SEED_H
#define FS_TREE_SEED_H

#include "fs/tree/req.h"

/*
 * seed.iso of the instance that the request is about: an ISO 9660 image with the label cidata that holds the
 * files that cloud-init's NoCloud source reads. The same bytes as long as the instance does not change.
 */
int seed_show(struct req *rq, struct strbuf *out);

/* -EOPNOTSUPP, with a sentence, in a build that cannot make one. */
int seed_check(struct req *rq);

#endif
