/* SPDX-License-Identifier: MIT */

/*
 * Reading and writing disks. Each block comes from the data file or from the base, as its bit says, and goes from
 * the base into the data once, for good:
 *
 *      read            looks at the bits, and reads from the base, then what is in the data over that; no locks
 *      write           where all its blocks are in the data: one write there; no lock but the shared one of snapshots.
 *                      Otherwise its blocks are locked, those that it changes in part are completed from the base,
 *                      whole blocks are written, and then the bits are set, in memory
 *      discard         punches a hole into the data, and sets the bits where the base is not a hole
 *      sync            the data, then the bits: a bit on disk never names a block that is not there
 *
 * Whatever changes a young disk makes its files first (disk_make.c).
 *
 * So a block whose bit is not set can hold anything in the data file (a crash took the bit), and whoever sets a bit
 * writes or punches the whole block first.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/disks/disk_priv.h"

/* Runs of the base are read as one across this: the size of a chunk, on average. */
#define READ_BRIDGE (UINT64_C(64) << 10)

/* Writes from this size on are large; writeback of them starts after so many bytes, since each start has its price. */
#define WRITEBACK_LARGE (64U << 10)
#define WRITEBACK_STEP  (UINT64_C(8) << 20)

/* ---- reading ---- */

static int disk_read_base(struct disk *d, void *buf, size_t n, uint64_t off)
{
        ssize_t got = d->base ? blob_pread(d->base, buf, n, off) : 0;

        if (got < 0)
                return (int)got;
        memset((uint8_t *)buf + got, 0, n - (size_t)got);
        return 0;
}

int disk_find_run(struct disk *d, uint64_t pos, uint64_t end, bool *ret_changed, uint64_t *ret_end)
{
        uint64_t block = pos / BLOB_BLOCK_SIZE, run, run_end;
        int r;

        r = disk_bitmap_run(d->bitmap, block, disk_blocks(end) - block, ret_changed, &run);
        if (r < 0)
                return r;
        run_end = (block + run) * BLOB_BLOCK_SIZE;
        *ret_end = run_end < end ? run_end : end;
        return 0;
}

/*
 * Reads what is in the base. Runs with up to BRIDGE bytes between them are read as one, and that with them: it most
 * often lies in chunks that are decoded in any case, and the chunks of one read are decoded beside each other. On a
 * disk with every 16th block changed, reads of 1 MiB were 33 small ones before, and half as fast.
 */
static int read_base_runs(struct disk *d, uint8_t *out, uint64_t off, uint64_t end, uint64_t bridge)
{
        uint64_t start = off, stop = off, run_end; /* what is to be read next: from start to stop */
        bool changed;
        int r;

        for (uint64_t pos = off; pos < end; pos = run_end) {
                r = disk_find_run(d, pos, end, &changed, &run_end);
                if (r < 0)
                        return r;
                if (changed)
                        continue;
                if (pos - stop > bridge || start == stop) {
                        r = disk_read_base(d, out + (start - off), (size_t)(stop - start), start);
                        if (r < 0)
                                return r;
                        start = pos;
                }
                stop = run_end;
        }
        return disk_read_base(d, out + (start - off), (size_t)(stop - start), start);
}

static int read_data_runs(struct disk *d, uint8_t *out, uint64_t off, uint64_t end)
{
        uint64_t run_end;
        bool changed;
        int r;

        for (uint64_t pos = off; pos < end; pos = run_end) {
                r = disk_find_run(d, pos, end, &changed, &run_end);
                if (r == 0 && changed)
                        r = disk_files_read(d, out + (pos - off), (size_t)(run_end - pos), pos);
                if (r < 0)
                        return r;
        }
        return 0;
}

ssize_t disk_pread(struct disk *d, void *buf, size_t n, uint64_t off)
{
        uint64_t size = disk_get_size(d);
        int r;

        if (off >= size)
                return 0;
        if (n > SSIZE_MAX)
                n = SSIZE_MAX;
        if (n > size - off)
                n = (size_t)(size - off);

        /* In this order: the data goes over the base, whichever bits are set meanwhile. */
        r = read_base_runs(d, buf, off, off + n, READ_BRIDGE);
        if (r == -EBADMSG)
                r = read_base_runs(d, buf, off, off + n, 0); /* the damage may lie where nobody needs the base */
        if (r == 0)
                r = read_data_runs(d, buf, off, off + n);
        return r < 0 ? r : (ssize_t)n;
}

/* Where the next data is in the two files, as long as POS has not passed it. */
struct disk_seek_hint {
        bool known;
        uint64_t next; /* UINT64_MAX: none */
};

static int seek_in_data(struct disk *d, uint64_t pos, int whence, uint64_t *ret)
{
        off_t found = lseek(d->data_fd, (off_t)pos, whence);

        if (found < 0)
                return -errno;
        *ret = (uint64_t)found;
        return 0;
}

