/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_INTAKE_H
#define BLOBSTORE_BLOBS_INTAKE_H

/*
 * A file on its way in, written in any order. What begins like the plain bytes of a disk and comes in order is cut,
 * compressed and stored while it comes: it needs no space of its own, its bytes go to the disk once, and nothing is
 * left to be done when the last one is there. Everything else is kept in a file until it is complete.
 *
 * Any number of threads may write to an intake; calls wait for each other. An error of a function that stores bytes is
 * final: it is given again until the intake is truncated to nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/blobs/blob.h"

struct intake;

/* By these it is judged whether a file is stored while it comes. */
#define INTAKE_HEAD_BYTES ((size_t)64 << 10)

/* What it asks of whoever knows. Called while writers to the intake wait. */
struct intake_ops {
        /* Could a file that begins with these INTAKE_HEAD_BYTES be the bytes of a disk as they are? */
        bool (*begins_plain)(void *ctx, const uint8_t *start);

        /* May N more bytes go into the file, when a stream becomes one? Where not, a negative errno, which ends it. */
        int (*room)(void *ctx, uint64_t n);
};

/*
 * FD is an empty regular file on the store's disk, open for reading and writing; borrowed until intake_free(), as CTX
 * is. Release with intake_free().
 */
int intake_new(struct blobstore *bs, int fd, const struct intake_ops *ops, void *ctx, struct intake **ret);
void intake_free(struct intake *in); /* accepts NULL; what was stored and not committed is given up */

/*
 * Where the process may be followed by another (supervise.h), right after intake_new(): all that counts as taken is in the
 * file, of a stream as well, as long as there is room for it. There intake_resume() takes the place of that: FD is what the
 * earlier one had, which it is kept in from then on; -ESTALE: not all of what it took is there.
 */
void intake_last(struct intake *in);
int intake_resume(struct intake *in);
/* No other process is to go on with it, unless it is truncated to nothing first. */
void intake_spoil(struct intake *in);
/* Gives up the room that a stream takes for that. False: there is nothing to give up. */
bool intake_give_way(struct intake *in);

/* What waits for a write may go on. */
typedef void intake_taken_fn(void *ctx);

/*
 * OFF + N is at most BLOB_SIZE_MAX. TAKEN (or NULL) is called unless an error is returned: for a stream before the
 * bytes are cut, so that the next ones can be on their way meanwhile. What goes wrong after that is the next call's to
 * tell. The calls' order is that in which they began.
 */
int intake_write(struct intake *in, const void *buf, size_t n, uint64_t off, intake_taken_fn *taken, void *ctx);
int intake_truncate(struct intake *in, uint64_t size);

/* From here on it is kept in the file, which has all of it and can be read then. False: it is being stored while it comes. */
bool intake_keep_in_file(struct intake *in);

/* Is it being stored while it comes? */
bool intake_is_streaming(struct intake *in);

/*
 * A stream keeps collections from whatever has become unused since it began. One that began more than SECONDS ago goes
 * on as one that begins now, in time proportional to its chunks.
 */
int intake_renew(struct intake *in, unsigned seconds);

/* Waits until a stream is on disk, as blob_writer_sync(). */
int intake_sync(struct intake *in);

/*
 * Makes the file look as if it held all that was written: its start, its end and its length, or where the file system
 * takes no file of that length, a shorter one.
 */
int intake_show(struct intake *in);

/*
 * Is all that was written in the file, or all in the stream? Else it takes intake_settle() to look at it, which reads
 * back what was streamed.
 */
bool intake_is_whole(struct intake *in);

/*
 * The end, when nobody writes any more, of what is a plain disk, as blob_writer_commit(): *ret is what was written,
 * NULL where that is in the file. And the other end: all bytes go into the file. PROGRESS (or NULL) is called for each
 * megabyte of them; a negative errno of it is returned, and leaves the file incomplete.
 */
int intake_commit(struct intake *in, struct blob **ret);
typedef int intake_progress_fn(void *ctx);
int intake_settle(struct intake *in, intake_progress_fn *progress, void *ctx);

#endif
