/* SPDX-License-Identifier: MIT */

/*
 * A disk as a blob: the cut's blocks are read from the data, or from where they were saved, and appended; what lies
 * between them is the base's, and its chunks are shared.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/disks/disk_priv.h"

/* Read at a time: no more than the largest chunk has. */
#define READ_BLOCKS 64

struct snapshot {
        struct disk *disk;
        struct blob_writer *writer;
        uint64_t size, blocks; /* of the cut */
        struct disk_snapshot_stats stats;
        uint8_t *buffer; /* READ_BLOCKS of them */
};

/* Adds the bytes of the base, and zeros beyond it. */
static int snapshot_add_base(struct snapshot *s, uint64_t first, uint64_t end)
{
        uint64_t from = first * BLOB_BLOCK_SIZE;
        uint64_t to = end * BLOB_BLOCK_SIZE < s->size ? end * BLOB_BLOCK_SIZE : s->size;
        uint64_t shared_to = to < s->disk->base_size ? to : s->disk->base_size;
        struct blob_share_stats stats;
        int r;

        if (from < shared_to) {
                r = blob_writer_share(s->writer, s->disk->base, from, shared_to - from, &stats);
                if (r < 0)
                        return r;
                s->stats.bytes_read += stats.bytes_read;
                s->stats.bytes_shared += stats.bytes_shared;
                from = shared_to;
        }
        return from < to ? blob_writer_hole(s->writer, to - from) : 0;
}

/*
 * Reads data that the cut has from FIRST on, or finds out that it is a hole, for some blocks before END. *ret_n is how
 * many; *ret_len, in bytes, what of it is in the buffer: 0 for a hole.
 */
static int snapshot_read(struct snapshot *s, uint64_t first, uint64_t end, uint64_t *ret_n, size_t *ret_len)
{
        CLEANUP(disk_range_unlock) struct disk_range range;
        uint64_t off = first * BLOB_BLOCK_SIZE, to, n;
        off_t data, hole;
        ssize_t got;
        int fd, r;

        disk_range_lock(&s->disk->ranges, first, end, &range);
        r = disk_cut_find(s->disk, first, end, &fd, &n);
        if (r < 0)
                return r;
        to = off + n * BLOB_BLOCK_SIZE;

        data = lseek(fd, (off_t)off, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
                return -errno;
        if (data < 0 || (uint64_t)data > to)
                data = (off_t)to;
        if ((uint64_t)data >= off + BLOB_BLOCK_SIZE) {
                *ret_n = ((uint64_t)data - off) / BLOB_BLOCK_SIZE;
                *ret_len = 0;
                return 0;
        }

        hole = lseek(fd, data, SEEK_HOLE);
        if (hole < 0)
                return -errno;
        n = disk_blocks((uint64_t)hole - off);
        if (n > (to - off) / BLOB_BLOCK_SIZE)
                n = (to - off) / BLOB_BLOCK_SIZE;
        if (n > READ_BLOCKS)
                n = READ_BLOCKS;
        got = pread_full(fd, s->buffer, (size_t)n * BLOB_BLOCK_SIZE, off);
        if (got < 0)
                return (int)got;
        if ((uint64_t)got != n * BLOB_BLOCK_SIZE)
                return -EBADMSG;
        *ret_n = n;
        *ret_len = (size_t)got;
        return 0;
}

/* Adds what snapshot_read() finds. */
static int snapshot_add_data(struct snapshot *s, uint64_t first, uint64_t end, uint64_t *ret_n)
{
        uint64_t left = s->size - first * BLOB_BLOCK_SIZE, bytes;
        size_t len = 0;
        int r;

        r = snapshot_read(s, first, end, ret_n, &len);
        if (r < 0)
                return r;
        s->stats.bytes_read += len;
        bytes = *ret_n * BLOB_BLOCK_SIZE < left ? *ret_n * BLOB_BLOCK_SIZE : left; /* the last block may not be whole */
        return len > 0 ? blob_writer_append(s->writer, s->buffer, (size_t)bytes) : blob_writer_hole(s->writer, bytes);
}

static int snapshot_add_blocks(struct snapshot *s, blob_progress_fn *progress, void *ctx)
{
        uint64_t block = 0, added = 0, n; /* from added up to block lie blocks of the base */
        int fd, r;

        while (block < s->blocks) {
                r = disk_cut_find(s->disk, block, s->blocks, &fd, &n);
                if (r == 0 && fd >= 0 && added < block)
                        r = snapshot_add_base(s, added, block);
                if (r == 0 && fd >= 0)
                        r = snapshot_add_data(s, block, block + n, &n);
                if (r < 0)
                        return r;
                block += n;
                if (fd >= 0)
                        added = block;
                r = progress ? progress(ctx, block < s->blocks ? block * BLOB_BLOCK_SIZE : s->size, s->size) : 0;
                if (r < 0)
                        return r;
        }
        return added < block ? snapshot_add_base(s, added, block) : 0;
}

int disk_snapshot(struct disk *d, blob_progress_fn *progress, void *ctx, struct blob **ret,
                  struct disk_snapshot_stats *ret_stats)
{
        CLEANUP(blob_writer_freep) struct blob_writer *writer = NULL;
        CLEANUP_FREE uint8_t *buffer = NULL;
        struct snapshot s = { .disk = d };
        int failed, r;

        buffer = malloc(READ_BLOCKS * BLOB_BLOCK_SIZE);
        if (!buffer)
                return -ENOMEM;
        r = blob_writer_new(d->store, &writer);
        if (r < 0)
                return r;
        blob_writer_forgo_checksum(writer); /* it would be lost with the first chunk of the base anyhow */
        s.writer = writer;
        s.buffer = buffer;

        r = disk_cut_begin(d, &s.size);
        if (r < 0)
                return r;
        s.blocks = disk_blocks(s.size);
        r = snapshot_add_blocks(&s, progress, ctx);
        failed = disk_cut_end(d);
        if (r == 0)
                r = failed;
        if (r == 0)
                r = blob_writer_commit(writer, ret);
        if (r == 0)
                *ret_stats = s.stats;
        return r;
}
