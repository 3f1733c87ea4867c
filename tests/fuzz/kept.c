/* SPDX-License-Identifier: MIT */

/*
 * Memory that an earlier process left, whatever that wrote into it before it died: what is found in there is used as the
 * number, the disk, the file that it says, and nothing lies outside.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/disks/disk_bitmap_priv.h"
#include "blobstore/disks/disks.h"
#include "fs/ops/handles.h"
#include "tests/fuzz/lib/fuzz.h"

static const uint8_t name[DISK_BITMAP_NAME_SIZE] = { 0 };

static void found(void *ctx, uint64_t number)
{
        struct handles *h = ctx;

        if (handles_how(h, number)) {
                MUST(!handles_file(h, number));
                (void)handles_remove(h, number);
        }
}

static void read_handles(const uint8_t *bytes, size_t n)
{
        CLEANUP_CLOSE int fd = fuzz_file(bytes, n);
        const struct handle how = { .ino = 1 };
        struct handles *h;
        uint64_t number;
        int file;

        MUST(handles_new(fd, &h) == 0);
        handles_each_inherited(h, found, h);
        for (int i = 0; i < 3; i++) {
                MUST(handles_add(h, &how, &file, &number) == 0);
                MUST(handles_file(h, number) == &file);
        }
        handles_free(h);
}

static void read_disks(const uint8_t *bytes, size_t n)
{
        CLEANUP_CLOSE int fd = fuzz_file(bytes, n);
        struct disk_bitmap *b;
        struct kept *k;
        uint64_t many;
        bool set;
        int r;

        MUST(ftruncate(fd, (off_t)((n / DISKS_KEPT_BYTES + 1) * DISKS_KEPT_BYTES)) == 0);
        MUST(kept_open(fd, DISKS_KEPT_BYTES, &k) == 0);
        MUST(disk_bitmap_new(&b) == 0);
        r = disk_bitmap_keep(b, k, name);
        if (r == 0) {
                (void)disk_bitmap_run(b, 0, 100, &set, &many);
                (void)disk_bitmap_set(b, 5, 10);
        }
        disk_bitmap_free(b);
        kept_close(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };

        if (input_number(&in, 1) % 2)
                read_handles(in.at, in.left);
        else
                read_disks(in.at, in.left);
        return 0;
}
