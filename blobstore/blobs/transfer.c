/* SPDX-License-Identifier: MIT */

/*
 * Copying a blob between stores. Its data runs through a writer of the target, which cuts it the same way, because cuts
 * follow from the content, and stores only what the target lacks. So a copy that was interrupted needs no record
 * of how far it came: what it had brought over is found by its content.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobstore/blobs/blob_write_priv.h"

/* A few chunks, so that most are decoded whole and straight into the buffer. */
#define TRANSFER_BUFFER (4 * CHUNK_SIZE_MAX)

struct transfer {
        struct blob *from;
        struct blob_writer *to;
        blob_progress_fn *progress;
        void *ctx;
        uint64_t done_bytes;
        uint8_t *buffer;
};

static int transfer_data(struct transfer *t, uint64_t off, uint64_t end)
{
        ssize_t n;
        int r;

        for (; off < end; off += (uint64_t)n) {
                n = blob_pread(t->from, t->buffer, end - off < TRANSFER_BUFFER ? (size_t)(end - off) : TRANSFER_BUFFER,
                               off);
                if (n < 0)
                        return (int)n;
                r = blob_writer_append(t->to, t->buffer, (size_t)n);
                if (r < 0)
                        return r;
                t->done_bytes += (uint64_t)n;
                r = t->progress ? t->progress(t->ctx, t->done_bytes, blob_get_info(t->from)->data_bytes) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int transfer_runs(struct transfer *t)
{
        uint64_t size = blob_get_info(t->from)->size_bytes, pos = 0, data, hole;
        int r;

        while (pos < size) {
                r = blob_seek(t->from, pos, SEEK_DATA, &data);
                if (r == -ENXIO)
                        return blob_writer_hole(t->to, size - pos);
                if (r == 0)
                        r = blob_seek(t->from, data, SEEK_HOLE, &hole);
                if (r == 0)
                        r = blob_writer_hole(t->to, data - pos);
                if (r == 0)
                        r = transfer_data(t, data, hole);
                if (r < 0)
                        return r;
                pos = hole;
        }
        return 0;
}

int blob_transfer(struct blob *from, struct blobstore *to, blob_progress_fn *progress, void *ctx, struct blob **ret,
                  uint64_t *ret_moved)
{
        CLEANUP(blob_writer_freep) struct blob_writer *writer = NULL;
        CLEANUP(blob_closep) struct blob *copy = NULL;
        CLEANUP_FREE uint8_t *buffer = NULL;
        struct transfer t = { .from = from, .progress = progress, .ctx = ctx };
        int r;

        buffer = malloc(TRANSFER_BUFFER);
        if (!buffer)
                return -ENOMEM;
        r = blob_writer_new(to, &writer);
        if (r < 0)
                return r;
        t.to = writer;
        t.buffer = buffer;
        r = transfer_runs(&t);
        if (r == 0)
                r = blob_writer_commit(writer, &copy);
        if (r < 0)
                return r;

        *ret_moved = blob_writer_moved(writer);
        *ret = TAKE_PTR(copy);
        return 0;
}