static int seek_in_base(struct disk *d, uint64_t pos, int whence, uint64_t *ret)
{
        int r;

        if (pos >= d->base_size && whence == SEEK_DATA)
                return -ENXIO;
        if (pos >= d->base_size) {
                *ret = pos;
                return 0;
        }
        r = blob_seek(d->base, pos, whence, ret);
        if (r == 0 && whence == SEEK_HOLE)
                *ret = disk_blocks(*ret) * BLOB_BLOCK_SIZE; /* the base may end within a block, the disk goes on */
        return r;
}

int disk_seek(struct disk *d, uint64_t off, int whence, uint64_t *ret)
{
        uint64_t size = disk_get_size(d), blocks = disk_blocks(size), pos = off, run_end, run;
        struct disk_seek_hint hints[2] = { 0 };
        bool changed;
        int r;

        if (whence != SEEK_DATA && whence != SEEK_HOLE)
                return -EINVAL;
        if (off >= size)
                return -ENXIO;

        for (; pos < size; pos = run_end) {
                uint64_t block = pos / BLOB_BLOCK_SIZE;
                struct disk_seek_hint *hint;

                r = disk_bitmap_run(d->bitmap, block, blocks - block, &changed, &run);
                if (r < 0)
                        return r;
                run_end = (block + run) * BLOB_BLOCK_SIZE;

                /* Asked again only behind what was found, so that the length of the runs does not matter. */
                hint = &hints[changed];
                if (!hint->known || hint->next < pos) {
                        r = (changed ? seek_in_data : seek_in_base)(d, pos, whence, &hint->next);
                        if (r == -ENXIO)
                                hint->next = UINT64_MAX;
                        else if (r < 0)
                                return r;
                        hint->known = true;
                }
                if (hint->next < run_end && hint->next < size) {
                        *ret = hint->next;
                        return 0;
                }
        }
        if (whence == SEEK_DATA)
                return -ENXIO;
        *ret = size;
        return 0;
}

/* ---- writing ---- */

/* Writes bytes within one block that is not in the data yet, and with them all of the block. */
static int write_completed(struct disk *d, const void *buf, size_t n, uint64_t off)
{
        uint64_t start = off / BLOB_BLOCK_SIZE * BLOB_BLOCK_SIZE;
        uint8_t block[BLOB_BLOCK_SIZE];
        int r;

        r = disk_read_base(d, block, sizeof(block), start);
        if (r < 0)
                return r;
        memcpy(block + (off - start), buf, n);
        return pwrite_full(d->data_fd, block, sizeof(block), start);
}

/* Writes whole blocks, and parts of others, some of which are not in the data yet. Call with their range locked. */
static int write_blocks(struct disk *d, const uint8_t *buf, size_t n, uint64_t off)
{
        uint64_t pos = off, end = off + n, run;
        bool changed;
        int r;

        while (pos < end) {
                uint64_t in_block = pos % BLOB_BLOCK_SIZE;
                size_t part = (size_t)(end - pos);

                if (in_block == 0 && part >= BLOB_BLOCK_SIZE) {
                        part -= part % BLOB_BLOCK_SIZE;
                        changed = true; /* or will be */
                } else {
                        if (part > BLOB_BLOCK_SIZE - in_block)
                                part = (size_t)(BLOB_BLOCK_SIZE - in_block);
                        r = disk_bitmap_run(d->bitmap, pos / BLOB_BLOCK_SIZE, 1, &changed, &run);
                        if (r < 0)
                                return r;
                }
                r = changed ? pwrite_full(d->data_fd, buf + (pos - off), part, pos) :
                              write_completed(d, buf + (pos - off), part, pos);
                if (r < 0)
                        return r;
                pos += part;
        }
        return 0;
}

void disk_note_change(struct disk *d)
{
        /* Most often it is set: threads that write at once do not take the line from each other. */
        if (!atomic_load(&d->changed))
                atomic_store(&d->changed, true);
}

/* Within the disk. */
static int disk_write(struct disk *d, const void *buf, size_t n, uint64_t off)
{
        uint64_t first = off / BLOB_BLOCK_SIZE, end = disk_blocks(off + n), run;
        bool changed;
        int r;

        READ_LOCK_SCOPE(&d->freeze);
        if (!d->cut) {
                r = disk_bitmap_run(d->bitmap, first, end - first, &changed, &run);
                if (r < 0)
                        return r;
                if (changed && run == end - first)
                        return pwrite_full(d->data_fd, buf, n, off);
        }

        CLEANUP(disk_range_unlock) struct disk_range range;
        disk_range_lock(&d->ranges, first, end, &range);
        if (d->cut)
                disk_cut_save(d, first, end);
        r = write_blocks(d, buf, n, off);
        return r < 0 ? r : disk_bitmap_set(d->bitmap, first, end - first);
}

