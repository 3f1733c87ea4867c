/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_IO_H
#define BLOBSTORE_BASE_IO_H

/*
 * Whole reads and writes, and files that appear complete and durable or not at
 * all. All return 0 or a byte count on success and a negative errno on failure.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads up to N bytes at OFF; short only at the end of the file. */
ssize_t pread_full(int fd, void *buf, size_t n, uint64_t off);

/* Writes all N bytes at OFF, or fails; what was written before a failure is unspecified. */
int pwrite_full(int fd, const void *buf, size_t n, uint64_t off);

/* Makes the entries of a directory durable. */
int fsync_dir(int dir_fd);

/*
 * Replaces NAME in the directory by BYTES: temporary file, fsync, rename, fsync of
 * the directory. After a failure or a crash NAME is the old file or the new one.
 */
int write_file_durable(int dir_fd, const char *name, const void *bytes, size_t n, mode_t mode);

/*
 * mkdir that is content with an existing directory, which is durable in DIR_FD afterwards: also one that another thread
 * has only just made.
 */
int mkdir_durable(int dir_fd, const char *name, mode_t mode);

#endif
