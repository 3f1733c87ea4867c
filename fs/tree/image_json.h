/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_IMAGE_JSON_H
#define FS_TREE_IMAGE_JSON_H

#include "fs/tree/req.h"

/* metadata.json: everything that does not change by itself, so that a backup of it is good. */
int image_json(struct req *rq, const struct image *i, const char *source, struct strbuf *out);

#endif
