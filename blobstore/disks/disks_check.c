/* SPDX-License-Identifier: MIT */

/*
 * Checking disks: their files, the base, and every page of the bitmaps. What they hold has no checksums to be held
 * against, see disk_files.c. What a crash left of a disk that is none, or none any more, is no problem.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/bytes.h"
#include "blobstore/disks/disk_priv.h"
#include "blobstore/disks/disks.h"

struct disk_check {
        struct blobstore *store;
        disks_problem_fn *report;
        void *ctx;
};

static void disk_report(const struct disk_check *c, const struct disk_id *id, const char *what, int r)
{
        char name[2 * DISK_ID_SIZE + 1], text[160];

        put_hex(name, id->bytes, DISK_ID_SIZE);
        (void)snprintf(text, sizeof(text), "disks/%s: %s: %s", name, what, strerror(-r));
        c->report(c->ctx, text);
}

static int disk_check_one(void *ctx, const struct disk_id *id)
{
        const struct disk_check *c = ctx;
        CLEANUP(disk_closep) struct disk *d = NULL;
        uint64_t blocks, n;
        bool changed;
        int r;

        r = disk_open(c->store, id, &d);
        if (r == -ENOENT || r == -ENOMEM)
                return r == -ENOENT ? 0 : r;
        if (r < 0) {
                disk_report(c, id, "the disk or its base cannot be opened", r);
                return 0;
        }
        blocks = disk_blocks(disk_get_size(d));
        for (uint64_t block = 0; block < blocks; block += n) {
                r = disk_bitmap_run(d->bitmap, block, blocks - block, &changed, &n);
                if (r == -ENOMEM)
                        return r;
                if (r < 0) {
                        disk_report(c, id, "the bitmap of what was changed cannot be read", r);
                        return 0;
                }
        }
        return 0;
}

int disks_check(struct blobstore *bs, disks_problem_fn *report, void *ctx)
{
        struct disk_check c = { bs, report, ctx };

        return disk_each(bs, disk_check_one, &c);
}
