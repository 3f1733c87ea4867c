/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_PARENT_H
#define FS_TREE_PARENT_H

#include "fs/tree/req.h"

/*
 * The directory that the directory N is in, as ".." asks for it: of those that a server of a network file system, or
 * open_by_handle_at(2), knows by a number alone. -ESTALE: its object is gone, or N is a second place of something, which
 * only the first knows (dir_mirror.c).
 */
int parent_find(struct req *rq, struct node n, struct node *ret);

#endif