/*
 * Lets the kernel begin to write what came in large pieces, which are seldom written to again soon. Else all of it
 * would wait for the next sync, and whoever syncs for all of it: 256 MiB written and then synced took nearly twice as
 * long.
 */
static void disk_start_writeback(struct disk *d, size_t n)
{
        uint64_t before;

        if (n < WRITEBACK_LARGE)
                return;
        before = atomic_fetch_add_explicit(&d->written_large, n, memory_order_relaxed);
        if (before / WRITEBACK_STEP == (before + n) / WRITEBACK_STEP)
                return;
        /* A hint: what goes wrong with it the sync will tell. */
        (void)sync_file_range(d->data_fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int make_and_write(struct disk *d, const void *buf, size_t n, uint64_t off)
{
        int r = disk_make(d);

        return r < 0 ? r : disk_write(d, buf, n, off);
}

ssize_t disk_pwrite(struct disk *d, const void *buf, size_t n, uint64_t off)
{
        uint64_t size = disk_get_size(d);
        int r;

        r = store_writable(d->store);
        if (r < 0)
                return r;
        if (n == 0)
                return 0;
        if (off >= size)
                return -ENOSPC;
        if (n > SSIZE_MAX)
                n = SSIZE_MAX;
        if (n > size - off)
                n = (size_t)(size - off);

        r = make_and_write(d, buf, n, off);
        if (r < 0 && store_make_room(d->store, r))
                r = make_and_write(d, buf, n, off);
        if (disk_is_young(d)) /* nothing was done to it */
                return r;
        disk_note_change(d);
        if (r < 0)
                return r;
        disk_start_writeback(d, n);
        return (ssize_t)n;
}

/* ---- discarding ---- */

/* Sets the bits of those of the blocks where the base has data. The others read as zeros in any case. */
static int discard_base(struct disk *d, uint64_t first, uint64_t end)
{
        uint64_t to = end * BLOB_BLOCK_SIZE, data, pos = first * BLOB_BLOCK_SIZE;
        int r;

        while (d->base && pos < to) {
                r = blob_find_data(d->base, pos, to, &data, &pos);
                if (r <= 0)
                        return r;
                r = disk_bitmap_set(d->bitmap, data / BLOB_BLOCK_SIZE, disk_blocks(pos) - data / BLOB_BLOCK_SIZE);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int discard_blocks(struct disk *d, uint64_t first, uint64_t end)
{
        READ_LOCK_SCOPE(&d->freeze);
        CLEANUP(disk_range_unlock) struct disk_range range;
        disk_range_lock(&d->ranges, first, end, &range);
        if (d->cut)
                disk_cut_save(d, first, end);
        if (fallocate(d->data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(first * BLOB_BLOCK_SIZE),
                      (off_t)((end - first) * BLOB_BLOCK_SIZE)) < 0)
                return -errno;
        return discard_base(d, first, end);
}

/* Less than a block. */
static int write_zeros(struct disk *d, uint64_t off, uint64_t end)
{
        static const uint8_t zeros[BLOB_BLOCK_SIZE];
        ssize_t n = off < end ? disk_pwrite(d, zeros, (size_t)(end - off), off) : 0;

        return n < 0 ? (int)n : 0;
}

int disk_discard(struct disk *d, uint64_t off, uint64_t n)
{
        uint64_t size = disk_get_size(d), end, first, last;
        int r;

        r = store_writable(d->store);
        if (r < 0 || off >= size)
                return r;
        r = disk_make(d);
        if (r < 0)
                return r;
        end = n < size - off ? off + n : size;
        first = disk_blocks(off);
        last = end == size ? disk_blocks(size) : end / BLOB_BLOCK_SIZE;
        if (first >= last) {
                uint64_t middle = first * BLOB_BLOCK_SIZE < end ? first * BLOB_BLOCK_SIZE : end;

                r = write_zeros(d, off, middle);
                return r < 0 ? r : write_zeros(d, middle, end);
        }

        r = write_zeros(d, off, first * BLOB_BLOCK_SIZE);
        if (r == 0)
                r = discard_blocks(d, first, last);
        disk_note_change(d);
        if (r == 0)
                r = write_zeros(d, last * BLOB_BLOCK_SIZE, end);
        return r;
}

/* ---- durability ---- */

int disk_sync(struct disk *d)
{
        int r = store_writable(d->store);

        if (r < 0)
                return r;
        LOCK_SCOPE(&d->sync_lock); /* who comes while another one syncs wants that to have ended */
        if (!atomic_exchange(&d->changed, false))
                return 0; /* each close(2) of a descriptor asks for it */
        r = disk_bitmap_sync(d->bitmap, d->data_fd, &d->store->chunks->degraded);
        if (r < 0)
                disk_note_change(d);
        return r;
}
