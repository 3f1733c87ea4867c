/* SPDX-License-Identifier: MIT */

/*
 * A cut through a disk: what it held at one moment, to be read while writers go on. For the time of a cut, whoever
 * changes blocks has their range locked, and first
 *
 *      notes those that were the base's at that moment as fresh: the cut still sees the base there;
 *      copies those that were in the data, once, to their places in a file without a name, and notes them as saved.
 *
 * So a block that is in the data belongs to the cut as long as it is neither fresh nor saved; who reads it locks its
 * range, too.
 *
 * Saving that fails (there is no room) is the cut's failure and not the writer's.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "blobstore/base/block.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/nameless.h"
#include "blobstore/disks/disk_priv.h"

#define SAVE_BLOCKS 16

struct disk_cut {
        int fd;
        struct disk_bitmap *fresh, *saved;
        atomic_int error; /* the first one */
};

static void disk_cut_free(struct disk_cut *c)
{
        if (!c)
                return;
        disk_bitmap_free(c->fresh);
        disk_bitmap_free(c->saved);
        cleanup_close(&c->fd);
        free(c);
}

DEFINE_CLEANUP(struct disk_cut *, disk_cut_freep, disk_cut_free)

int disk_cut_begin(struct disk *d, uint64_t *ret_size)
{
        CLEANUP(disk_cut_freep) struct disk_cut *c = NULL;
        uint64_t size;
        int r;

        r = store_writable(d->store);
        if (r < 0)
                return r;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->fd = nameless_open(d->store->temp_fd);
        if (c->fd < 0)
                return c->fd;
        r = disk_bitmap_new(&c->fresh);
        if (r == 0)
                r = disk_bitmap_new(&c->saved);
        if (r < 0)
                return r;

        write_lock(&d->freeze);
        size = disk_get_size(d);
        /* Saved blocks that are holes are not written, but read. */
        if (d->cut)
                r = -EBUSY;
        else if (ftruncate(c->fd, (off_t)(disk_blocks(size) * BLOB_BLOCK_SIZE)) < 0)
                r = -errno;
        else
                d->cut = TAKE_PTR(c);
        rw_unlock(&d->freeze);
        if (r == 0)
                *ret_size = size;
        return r;
}

int disk_cut_end(struct disk *d)
{
        CLEANUP(disk_cut_freep) struct disk_cut *c = NULL;

        write_lock(&d->freeze);
        c = TAKE_PTR(d->cut);
        rw_unlock(&d->freeze);
        return atomic_load(&c->error);
}

/* Copies what is in the data. */
static int cut_copy(struct disk *d, uint64_t first, uint64_t end)
{
        uint8_t buffer[SAVE_BLOCKS * BLOB_BLOCK_SIZE];
        uint64_t n;
        int r;

        for (; first < end; first += n) {
                n = end - first < SAVE_BLOCKS ? end - first : SAVE_BLOCKS;
                r = disk_files_read(d, buffer, (size_t)n * BLOB_BLOCK_SIZE, first * BLOB_BLOCK_SIZE);
                if (r < 0)
                        return r;
                if (block_is_zero(buffer, (size_t)n * BLOB_BLOCK_SIZE))
                        continue;
                r = pwrite_full(d->cut->fd, buffer, (size_t)n * BLOB_BLOCK_SIZE, first * BLOB_BLOCK_SIZE);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int cut_save(struct disk *d, uint64_t first, uint64_t end)
{
        struct disk_cut *c = d->cut;
        bool changed, fresh, saved;
        uint64_t n;
        int r;

        for (; first < end; first += n) {
                r = disk_bitmap_run(d->bitmap, first, end - first, &changed, &n);
                if (r < 0)
                        return r;
                if (!changed) {
                        r = disk_bitmap_set(c->fresh, first, n);
                        if (r < 0)
                                return r;
                        continue;
                }
                r = disk_bitmap_run(c->fresh, first, n, &fresh, &n);
                if (r == 0)
                        r = disk_bitmap_run(c->saved, first, n, &saved, &n);
                if (r < 0)
                        return r;
                if (fresh || saved)
                        continue;
                r = cut_copy(d, first, first + n);
                if (r == 0)
                        r = disk_bitmap_set(c->saved, first, n);
                if (r < 0)
                        return r;
        }
        return 0;
}

void disk_cut_save(struct disk *d, uint64_t first, uint64_t end)
{
        int none = 0, r;

        if (atomic_load(&d->cut->error) != 0)
                return;
        r = cut_save(d, first, end);
        if (r < 0)
                (void)atomic_compare_exchange_strong(&d->cut->error, &none, r);
}

int disk_cut_find(struct disk *d, uint64_t first, uint64_t end, int *ret_fd, uint64_t *ret_n)
{
        struct disk_cut *c = d->cut;
        bool changed, fresh, saved;
        uint64_t n;
        int r;

        r = atomic_load(&c->error);
        if (r < 0)
                return r;
        r = disk_bitmap_run(d->bitmap, first, end - first, &changed, &n);
        /* In this order: a block becomes fresh before it is changed. */
        if (r == 0)
                r = disk_bitmap_run(c->fresh, first, n, &fresh, &n);
        if (r == 0)
                r = disk_bitmap_run(c->saved, first, n, &saved, &n);
        if (r < 0)
                return r;
        *ret_fd = !changed || fresh ? -1 : saved ? c->fd : d->data_fd;
        *ret_n = n;
        return 0;
}
