/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_H
#define FS_OPS_H

/*
 * The requests of the kernel. Each handler decodes, calls one function that gives 0 or a negative errno, and replies
 * exactly once; a refusal leaves its sentence in the object's last-error and in info/errors on the way (ops_refuse).
 */

#include "fs/tree.h"

extern const struct fuse_lowlevel_ops ops;

/* ops_dir.c */
void ops_opendir(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void ops_releasedir(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);

/* ops_xattr.c */
void ops_setxattr(fuse_req_t fuse, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void ops_getxattr(fuse_req_t fuse, fuse_ino_t ino, const char *name, size_t size);
void ops_listxattr(fuse_req_t fuse, fuse_ino_t ino, size_t size);
void ops_removexattr(fuse_req_t fuse, fuse_ino_t ino, const char *name);

/* Answers an error. Records the sentence, or a plain one for the errno, as a refusal of something done to N. */
void ops_refuse(struct req *rq, struct node n, int error);
/* Answers an error that is no refusal: nothing there, nothing more to read. */
void ops_error(struct req *rq, int error);

/* The child of a directory by name: node, and its object where that came along (else ret_object->id is 0). -ENOENT. */
int ops_resolve(struct req *rq, fuse_ino_t parent, const char *name, struct node *ret, struct object *ret_object);

#endif
