/* SPDX-License-Identifier: MIT */

/* What an open disk tells of itself. */

#include <sys/stat.h>

#include "blobstore/disks/disk_priv.h"

const struct disk_id *disk_get_id(const struct disk *d)
{
        return &d->id;
}

struct blobstore *disk_store(const struct disk *d)
{
        return d->store;
}

bool disk_is_young(const struct disk *d)
{
        return atomic_load_explicit(&d->data_fd, memory_order_acquire) < 0;
}

uint64_t disk_get_size(const struct disk *d)
{
        return atomic_load(&d->size_bytes);
}

uint64_t disk_get_data_bytes(const struct disk *d)
{
        uint64_t size = disk_get_size(d), bytes = d->base ? blob_get_info(d->base)->data_bytes : 0;
        struct stat st;

        if (!disk_is_young(d) && fstat(d->data_fd, &st) == 0) /* of an open file: it does not fail */
                bytes += (uint64_t)st.st_blocks * 512;
        return bytes < size ? bytes : size;
}

int64_t disk_get_changed_us(const struct disk *d)
{
        struct stat st;

        if (disk_is_young(d) || fstat(d->data_fd, &st) < 0) /* of an open file: it does not fail */
                return 0;
        return (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
}
