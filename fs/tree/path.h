/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_PATH_H
#define FS_TREE_PATH_H

#include "fs/tree/req.h"

/*
 * Adds the path of an object's directory, from the mount on: "/regions/cn-north-1/private/web"; SHARED: where those have
 * an image that it is shared with. Nothing of OBJECT_NONE, to which paths from the mount belong. Only RQ's model is
 * asked. -ENOENT: it is gone.
 */
int path_add(struct req *rq, enum object_kind kind, uint64_t id, bool shared, struct strbuf *out);

#endif
