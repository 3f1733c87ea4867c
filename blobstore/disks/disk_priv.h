/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_DISKS_DISK_PRIV_H
#define BLOBSTORE_DISKS_DISK_PRIV_H

/*
 * What the files of writable disks share. Locks are taken in this order: freeze, a range, that of struct disks, the
 * store's; sync_lock and the bitmap's are leaves.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "blobstore/blobs/store.h"
#include "blobstore/disks/disk.h"
#include "blobstore/disks/disk_bitmap_priv.h"
#include "blobstore/disks/disk_range_priv.h"

struct disk_cut;

/* A store's. */
struct disks {
        int dir_fd;
        pthread_mutex_t lock;
        pthread_cond_t settled; /* the files of one are no longer being made, or made longer */
        LIST_HEAD(, disk) list; /* open ones; under lock */
};

struct disk {
        struct blobstore *store;
        struct disk_id id;

        LIST_ENTRY(disk) link; /* under the lock of disks, as are the next three */
        unsigned users;
        bool removed; /* nobody opens it any more; its files are unlinked */
        bool making; /* a thread makes its files, or makes them longer: who wants to do that too, or to remove them, waits */

        /* What was written; a hole reads as zeros; longer than the disk by less than a block, of zeros. -1: it is young, and
         * none of the bits is set */
        atomic_int data_fd;
        struct disk_bitmap *bitmap; /* the blocks that are in it */
        struct blob *base; /* all others; NULL: zeros */
        uint64_t base_size;

        _Atomic uint64_t size_bytes; /* grows, under the lock of disks */
        pthread_mutex_t sync_lock;
        atomic_bool changed; /* something was done to the data or the bits since the last sync began */
        _Atomic uint64_t written_large; /* bytes, in large writes; writeback starts at each step of them */

        pthread_rwlock_t freeze; /* shared by whoever changes blocks; a snapshot begins while nobody does */
        struct disk_ranges ranges; /* of blocks that go from the base into the data, or that must stay for the cut */
        struct disk_cut *cut; /* of the snapshot at work, or NULL; under freeze */
};

/* ---- disk.c ---- */

void disk_free(struct disk *d); /* accepts NULL, and one that is half opened */

/* Makes all files of a disk that has none. What a crash left of an earlier try goes. -EBADMSG: it is no such. */
int disk_create_planned(struct blobstore *bs, const struct disk_plan *plan);

/*
 * Between these the files of D are the calling thread's to make and to make longer. Call with the lock of disks, which the
 * first gives up while it waits, and which need not be held between them.
 */
void disk_making_begin(struct disk *d);
void disk_making_end(struct disk *d);

/* Has it open without a user, as something changed in it that is not synced. Nothing, if it is open already. */
int disk_adopt(struct blobstore *bs, const struct disk_id *id);

/* ---- disk_files.c: their files below disks/, and their format ---- */

enum disk_file {
        DISK_FILE_META,
        DISK_FILE_BITMAP,
        DISK_FILE_DATA,
        DISK_FILE_COUNT,
};

uint64_t disk_blocks(uint64_t size_bytes);

/* Seeds the checksums of what belongs to the disk. */
uint64_t disk_seed(const struct disk_id *id);

/* What the meta file says, which is as a plan. -ENOENT, -EBADMSG, -EPROTONOSUPPORT. */
int disk_files_read_meta(struct blobstore *bs, const struct disk_id *id, struct disk_plan *ret);
int disk_files_write_meta(struct blobstore *bs, const struct disk_plan *meta);

/*
 * Has a disk without its meta file bytes in its data? Then it is one that has lost that, and not what a crash left of one that
 * was being made. 0, 1, or a negative errno.
 */
int disk_files_have_data(struct blobstore *bs, const struct disk_id *id);

/* Makes them, without the meta file, which completes a disk. */
int disk_files_create(struct blobstore *bs, const struct disk_id *id, uint64_t size_bytes);

/* At least as long as the disk needs. -EBADMSG: missing or shorter. */
int disk_files_open(struct blobstore *bs, const struct disk_id *id, enum disk_file file, uint64_t size_bytes, int *ret);

/* Durably longer. */
int disk_files_grow(struct blobstore *bs, const struct disk_id *id, uint64_t size_bytes);

/* Durably without its meta file nobody opens it. -ENOENT: there is none. */
int disk_files_forget(struct blobstore *bs, const struct disk_id *id);

/* The other files. -ENOENT: there are none. */
int disk_files_remove(struct blobstore *bs, const struct disk_id *id);

/* Reads N bytes at OFF of the data of an open disk, holes as zeros. -EBADMSG: somebody made the file shorter. */
int disk_files_read(const struct disk *d, void *buf, size_t n, uint64_t off);

/* ---- disk_io.c ---- */

/* Call after a change was tried, before that is answered: the last close has something to sync then. */
void disk_note_change(struct disk *d);

/* Is the block of POS in the data? *ret_end: up to where, END at most, the answer is the same. */
int disk_find_run(struct disk *d, uint64_t pos, uint64_t end, bool *ret_changed, uint64_t *ret_end);

/* ---- disk_cut.c: what a disk held at one moment, while it goes on being changed ---- */

/* That moment is now, until disk_cut_end(). *ret_size: the disk's. -EBUSY: there is one. */
int disk_cut_begin(struct disk *d, uint64_t *ret_size);

/* Gives the first error that kept something from being saved. */
int disk_cut_end(struct disk *d);

/* Before blocks FIRST … END - 1 are changed. Call with freeze shared, a cut, and their range locked. */
void disk_cut_save(struct disk *d, uint64_t first, uint64_t end);

/*
 * Where the bytes of that moment are, for as many blocks from FIRST on, before END, as have them there: *ret_fd, or -1
 * for the base. A descriptor is good while the range is locked; what is in the base stays there.
 */
int disk_cut_find(struct disk *d, uint64_t first, uint64_t end, int *ret_fd, uint64_t *ret_n);

DEFINE_CLEANUP(struct disk *, disk_closep, disk_close)
DEFINE_CLEANUP(struct disk *, disk_freep, disk_free)

#endif
