/* SPDX-License-Identifier: MIT */

/*
 * The life of writable disks: opened, grown, removed. How they are made is in disk_make.c, how they read and write in
 * disk_io.c, what they are in the store in disk_files.c and disk_bitmap.c, and how they become blobs in disk_snapshot.c.
 *
 * Open disks stand in a list of the store, so that a disk is one object whoever opens it: its bits are in memory first.
 * That is why the last close syncs what was changed, and why a disk whose last sync failed, as it found no room, stays
 * in the list without a user, with its bits, for the next one who opens it or for the closing of the store. So does one
 * that an earlier process left with bits in memory that outlived it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "blobstore/base/lock.h"
#include "blobstore/disks/disk_priv.h"

void disk_free(struct disk *d)
{
        int fd;

        if (!d)
                return;
        blob_close(d->base);
        disk_bitmap_free(d->bitmap);
        fd = atomic_load(&d->data_fd);
        cleanup_close(&fd);
        disk_ranges_done(&d->ranges);
        pthread_mutex_destroy(&d->sync_lock);
        pthread_rwlock_destroy(&d->freeze);
        free(d);
}

static struct disk *disk_new(struct blobstore *bs, const struct disk_id *id)
{
        struct disk *d = calloc(1, sizeof(*d));
        pthread_rwlockattr_t attr;

        if (!d)
                return NULL;
        d->store = bs;
        d->id = *id;
        d->users = 1;
        atomic_init(&d->data_fd, -1);
        disk_ranges_init(&d->ranges);
        pthread_mutex_init(&d->sync_lock, NULL);

        /* A snapshot must get its moment however many writers there are. */
        pthread_rwlockattr_init(&attr);
        (void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
        pthread_rwlock_init(&d->freeze, &attr);
        pthread_rwlockattr_destroy(&attr);
        return d;
}

/* ---- opening ---- */

static int load_base(struct disk *d, const struct disk_plan *plan)
{
        int r;

        atomic_init(&d->size_bytes, plan->size_bytes);
        if (!plan->has_base)
                return 0;
        r = blob_open(d->store, &plan->base, &d->base);
        if (r < 0)
                return r == -ENOENT ? -EBADMSG : r;
        d->base_size = blob_get_info(d->base)->size_bytes;
        return d->base_size <= plan->size_bytes ? 0 : -EBADMSG;
}

/* -ENOENT: it has no files, or not all of them. */
static int load_files(struct disk *d)
{
        struct disk_plan meta;
        int fd, r;

        r = disk_files_read_meta(d->store, &d->id, &meta);
        if (r == 0)
                r = disk_files_open(d->store, &d->id, DISK_FILE_DATA, meta.size_bytes, &fd);
        if (r < 0)
                return r;
        atomic_init(&d->data_fd, fd);
        r = disk_files_open(d->store, &d->id, DISK_FILE_BITMAP, meta.size_bytes, &fd);
        if (r == 0)
                r = disk_bitmap_open(fd, disk_seed(&d->id), &d->bitmap);
        if (r < 0)
                return r == -ENOENT ? -EBADMSG : r;
        r = load_base(d, &meta);
        return r == -ENOENT ? -EBADMSG : r;
}

/* PLAN, which may be NULL, is of one that has none. */
static int disk_load(struct disk *d, const struct disk_plan *plan)
{
        int r;

        r = load_files(d);
        if (r != -ENOENT || !plan)
                return r;
        r = disk_files_have_data(d->store, &d->id);
        if (r != 0)
                return r < 0 ? r : -EBADMSG;
        r = disk_bitmap_new(&d->bitmap);
        return r < 0 ? r : load_base(d, plan);
}

/* Only of one that can be opened: it gives back what it does not need. */
static int disk_load_kept(struct disk *d)
{
        int r;

        if (!d->store->kept)
                return 0;
        r = disk_bitmap_keep(d->bitmap, d->store->kept, d->id.bytes);
        if (disk_bitmap_is_dirty(d->bitmap)) /* of an earlier process */
                disk_note_change(d);
        return r;
}

/* Call with the lock of disks held. */
static struct disk *disk_find(struct blobstore *bs, const struct disk_id *id)
{
        struct disk *d;

        LIST_FOREACH(d, &bs->disks->list, link)
                if (memcmp(d->id.bytes, id->bytes, DISK_ID_SIZE) == 0)
                        return d;
        return NULL;
}

static int open_disk(struct blobstore *bs, const struct disk_id *id, const struct disk_plan *plan, struct disk **ret)
{
        CLEANUP(disk_freep) struct disk *d = NULL;
        struct disk *found;
        int r;

        /* Held while a disk is opened, too: that reads a few blocks and the head of a map. */
        LOCK_SCOPE(&bs->disks->lock);
        found = disk_find(bs, id);
        if (found) {
                if (found->removed)
                        return -ENOENT;
                found->users++;
                *ret = found;
                return 0;
        }
        d = disk_new(bs, id);
        if (!d)
                return -ENOMEM;
        r = disk_load(d, plan);
        if (r == 0)
                r = disk_load_kept(d);
        if (r < 0)
                return r;
        LIST_INSERT_HEAD(&bs->disks->list, d, link);
        *ret = TAKE_PTR(d);
        return 0;
}

