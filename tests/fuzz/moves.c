/* SPDX-License-Identifier: MIT */

/* A table of moves: with its sum as it is, or, so that what stands behind it is reached, with a right one. */

#include "blobstore/chunks/moves.c" /* for the layout, which is its own */

#include "tests/fuzz/lib/fuzz.h"

#define SEGMENT 5

static void make_right(uint8_t *bytes, size_t n)
{
        put_le64(bytes, MOVES_MAGIC);
        put_le32(bytes + 8, MOVES_VERSION);
        put_le32(bytes + 12, SEGMENT);
        put_le32(bytes + 16, (uint32_t)((n - HEADER_SIZE) / ROW_SIZE));
        put_le64(bytes + 24, hash64(bytes + HEADER_SIZE, n - HEADER_SIZE, SEGMENT));
}

static void put(int dir_fd, const uint8_t *bytes, size_t n)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, "00000005", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        MUST(fd >= 0 && pwrite_full(fd, bytes, n, 0) == 0);
}

static int count(void *ctx, uint32_t segment)
{
        unsigned *n = ctx;

        MUST(segment == SEGMENT);
        (*n)++;
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static int dir_fd = -1;
        struct input in = { data, size };
        bool right = input_number(&in, 1) % 2;
        uint32_t offset = (uint32_t)input_number(&in, 4);
        const struct moved_chunk one = { .place = place_make(SEGMENT, offset), .at = 99, .stored_len = 3 };
        CLEANUP_FREE uint8_t *bytes = malloc(in.left + 1);
        struct moved_chunk found;
        atomic_bool degraded = false;
        struct moves *m;
        unsigned n = 0;
        int r;

        if (dir_fd < 0)
                dir_fd = open(fuzz_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        MUST(bytes && dir_fd >= 0);
        memcpy(bytes, in.at, in.left);
        if (right && in.left >= HEADER_SIZE)
                make_right(bytes, in.left);
        put(dir_fd, bytes, in.left);
        MUST(moves_new(dir_fd, &degraded, &m) == 0);
        MUST(moves_each(m, count, &n) == 0 && n == 1);
        r = moves_find(m, one.place, &found);
        MUST(r == 0 || r == 1 || r == -EBADMSG);
        MUST((moves_verify(m, SEGMENT) == -EBADMSG) == (r == -EBADMSG));
        MUST(moves_find(m, place_make(SEGMENT + 1, offset), &found) == 0);
        moves_free(m);
        return 0;
}
