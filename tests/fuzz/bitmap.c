/* SPDX-License-Identifier: MIT */

/* The file of a disk's bitmap, and what an earlier process left of it in memory. */

#include "blobstore/disks/disk_bitmap.c" /* for the layout, which is its own */

#include "tests/fuzz/lib/fuzz.h"

#define SEED  99
#define PAGES 3

static void make_right(uint8_t *bytes, size_t n)
{
        for (uint64_t s = 0; s < n / SECTOR_SIZE; s++, bytes += SECTOR_SIZE)
                if (!block_is_zero(bytes, SECTOR_SIZE))
                        put_le64(bytes, hash64(bytes + SECTOR_HASH_SIZE, SECTOR_SIZE - SECTOR_HASH_SIZE, SEED + s));
}

static void use(struct disk_bitmap *b, uint64_t first, uint64_t many)
{
        uint64_t n, blocks = (uint64_t)PAGES * PAGE_BLOCKS;
        bool set;
        int r;

        first %= blocks;
        many = many % (blocks - first) + 1;
        r = disk_bitmap_run(b, first, many, &set, &n);
        MUST(r == 0 || r == -EBADMSG);
        MUST(r < 0 || (n >= 1 && n <= many));
        r = disk_bitmap_set(b, first, many);
        MUST(r == 0 || r == -EBADMSG);
        if (r == 0) {
                MUST(disk_bitmap_run(b, first, many, &set, &n) == 0);
                MUST(set && n == many);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        bool right = input_number(&in, 1) % 2;
        uint64_t first = input_number(&in, 4), many = input_number(&in, 4);
        static uint8_t bytes[PAGES * PAGE_SIZE];
        struct disk_bitmap *b;

        memset(bytes, 0, sizeof(bytes));
        memcpy(bytes, in.at, in.left < sizeof(bytes) ? in.left : sizeof(bytes));
        if (right)
                make_right(bytes, sizeof(bytes));
        MUST(disk_bitmap_open(fuzz_file(bytes, sizeof(bytes)), SEED, &b) == 0);
        use(b, first, many);
        use(b, many, first);
        disk_bitmap_free(b);
        return 0;
}
