/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_OPS_H
#define FS_OPS_OPS_H

/*
 * The requests of the kernel. Each handler decodes, calls one function that gives 0 or a negative errno, and replies
 * exactly once; a refusal leaves its sentence in the object's last-error and in info/errors on the way (ops_refuse).
 */

#include "fs/tree/tree.h"

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

/* ops_file.c */
void ops_open(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void ops_read(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void ops_write(fuse_req_t fuse, fuse_ino_t ino, const char *bytes, size_t size, off_t off, struct fuse_file_info *fi);
void ops_flush(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_release(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsync(fuse_req_t fuse, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ops_fsyncdir(fuse_req_t fuse, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ops_fallocate(fuse_req_t fuse, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi);
void ops_copy_file_range(fuse_req_t fuse, fuse_ino_t ino_in, off_t off_in, struct fuse_file_info *fi_in,
                         fuse_ino_t ino_out, off_t off_out, struct fuse_file_info *fi_out, size_t len, int flags);
void ops_lseek(fuse_req_t fuse, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);

/*
 * Answers an error. Records the sentence, or a plain one for the errno, as a refusal of something done to N; of EINTR
 * there is nothing to record.
 */
void ops_refuse(struct req *rq, struct node n, int error);
/* Answers an error that is no refusal: nothing there, nothing more to read. */
void ops_error(struct req *rq, int error);

/*
 * The child of a directory by name: node, and its object where that came along (else ret_object->id is 0). -ENOENT.
 *
 * In a directory that is closed to the caller, sub-directories are found all the same: an error would throw them out
 * of the kernel's cache for everybody, and leave working directories deleted. They are as closed, and the rest is
 * -EACCES.
 */
int ops_resolve(struct req *rq, fuse_ino_t parent, const char *name, struct node *ret, struct object *ret_object);

/* What the kernel is told about a node; *O, where its id is set, saves asking for it. */
int ops_fill_entry(struct req *rq, struct node n, const struct object *o, struct fuse_entry_param *ret);

#endif
