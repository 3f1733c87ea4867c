/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_TREE_H
#define FS_TREE_TREE_H

/* The whole tree: from an inode number to the table that says what it is. */

#include "fs/tree/kind.h"

const struct dir_kind *tree_kind(enum node_kind kind); /* NULL for a number that is none */
const struct entry *tree_entry(struct node n); /* NULL unless n is an entry */

/* The node of a fixed sub-directory, E of the directory DIR. */
struct node tree_subdir(const struct entry *e, struct node dir);

/*
 * The name that a fixed sub-directory always has in the directory of an object; OID is the object's id. NULL: it is none.
 */
const char *tree_subdir_name(struct node n, uint64_t oid);
/* The directory whose fixed sub-directory N is. false: it is none. */
bool tree_subdir_of(struct node n, struct node *ret);

/* The node of a child of a directory. */
struct node tree_child(struct node dir, const struct child *c);

/* Are the tables consistent? Aborts with a message when they are not; run at start. */
void tree_check(void);

#endif