int disk_open(struct blobstore *bs, const struct disk_id *id, struct disk **ret)
{
        return open_disk(bs, id, NULL, ret);
}

int disk_open_planned(struct blobstore *bs, const struct disk_plan *plan, struct disk **ret)
{
        return open_disk(bs, &plan->id, plan, ret);
}

int disk_adopt(struct blobstore *bs, const struct disk_id *id)
{
        CLEANUP(disk_freep) struct disk *d = NULL;
        int r;

        LOCK_SCOPE(&bs->disks->lock);
        if (disk_find(bs, id))
                return 0;
        d = disk_new(bs, id);
        if (!d)
                return -ENOMEM;
        d->users = 0;
        r = disk_load(d, NULL);
        if (r == 0)
                r = disk_load_kept(d);
        if (r < 0)
                return r;
        LIST_INSERT_HEAD(&bs->disks->list, d, link);
        d = NULL;
        return 0;
}

void disk_close(struct disk *d)
{
        struct blobstore *bs;
        bool last;
        int r = 0;

        if (!d)
                return;
        bs = d->store;
        lock(&bs->disks->lock);
        /* Still counted while it syncs. Then looked at again: somebody may have opened, changed and closed it. */
        while (d->users == 1 && r == 0 && !d->removed && atomic_load(&d->changed)) {
                unlock(&bs->disks->lock);
                r = disk_sync(d);
                lock(&bs->disks->lock);
        }
        last = --d->users == 0 && (r == 0 || d->removed || store_writable(bs) < 0);
        if (last)
                LIST_REMOVE(d, link);
        unlock(&bs->disks->lock);
        if (last)
                disk_free(d);
}

int disk_remove(struct blobstore *bs, const struct disk_id *id)
{
        struct disk *d, *unused = NULL;
        int r;

        r = store_writable(bs);
        if (r < 0)
                return r;
        lock(&bs->disks->lock);
        while ((d = disk_find(bs, id)) && d->making)
                (void)pthread_cond_wait(&bs->disks->settled, &bs->disks->lock);
        r = disk_files_forget(bs, id);
        if ((r == 0 || r == -ENOENT) && d) {
                d->removed = true;
                if (d->users == 0) {
                        LIST_REMOVE(d, link);
                        unused = d;
                }
        }
        unlock(&bs->disks->lock);
        if (r < 0 && r != -ENOENT)
                return r;
        disk_free(unused);
        return disk_files_remove(bs, id); /* takes its time where there is much to free; nobody opens it any more */
}

/* ---- growing ---- */

/* Of one that is not young. */
static int set_meta_size(struct disk *d, uint64_t size_bytes)
{
        struct disk_plan meta;
        int r;

        r = disk_files_read_meta(d->store, &d->id, &meta);
        if (r < 0)
                return r == -ENOENT ? -EBADMSG : r;
        if (meta.size_bytes == size_bytes)
                return 0;
        if (size_bytes > meta.size_bytes)
                r = disk_files_grow(d->store, &d->id, size_bytes);
        meta.size_bytes = size_bytes;
        return r == 0 ? disk_files_write_meta(d->store, &meta) : r == -ENOENT ? -EBADMSG : r;
}

/* Others are opened while it waits for syncs. Call with the lock of disks, as the next. */
static int make_files(struct disk *d, uint64_t size_bytes)
{
        int r;

        if (disk_is_young(d))
                return 0;
        unlock(&d->store->disks->lock);
        r = set_meta_size(d, size_bytes);
        lock(&d->store->disks->lock);
        return r;
}

static int resize(struct disk *d, uint64_t size_bytes, bool seen)
{
        const uint64_t size = disk_get_size(d);
        int r;

        if (d->removed)
                return -ESTALE;
        if (size_bytes <= size)
                return size_bytes == size ? 0 : -EINVAL;
        r = make_files(d, size_bytes);
        if (r == 0 && seen)
                atomic_store(&d->size_bytes, size_bytes);
        return r;
}

static int resize_files(struct disk *d, uint64_t size_bytes, bool seen)
{
        int r;

        r = store_writable(d->store);
        if (r < 0)
                return r;
        if (size_bytes > BLOB_SIZE_MAX)
                return -EFBIG;

        /* Also against its removal meanwhile, which must not find its meta file written anew. */
        LOCK_SCOPE(&d->store->disks->lock);
        disk_making_begin(d);
        r = resize(d, size_bytes, seen);
        disk_making_end(d);
        return r;
}

int disk_resize_begin(struct disk *d, uint64_t size_bytes)
{
        return resize_files(d, size_bytes, false);
}

int disk_resize(struct disk *d, uint64_t size_bytes)
{
        return resize_files(d, size_bytes, true);
}

/* Where that fails it is as after a crash. */
void disk_resize_abort(struct disk *d)
{
        LOCK_SCOPE(&d->store->disks->lock);
        disk_making_begin(d);
        if (!d->removed)
                (void)make_files(d, disk_get_size(d));
        disk_making_end(d);
}
