/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBSTORE_H
#define BLOBSTORE_BLOBSTORE_H

/*
 * A store of immutable blobs (disk images), deduplicated and compressed, in one
 * directory. Beside it the layers above include disks/ (writable disks), blobs/intake.h
 * (files on their way in), import/ (foreign image files) and export/ (qcow2 views).
 *
 * Functions give 0, or a documented positive value, on success and a negative
 * errno on failure; out-parameters are written on success only. Any number of
 * threads may share a struct blobstore and a struct blob; a blob_writer belongs
 * to one thread at a time. No function calls back into the layers above while it
 * holds a lock. The library never logs above debug level.
 *
 * Errors that any function may give: -ENOMEM; -EIO where the disk failed;
 * -ENOSPC; -EBADMSG where stored bytes do not match their checksum (never wrong
 * bytes, never zeros); -EROFS from everything that writes, once a sync has
 * failed: after that the kernel's view of what is on disk cannot be trusted, so
 * nothing is acknowledged any more until the store has been opened anew.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "blobstore/base/block.h"
#include "blobstore/chunks/blob_info.h"

struct blobstore;
struct blob;
struct blob_writer;

struct blobstore_opts {
        bool read_only; /* nothing is created, repaired or collected; for checking */
        size_t cache_bytes; /* decoded chunks kept in memory; 0: 64 MiB */
        unsigned threads; /* that hash and compress, per store; 0: one per processor */
};

/*
 * Opens the store in directory DIR, creating it if DIR is empty or missing (its
 * parent must exist). One process at a time: -EBUSY where another has it open.
 * -EUCLEAN: not a store, or damaged beyond opening; -EPROTONOSUPPORT: a newer format.
 * A missing or damaged index is rebuilt from the maps.
 */
int blobstore_open(const char *dir, const struct blobstore_opts *opts, struct blobstore **ret);

/* Accepts NULL. All blobs and writers must be closed before. */
void blobstore_close(struct blobstore *bs);

int blobstore_get_stats(struct blobstore *bs, struct blobstore_stats *ret);

/* Bytes of the file system that holds the store: the free ones, as an ordinary user may use them, and all. */
int blobstore_free_bytes(struct blobstore *bs, uint64_t *ret);
int blobstore_disk_bytes(struct blobstore *bs, uint64_t *ret);

/* Did a sync fail, so that the store refuses writes? */
bool blobstore_is_degraded(struct blobstore *bs);

/*
 * A directory of the store for files on their way in (uploads), on the same disk. Borrowed
 * until blobstore_close(). The owner of the files is the caller.
 */
int blobstore_incoming_dir(struct blobstore *bs);

/* ---- reading ---- */

/* An open blob stays readable until it is closed, even if it is removed. -ENOENT. Release with blob_close(). */
int blob_open(struct blobstore *bs, const struct blob_id *id, struct blob **ret);
void blob_close(struct blob *b); /* accepts NULL */

/* Borrowed until blob_close(). */
const struct blob_info *blob_get_info(const struct blob *b);
const struct blob_id *blob_get_id(const struct blob *b);

/* Reads N bytes at OFF, holes as zeros; gives the count, short only at the end of the blob. */
ssize_t blob_pread(struct blob *b, void *buf, size_t n, uint64_t off);

/*
 * The stretch around OFF that is stored as one, and that reading any of it decodes: 1, or 0 where there is none. At
 * most 256 KiB.
 */
int blob_stretch(struct blob *b, uint64_t off, uint64_t *ret_off, size_t *ret_n);

/*
 * The first offset at or after OFF that is data (SEEK_DATA) or a hole (SEEK_HOLE), as lseek(2)
 * defines them: the end counts as a hole. -ENXIO: OFF is at or past the end, or no data follows; -EINVAL: other WHENCE.
 */
int blob_seek(struct blob *b, uint64_t off, int whence, uint64_t *ret);

/*
 * Called now and then with the bytes handled so far of a blob's data; a negative errno stops the work and is
 * what it returns.
 */
typedef int blob_progress_fn(void *ctx, uint64_t done_bytes, uint64_t total_bytes);

/*
 * Calls FN, in order, for every range in which the two differ, to a block's accuracy; what one has beyond the other's
 * end differs. Blobs may be of different stores. Ranges that share their chunks are not read; PROGRESS is told of them,
 * too. A negative errno from FN ends the walk and is returned.
 */
typedef int blob_range_fn(void *ctx, uint64_t off, uint64_t len);
int blob_diff(struct blob *a, struct blob *b, blob_range_fn *fn, blob_progress_fn *progress, void *ctx);

/* Reads all of a blob for its checksum, which it gives without recording it. */
int blob_work_out_checksum(struct blob *b, blob_progress_fn *progress, void *ctx, struct blob_checksum *ret);

