/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_TREE_MAN_H
#define FS_TREE_TREE_MAN_H

#include <stdio.h>

/* The list of paths in imagefs-tree(7), which is made of fs/man/imagefs-tree.7.in and this. */
void tree_man_print(FILE *f);

#endif
