/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_WAYS_H
#define FS_TREE_WAYS_H

/* For refusals: what people can do in a directory in place of what is never possible there. */

#include "fs/tree/node.h"

/* How things come to be in such directories, as the end of a sentence; static, never NULL. */
const char *ways_in(enum node_kind kind);

/* What to do about ERROR, a negative errno, where nothing more particular is known; static, never NULL. */
const char *ways_out(int error);

#endif