/* ---- writing ---- */

/*
 * Starts a blob, filled from its first byte to its last with append and hole calls. The work is spread
 * over the store's threads; the memory used does not depend on the size. Nothing is visible before the commit.
 */
int blob_writer_new(struct blobstore *bs, struct blob_writer **ret);

/* Adds N bytes. Blocks of zeros become holes. -EFBIG past BLOB_SIZE_MAX. An error is final for the writer. */
int blob_writer_append(struct blob_writer *w, const void *buf, size_t n);

/* Adds N zero bytes, without touching N bytes of memory. */
int blob_writer_hole(struct blob_writer *w, uint64_t n);

struct blob_share_stats {
        uint64_t bytes_read; /* of chunks of which too little is wanted to share them */
        uint64_t bytes_shared;
};

/*
 * Adds bytes OFF … OFF + N of B, a blob of the same store: whole chunks without reading them, parts of chunks as
 * blob_writer_append() would. The blob has no checksum then. B may be closed and removed after it. -EINVAL: OFF, or
 * what was added so far, is no multiple of the block size, or B ends earlier.
 */
int blob_writer_share(struct blob_writer *w, struct blob *b, uint64_t off, uint64_t n, struct blob_share_stats *ret);

/*
 * On 0 the blob is durable, and *ret is that blob, open: nothing collects it before blob_close(), so that the
 * caller can first record its id durably. The writer is used up either way; free it.
 */
int blob_writer_commit(struct blob_writer *w, struct blob **ret);

/*
 * Waits until what was added is on disk, but for the last chunk, which may still grow: what goes wrong with it is told
 * now, and little is left for the commit.
 */
int blob_writer_sync(struct blob_writer *w);

/*
 * A writer keeps collections from whatever has become unused since it began. This one goes on, with all that was added
 * to it, as if it began now: in time proportional to its chunks, and nothing is written twice. After an error it is as
 * it was, and cannot be used any more.
 */
int blob_writer_renew(struct blob_writer **w);

/* Gives up what was not committed. Accepts NULL. */
void blob_writer_free(struct blob_writer *w);

/* ---- between stores ---- */

/*
 * Copies a blob into another store, where only chunks that the target lacks are written, and what an
 * earlier, interrupted copy had brought over is found again. *ret_moved: bytes of data written to the target.
 */
int blob_transfer(struct blob *from, struct blobstore *to, blob_progress_fn *progress, void *ctx,
                  struct blob **ret, uint64_t *ret_moved);

/* ---- giving space back ---- */

/* Drops a blob, in time proportional to its chunks; space follows when no reader and no writer can need it. -ENOENT. */
int blob_remove(struct blobstore *bs, const struct blob_id *id);

/* Is this blob named by somebody? Must be true for everything recorded; what is open is kept in any case. */
typedef bool blob_live_fn(void *ctx, const struct blob_id *id);

struct blobstore_gc_stats {
        uint64_t blobs_removed;
        uint64_t blobs_kept; /* removed, but still open: their space comes with a later call */
        uint64_t chunks_removed;
        uint64_t bytes_freed; /* returned to the file system */
};

/*
 * Drops every blob that LIVE denies (LIVE NULL: none) and returns the space of chunks that nothing uses to the
 * file system. Safe beside readers and writers at any moment: what they may still need is left for the next call.
 * Not to be called before interrupted work that should find its chunks again has started its writers.
 */
int blobstore_gc(struct blobstore *bs, blob_live_fn *live, void *ctx, struct blobstore_gc_stats *ret);

/* ---- checking ---- */

enum blobstore_problem {
        BLOBSTORE_PROBLEM_MAP, /* a blob's map is missing or damaged */
        BLOBSTORE_PROBLEM_CHUNK, /* a chunk of a blob is missing, out of place or damaged */
        BLOBSTORE_PROBLEM_INDEX, /* the index disagrees with the maps: counts, places, statistics */
        BLOBSTORE_PROBLEM_ORPHAN, /* a file or a chunk that belongs to nothing */
        BLOBSTORE_PROBLEM_DISK, /* a writable disk is damaged, or its base is missing */
};

/* ID is NULL where no blob is concerned; TEXT says what, for a person. Both borrowed for the call. */
typedef void blobstore_problem_fn(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text);

/*
 * Holds maps, index and segments against each other, reading every chunk when READ_DATA, and changes nothing.
 * Gives the number of problems reported.
 */
int blobstore_check(struct blobstore *bs, bool read_data, blobstore_problem_fn *report, void *ctx);

/* Calls FN for every committed blob. A negative errno from FN ends the walk and is returned. */
typedef int blob_each_fn(void *ctx, const struct blob_id *id, const struct blob_info *info);
int blobstore_each(struct blobstore *bs, blob_each_fn *fn, void *ctx);

#endif
