/* SPDX-License-Identifier: MIT */

/*
 * How disks come to be. To make the files of one means to wait for the disk that they lie on several times, and most machines are
 * made in a moment and by a row elsewhere: so a disk is planned at first. Opened by its plan it is young: an object in memory that
 * reads as its base, until the first change of it needs files. These are there, all of them and durably, before the first bit is
 * set; a crash before that leaves a disk without files, or with some that nobody has seen.
 */

#include <errno.h>
#include <sys/random.h>

#include "blobstore/base/lock.h"
#include "blobstore/disks/disk_priv.h"

int disk_plan(struct blobstore *bs, const struct blob_id *base, uint64_t size_bytes, struct disk_id *ret)
{
        CLEANUP(blob_closep) struct blob *b = NULL;
        int r;

        r = store_writable(bs);
        if (r < 0)
                return r;
        if (size_bytes > BLOB_SIZE_MAX)
                return -EFBIG;
        if (base) {
                r = blob_open(bs, base, &b);
                if (r < 0)
                        return r;
                if (blob_get_info(b)->size_bytes > size_bytes)
                        return -EINVAL;
        }
        return getrandom(ret->bytes, DISK_ID_SIZE, 0) == DISK_ID_SIZE ? 0 : -EIO;
}

int disk_create_planned(struct blobstore *bs, const struct disk_plan *plan)
{
        int r;

        r = disk_files_have_data(bs, &plan->id);
        if (r != 0)
                return r < 0 ? r : -EBADMSG;
        r = disk_files_remove(bs, &plan->id);
        if (r == 0 || r == -ENOENT)
                r = disk_files_create(bs, &plan->id, plan->size_bytes);
        if (r == 0)
                r = disk_files_write_meta(bs, plan);
        if (r < 0) {
                (void)disk_files_forget(bs, &plan->id); /* the first error is the one to report */
                (void)disk_files_remove(bs, &plan->id);
        }
        return r;
}

int disk_create(struct blobstore *bs, const struct blob_id *base, uint64_t size_bytes, struct disk_id *ret)
{
        struct disk_plan plan = { .size_bytes = size_bytes, .has_base = base };
        int r;

        r = disk_plan(bs, base, size_bytes, &plan.id);
        if (r < 0)
                return r;
        if (base)
                plan.base = *base;
        r = disk_create_planned(bs, &plan);
        if (r == 0)
                *ret = plan.id;
        return r;
}

/* ---- of one that is open ---- */

void disk_making_begin(struct disk *d)
{
        while (d->making)
                (void)pthread_cond_wait(&d->store->disks->settled, &d->store->disks->lock);
        d->making = true;
}

void disk_making_end(struct disk *d)
{
        d->making = false;
        (void)pthread_cond_broadcast(&d->store->disks->settled);
}

static void open_made(struct disk *d, int data_fd, int bitmap_fd)
{
        disk_bitmap_attach(d->bitmap, bitmap_fd, disk_seed(&d->id));
        atomic_store_explicit(&d->data_fd, data_fd, memory_order_release);
}

static int make_files(struct disk *d)
{
        struct disk_plan plan = { .id = d->id, .size_bytes = disk_get_size(d), .has_base = d->base };
        CLEANUP_CLOSE int data_fd = -1;
        int bitmap_fd, r;

        if (d->base)
                plan.base = *blob_get_id(d->base);
        r = disk_create_planned(d->store, &plan);
        if (r == 0)
                r = disk_files_open(d->store, &d->id, DISK_FILE_DATA, plan.size_bytes, &data_fd);
        if (r == 0)
                r = disk_files_open(d->store, &d->id, DISK_FILE_BITMAP, plan.size_bytes, &bitmap_fd);
        if (r == 0)
                open_made(d, TAKE_FD(data_fd), bitmap_fd);
        return r;
}

/* With the lock, which is given up while the files are made. */
static int make(struct disk *d)
{
        const bool removed = d->removed; /* nobody removes it meanwhile */
        struct blobstore *bs = d->store;
        int r;

        if (!disk_is_young(d)) /* somebody else made them */
                return 0;
        unlock(&bs->disks->lock);
        r = make_files(d);
        if (removed && disk_files_forget(bs, &d->id) == 0) /* who has it open goes on with what has no name */
                (void)disk_files_remove(bs, &d->id);
        lock(&bs->disks->lock);
        return r;
}

int disk_make(struct disk *d)
{
        int r;

        if (!disk_is_young(d))
                return 0;
        r = store_writable(d->store);
        if (r < 0)
                return r;
        LOCK_SCOPE(&d->store->disks->lock);
        disk_making_begin(d);
        r = make(d);
        disk_making_end(d);
        return r;
}
