/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_STORE_H
#define BLOBSTORE_BLOBS_STORE_H

/*
 * A store as blobs/ and disks/ share it, and blobstore.c composes it. For these alone: whoever uses a store does so by
 * blobstore.h. Locks are taken in this order: the disks', a writer's, move_lock or removal_lock, blobs_lock, the index's, the
 * segments'; the caches' and pools' are leaves.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/blobs/blob.h"
#include "blobstore/chunks/chunk_store.h"
#include "blobstore/objects/bucket.h"
#include "blobstore/objects/scans.h"

#define STORE_BLOB_BUCKETS 1024

struct disks;
struct kept;

struct blobstore {
        bool read_only;
        void (*progress)(void *ctx, const char *what, uint64_t done,
                         uint64_t total); /* of what takes long in opening; may be NULL */
        void *progress_ctx;
        struct timespec opened; /* by the clock of the disk's files */
        int dir_fd, lock_fd, segments_fd, moved_fd, maps_fd, temp_fd, incoming_fd;
        atomic_bool thrifty;  /* the disk was full, and the reserve is spent */
        atomic_int accounted; /* 1: whoever needs bytes is known, -1: not all are, 0: not asked yet; see account.h */

        struct chunk_store_far far; /* bucket: NULL where there is none */
        struct chunk_store *chunks;
        bool blocks_inside;      /* the cache on disk lies in the store */
        struct cache *map_pages; /* of open blobs */
        pthread_mutex_t scans_lock; /* a leaf */
        struct scans scans; /* who reads open blobs from one end to the other (blob_ahead.c); under it */
        struct disks *disks;     /* the open ones; see disks/ */
        struct kept *kept;       /* theirs, beyond the process; borrowed, may be NULL */
        atomic_uint streams;     /* intakes that store what comes in */

        pthread_mutex_t blobs_lock;
        LIST_HEAD(, blob) blobs[STORE_BLOB_BUCKETS]; /* open ones; under blobs_lock, as is the next */
        uint32_t next_scan;

        pthread_mutex_t move_lock;    /* a chunk is moved by one at a time; see mover_priv.h */
        pthread_mutex_t removal_lock; /* one blob is taken back, or one segment punched, at a time */
};

/* Nothing is open in it yet. NULL: no memory. */
struct blobstore *store_new(bool read_only);
void store_free(struct blobstore *bs); /* closes what is open, but for the disks */

/* -EROFS where nothing may be written. */
int store_writable(const struct blobstore *bs);

/*
 * R is what a write gave: true where it found no space, and the cache on disk has given some back, so that the write is
 * to be tried again.
 */
bool store_make_room(struct blobstore *bs, int r);

/* A sync failed with R: nothing is written any more (see blobstore.h). Gives R. */
int store_sync_failed(struct blobstore *bs, int r);

/* rebuild.c: makes a new index of what the maps and segments say, in place of whatever is there. */
int rebuild_index(struct blobstore *bs);

/* gc.c: sets aside the space that removing needs on a full disk. */
void gc_fill_reserve(struct blobstore *bs);

/* ---- of blobs, for disks/ ---- */

/*
 * blob_diff.c: are the chunks, or holes, that A and B have at OFF the same ones? *ret_end: up to where, END at the
 * most, the answer is the same. NULL, and what lies past a blob's end, is a hole.
 */
int blob_find_shared(struct blob *a, struct blob *b, uint64_t off, uint64_t end, bool *ret_shared, uint64_t *ret_end);

/*
 * The first run of data at or after OFF: 1, and where it goes from and to, or 0, where there is none before END. Goes
 * through no more than that, and takes no hole for data.
 */
int blob_find_data(struct blob *b, uint64_t off, uint64_t end, uint64_t *ret_start, uint64_t *ret_end);

/* The blob is to have no checksum; at 16 GB/s the holes of a large disk take longest. */
void blob_writer_forgo_checksum(struct blob_writer *w);

DEFINE_CLEANUP(struct blob *, blob_closep, blob_close)
DEFINE_CLEANUP(struct blob_writer *, blob_writer_freep, blob_writer_free)

#endif
