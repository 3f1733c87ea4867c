/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_OBJECTS_H
#define BLOBSTORE_OBJECTS_OBJECTS_H

/*
 * Where sealed things lie: files of a directory, or of folders in it ("ab/name"), that do not change once they are
 * there, but for parts that are given back. What is still written to lies elsewhere, or is its writer's business. For
 * chunks/ and blobs/. Any number of threads may use the same objects; each name has one who puts or removes it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct objects {
        int dir_fd; /* borrowed */
        atomic_bool *degraded; /* set where the sync of a name fails: see blobstore.h */
};

/*
 * Takes in the file FROM of the directory FROM_FD, which is whole and synced, as NAME, in a folder that is made where
 * there is none. On 0 this is durable.
 */
int objects_put(const struct objects *o, int from_fd, const char *from, const char *name);

/* For reading; the descriptor is owned by the caller. -ENOENT. */
int objects_open(const struct objects *o, const char *name, int *ret);
bool objects_exists(const struct objects *o, const char *name);

/* Its length, and the bytes that it occupies. -ENOENT. */
int objects_stat(const struct objects *o, const char *name, uint64_t *ret_size, uint64_t *ret_allocated);

/* What the kernel has of it in memory is forgotten, so that the next reader has it from the disk. A hint. */
void objects_drop_cached(const struct objects *o, const char *name);

/*
 * Puts N bytes back where the disk has lost them: the very bytes that were there, so that who reads meanwhile has what is
 * damaged or what is whole. On 0 this is durable. -ENOENT.
 */
int objects_mend(const struct objects *o, const char *name, uint64_t off, const void *buf, size_t n);

/* Gives [FROM, TO) back, as far as whole blocks of the file system lie inside. -ENOENT, -EOPNOTSUPP. */
int objects_punch(const struct objects *o, const char *name, uint64_t from, uint64_t to);

/* What follows is not durable before objects_sync_names() of the folder. -ENOENT. */
int objects_rename(const struct objects *o, const char *from, const char *to);
int objects_remove(const struct objects *o, const char *name);

/* Makes durable which names there are in the folder of NAME. */
int objects_sync_names(const struct objects *o, const char *name);

#endif
