/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_BLOB_H
#define BLOBSTORE_BLOBS_BLOB_H

/*
 * Blobs: immutable, read at any place, written from the first byte to the last, shared, compared, removed. What
 * blobstore.h says of errors and threads holds here: any number of threads may share a struct blob, and a blob_writer
 * belongs to one thread at a time.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "blobstore/base/block.h"
#include "blobstore/chunks/blob_info.h"

struct blobstore;
struct blob;
struct blob_writer;

/* ---- reading ---- */

/* An open blob stays readable until it is closed, even if it is removed. -ENOENT. Release with blob_close(). */
int blob_open(struct blobstore *bs, const struct blob_id *id, struct blob **ret);
void blob_close(struct blob *b); /* accepts NULL */

/* Borrowed until blob_close(). */
const struct blob_info *blob_get_info(const struct blob *b);
const struct blob_id *blob_get_id(const struct blob *b);

struct blobstore *blob_store(const struct blob *b);

/* Reads N bytes at OFF, holes as zeros; gives the count, short only at the end of the blob. */
ssize_t blob_pread(struct blob *b, void *buf, size_t n, uint64_t off);

/*
 * The stretch around OFF that is stored as one, and that reading any of it decodes: 1, or 0 where there is none. At
 * most 256 KiB.
 */
int blob_stretch(struct blob *b, uint64_t off, uint64_t *ret_off, size_t *ret_n);

/*
 * The first offset at or after OFF that is data (SEEK_DATA) or a hole (SEEK_HOLE), as lseek(2)
 * defines them: the end counts as a hole. Far behind OFF a hole of less than two clusters may be taken for data, so
 * that no call goes through all of a map (see map_find_hole()). -ENXIO: OFF is at or past the end, or no data follows;
 * -EINVAL: other WHENCE.
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

/* Reads all of a blob for its checksum, which it gives without recording it. PROGRESS is asked in large holes, too. */
int blob_work_out_checksum(struct blob *b, blob_progress_fn *progress, void *ctx, struct blob_checksum *ret);

/* A chunk that a blob is made of: two of one place are the same. */
struct blob_chunk {
        uint64_t place; /* never 0; in its store alone */
        uint32_t raw_len, stored_len;
};
/* Calls FN for each, in order; one that is there several times comes several times. What is not 0 of FN ends it. */
typedef int blob_chunk_fn(void *ctx, const struct blob_chunk *c);
int blob_each_chunk(struct blob *b, blob_chunk_fn *fn, void *ctx);

/* ---- writing ---- */

/*
 * Starts a blob, filled from its first byte to its last with append and hole calls. The work is spread
 * over the store's threads; the memory used does not depend on the size. Nothing is visible before the commit.
 */
int blob_writer_new(struct blobstore *bs, struct blob_writer **ret);

/* Adds N bytes. Blocks of zeros become holes. -EFBIG past BLOB_SIZE_MAX. An error is final for the writer. */
int blob_writer_append(struct blob_writer *w, const void *buf, size_t n);

/*
 * Adds N zero bytes, without touching N bytes of memory, and in no time: the blob of more than 128 GiB of holes has no
 * checksum.
 */
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

/* ---- removing ---- */

/* Drops a blob, in time proportional to its chunks; space follows when no reader and no writer can need it. -ENOENT. */
int blob_remove(struct blobstore *bs, const struct blob_id *id);

#endif
