/* SPDX-License-Identifier: MIT */

/*
 * Copies from disk to disk, and from blob to disk, that move no bytes. Two things make one:
 *
 *      the same base   where both read from the same chunks at the same offset, there is nothing to do. So copying a
 *                      disk over a clone of the same image takes what was changed, as does going back to a snapshot
 *      reflinks        whole blocks that are in the data of the one become blocks of the data of the other by
 *                      FICLONERANGE, on XFS and btrfs
 *
 * Not here: making part of another blob the base of a range. A disk has one base for life, which the layers above name
 * so that it stays, and who wants all of a blob as a disk creates a disk of it. Chunks are compressed, besides, so that
 * nothing else of them can be shared with a data file.
 */

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "blobstore/base/lock.h"
#include "blobstore/disks/disk_priv.h"

/* Blocks FIRST … END - 1 become those of another data file: 1, or 0 where they cannot be shared. */
static int clone_blocks(struct disk *d, uint64_t first, uint64_t end, int from_fd, uint64_t from_off)
{
        const struct file_clone_range clone = {
                .src_fd = from_fd,
                .src_offset = from_off,
                .src_length = (end - first) * BLOB_BLOCK_SIZE,
                .dest_offset = first * BLOB_BLOCK_SIZE,
        };
        int r;

        r = disk_make(d);
        if (r < 0)
                return r;
        READ_LOCK_SCOPE(&d->freeze);
        CLEANUP(disk_range_unlock) struct disk_range range;
        disk_range_lock(&d->ranges, first, end, &range);
        if (d->cut)
                disk_cut_save(d, first, end);
        /* For whatever reason it does not work: copying finds out whether there is more to it. */
        if (ioctl(d->data_fd, FICLONERANGE, &clone) < 0)
                return 0;
        r = disk_bitmap_set(d->bitmap, first, end - first);
        disk_note_change(d);
        return r < 0 ? r : 1;
}

/* The source's data, for N bytes. */
static int clone_data(struct disk *d, uint64_t off, struct disk *from, uint64_t from_off, uint64_t n, uint64_t *ret_n)
{
        uint64_t whole = n - n % BLOB_BLOCK_SIZE;
        int r = 0;

        if (off % BLOB_BLOCK_SIZE == 0 && from_off % BLOB_BLOCK_SIZE == 0 && whole > 0)
                r = clone_blocks(d, off / BLOB_BLOCK_SIZE, (off + whole) / BLOB_BLOCK_SIZE, from->data_fd, from_off);
        if (r < 0)
                return r;
        *ret_n = r ? whole : n;
        return r;
}

/* What a blob has at the same offset, for N bytes. */
static int clone_base(struct disk *d, struct blob *blob, uint64_t off, uint64_t n, uint64_t *ret_n)
{
        bool changed, shared;
        uint64_t end;
        int r;

        r = disk_find_run(d, off, off + n, &changed, &end);
        if (r < 0)
                return r;
        if (changed) {
                *ret_n = end - off;
                return 0;
        }
        r = blob_find_shared(d->base, blob, off, end, &shared, &end);
        if (r < 0)
                return r;
        *ret_n = end - off;
        return shared;
}

int disk_clone(struct disk *d, uint64_t off, const struct disk_source *from, uint64_t from_off, uint64_t n,
               uint64_t *ret_n)
{
        struct blob *blob = from->disk ? from->disk->base : from->blob;
        bool changed;
        uint64_t end;
        int r;

        r = store_writable(d->store);
        if (r < 0)
                return r;
        if (from->disk) {
                r = disk_find_run(from->disk, from_off, from_off + n, &changed, &end);
                if (r < 0)
                        return r;
                n = end - from_off;
                if (changed)
                        return clone_data(d, off, from->disk, from_off, n, ret_n);
        }
        if (off == from_off)
                return clone_base(d, blob, off, n, ret_n);
        *ret_n = n;
        return 0;
}
