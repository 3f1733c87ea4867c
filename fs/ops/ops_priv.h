/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_OPS_PRIV_H
#define FS_OPS_OPS_PRIV_H

/*
 * The handlers. Each decodes, calls one function that gives 0 or a negative errno, and replies exactly once; a refusal
 * leaves its sentence in the object's last-error and in info/errors on the way (reply.h).
 */

#include "fs/tree/tree.h"

/* ops_name.c */
void ops_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void ops_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode);
void ops_rmdir(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void ops_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                unsigned flags);
void ops_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void ops_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void ops_symlink(fuse_req_t fuse, const char *target, fuse_ino_t parent, const char *name);
void ops_link(fuse_req_t fuse, fuse_ino_t ino, fuse_ino_t new_parent, const char *name);

/* ops_attr.c */
void ops_getattr(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_setattr(fuse_req_t fuse, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi);
void ops_readlink(fuse_req_t fuse, fuse_ino_t ino);
void ops_statfs(fuse_req_t fuse, fuse_ino_t ino);

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

#endif
