/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_ALIAS_H
#define FS_OPS_ALIAS_H

/*
 * Names of files that are being copied into a class: `cp debian.qcow2 private/` makes the image private/debian, and its
 * upload goes by the name debian.qcow2 until a moment after the last close, so that tools which set times or modes by
 * name when they have finished (cp -p, rsync, mv) find what they wrote. For them alone: to everybody else the name is
 * free, and the next file with it makes the next image. Never listed, gone with the daemon. Any thread may use it.
 */

#include "fs/tree/tree.h"

int aliases_new(struct aliases **ret);
void aliases_free(struct aliases *a); /* accepts NULL */

/* WHO: the user and the process that copies, as the kernel tells them with each request. */
int alias_add(struct aliases *a, fuse_ino_t parent, const char *name, const struct fuse_ctx *who, uint64_t image);
bool alias_find(struct aliases *a, fuse_ino_t parent, const char *name, const struct fuse_ctx *who, struct node *ret);
/* The image's upload is open, again. */
void alias_begin(struct aliases *a, uint64_t image);
/*
 * The last writer of the image's upload has closed it: the name goes soon. EMPTY: a file that was only made, which
 * another process of the same user may open for its bytes.
 */
void alias_end(struct aliases *a, uint64_t image, bool empty, uint64_t size_bytes);
/* Of one that goes soon, how large it was: tools compare. 0: there is none. */
uint64_t alias_size(struct aliases *a, uint64_t image);

/* The node of an image's upload file. */
struct node alias_upload_node(uint64_t image);

#endif
