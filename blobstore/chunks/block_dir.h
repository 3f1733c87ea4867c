/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_BLOCK_DIR_H
#define BLOBSTORE_CHUNKS_BLOCK_DIR_H

/*
 * The directory of a cache on disk: DIR/NAME, for the daemon's user alone, with CACHEDIR.TAG, which keeps it out of
 * backups, and a file for each blob, by its id in hex. Whatever else lies there is left alone. It may be removed while it
 * is used, and is made again by the next file that is created. For block_cache.c alone.
 */

#include <pthread.h>
#include <stdint.h>

#include "blobstore/chunks/blob_info.h"

struct block_dir {
        char *dir, *name;
        pthread_mutex_t lock; /* it is made by one thread at a time */
        int fd; /* of the same number as long as it is open, whatever becomes of the directory */
};

/*
 * -EPERM: somebody else can write it, or read it; -EOPNOTSUPP: its file system has no holes to punch. Release with
 * block_dir_done(), after a failure too.
 */
int block_dir_init(struct block_dir *d, const char *dir, const char *name);
void block_dir_done(struct block_dir *d);

/* Opens the file of a blob, which is made with CREATE. The descriptor is the caller's. -ENOENT. */
int block_dir_open(struct block_dir *d, const struct blob_id *id, bool create, int *ret);
void block_dir_remove(struct block_dir *d, const struct blob_id *id);

/* Calls FN for each file, with the bytes that it takes. */
typedef int block_dir_fn(void *ctx, const struct blob_id *id, uint64_t bytes);
int block_dir_each(struct block_dir *d, block_dir_fn *fn, void *ctx);

/* Bytes of its disk: the free ones, as an ordinary user may use them, and all. */
int block_dir_space(struct block_dir *d, uint64_t *ret_free, uint64_t *ret_all);

#endif
