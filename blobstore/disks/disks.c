/* SPDX-License-Identifier: MIT */

#include "blobstore/disks/disks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/disks/disk_priv.h"

int disks_open(struct blobstore *bs, int dir_fd)
{
        struct disks *ds = calloc(1, sizeof(*ds));

        if (!ds) {
                cleanup_close(&dir_fd);
                return -ENOMEM;
        }
        ds->dir_fd = dir_fd;
        pthread_mutex_init(&ds->lock, NULL);
        pthread_cond_init(&ds->settled, NULL);
        bs->disks = ds;
        return 0;
}

/* A kept_fn. One that is of another store, or was removed, is left alone. */
static int adopt(void *ctx, void *slot)
{
        struct blobstore *bs = ctx;
        struct disk_id id;
        int r;

        memcpy(id.bytes, disk_bitmap_name_of(slot), sizeof(id.bytes));
        r = disk_adopt(bs, &id);
        return r == -ENOMEM ? r : 0; /* what cannot be opened now can be later, when somebody asks for it */
}

int disks_adopt(struct blobstore *bs)
{
        return bs->kept ? kept_each_inherited(bs->kept, adopt, bs) : 0;
}

void disks_close(struct blobstore *bs)
{
        struct disks *ds = TAKE_PTR(bs->disks);
        struct disk *d;

        if (!ds)
                return;
        while ((d = LIST_FIRST(&ds->list))) {
                LIST_REMOVE(d, link);
                (void)disk_sync(d); /* the last chance of what found no room before */
                disk_free(d);
        }
        cleanup_close(&ds->dir_fd);
        pthread_cond_destroy(&ds->settled);
        pthread_mutex_destroy(&ds->lock);
        free(ds);
}
