/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_TREE_PRINT_H
#define FS_TREE_TREE_PRINT_H

/* --print-tree */

#include <stdbool.h>
#include <stdio.h>

/* The whole tree with its help lines. */
void tree_print(FILE *f);
/*
 * The part of each directory whose path ends with NAME, such as "instances", "<image>" or "private/<image>/disks"; the
 * brackets may be left out. false: there is none.
 */
bool tree_print_part(FILE *f, const char *name);
/* The names that the above takes, in a line. */
void tree_print_names(FILE *f);

#endif
