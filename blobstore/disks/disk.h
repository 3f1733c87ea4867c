/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_DISKS_DISK_H
#define BLOBSTORE_DISKS_DISK_H

/*
 * Writable disks: a blob, the base, seen through what was written since. Creating one moves no bytes; a snapshot of one
 * reads only what was changed, and shares the rest with the base.
 *
 * A disk behaves as a block device with a volatile cache: what was written before disk_sync() was called is there
 * after it returned, whatever happens to process or machine; of what was written later each sector of 512 bytes may be
 * there or not.
 *
 * Any number of threads may share a struct blobstore and a struct disk. Operations that overlap in time and in their
 * bytes leave those as one or the other would; what they do not share is not touched by it. Errors are those that
 * blobstore.h lists for every function, and the ones told here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "blobstore/blobs/blob.h"

#define DISK_ID_SIZE 16

/* Random, never reused. */
struct disk_id {
        uint8_t bytes[DISK_ID_SIZE];
};

struct disk;

/*
 * Makes a disk that reads as BASE (NULL: as zeros), and as zeros beyond it. On 0 it is durable. The base must stay
 * named (see blob_live_fn) for as long as the disk exists. -ENOENT: no such blob; -EINVAL: smaller than the base;
 * -EFBIG: past BLOB_SIZE_MAX, or more than the file system can hold in one file.
 */
int disk_create(struct blobstore *bs, const struct blob_id *base, uint64_t size_bytes, struct disk_id *ret);

/* What the caller keeps of a disk that has no files: to make these means to wait for the disk they lie on several times. */
struct disk_plan {
        struct disk_id id;
        bool has_base;
        struct blob_id base;
        uint64_t size_bytes;
};

/* The same, but it writes nothing, and refuses what would be refused. */
int disk_plan(struct blobstore *bs, const struct blob_id *base, uint64_t size_bytes, struct disk_id *ret);

/* Opened several times it is one object, counted. -ENOENT; -EBADMSG also where its base is gone. */
int disk_open(struct blobstore *bs, const struct disk_id *id, struct disk **ret);

/*
 * The same; where it has no files (or a crash left some of them, empty and never seen), it is as the plan says, and young
 * until something is written to it, or disk_make() is called. Nothing else than the plan says what a young disk is: its size
 * is the caller's to keep.
 */
int disk_open_planned(struct blobstore *bs, const struct disk_plan *plan, struct disk **ret);

/* Gives a young disk its files, durably. 0 at once where it has them. Errors as of disk_create(). */
int disk_make(struct disk *d);
bool disk_is_young(const struct disk *d);

/* Accepts NULL. The last one syncs; call disk_sync() before to learn whether that works. */
void disk_close(struct disk *d);

/* Removes it. Whoever has it open goes on with what is left of it until the last disk_close(). -ENOENT. */
int disk_remove(struct blobstore *bs, const struct disk_id *id);

/* Calls FN for every disk. A negative errno from FN ends the walk and is returned. FN may remove the disk. */
typedef int disk_each_fn(void *ctx, const struct disk_id *id);
int disk_each(struct blobstore *bs, disk_each_fn *fn, void *ctx);

const struct disk_id *disk_get_id(const struct disk *d); /* borrowed until disk_close() */
struct blobstore *disk_store(const struct disk *d);
uint64_t disk_get_size(const struct disk *d);

/* How much data there is, from above and quickly: the base's, and the space that the changes take. */
uint64_t disk_get_data_bytes(const struct disk *d);

/* When it was last written to, or made: microseconds since the epoch. 0: it is young. */
int64_t disk_get_changed_us(const struct disk *d);

/* Reads N bytes at OFF; gives the count, short only at the end of the disk. */
ssize_t disk_pread(struct disk *d, void *buf, size_t n, uint64_t off);

/*
 * Writes N bytes at OFF; gives the count, short only at the end of the disk: it does not grow by writing. -ENOSPC: the
 * store is full, or OFF is at or past the end.
 */
ssize_t disk_pwrite(struct disk *d, const void *buf, size_t n, uint64_t off);

/* Makes N bytes at OFF zeros, and gives the space of whole blocks back. What lies past the end does not count. */
int disk_discard(struct disk *d, uint64_t off, uint64_t n);

/* As blob_seek(). What was discarded is a hole, zeros that were written are data. */
int disk_seek(struct disk *d, uint64_t off, int whence, uint64_t *ret);

struct disk_source {
        struct disk *disk;
        struct blob *blob; /* if there is no disk */
};

/*
 * Makes N bytes at OFF those at FROM_OFF of a disk or a blob of the same store or another, as far as that moves no
 * bytes: 1, where it did so for the first *ret_n of them; 0, where these have to be read and written. What the disk
 * reads as at that place already, from its base, is left alone; what was changed in another disk is shared with it,
 * where the store is on a file system that has reflinks. The caller keeps within the ends of both.
 */
int disk_clone(struct disk *d, uint64_t off, const struct disk_source *from, uint64_t from_off, uint64_t n,
               uint64_t *ret_n);

/* -ENOSPC: not yet; nothing is lost, sync again when there is room. */
int disk_sync(struct disk *d);

/* Grows it, durably unless it is young. -EINVAL: smaller than it is; -EFBIG: past BLOB_SIZE_MAX; -ESTALE: removed. */
int disk_resize(struct disk *d, uint64_t size_bytes);

/*
 * The part of that which takes long, and which nobody sees who has it open: whoever opens it after a crash does. Errors likewise.
 * disk_resize() to the same size has nothing left to wait for, and disk_resize_abort() takes it back.
 */
int disk_resize_begin(struct disk *d, uint64_t size_bytes);
void disk_resize_abort(struct disk *d);

struct disk_snapshot_stats {
        uint64_t bytes_read; /* of the changes, and of chunks of the base that lie around their ends */
        uint64_t bytes_shared; /* of the base's chunks, without reading them */
};

/*
 * A blob of what the disk holds at one moment during the call, after everything that had returned before it. Reads,
 * writes and syncs go on meanwhile. Progress is told in bytes of the disk. The blob comes without a checksum, see
 * blob_work_out_checksum(). Release with blob_close(). -EBUSY: another snapshot is at work.
 */
int disk_snapshot(struct disk *d, blob_progress_fn *progress, void *ctx, struct blob **ret,
                  struct disk_snapshot_stats *ret_stats);

#endif
