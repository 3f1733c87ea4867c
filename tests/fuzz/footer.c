/* SPDX-License-Identifier: MIT */

/* A segment's footer: with the sums as they are, or, so that what stands behind them is reached, with right ones. */

#include "blobstore/chunks/footer.c" /* for the layout, which is its own */

#include "tests/fuzz/lib/fuzz.h"

#define SEGMENT 7

static const uint8_t store[STORE_ID_SIZE] = "a store's number";

static void make_right(uint8_t *bytes, size_t n)
{
        uint8_t *trailer = bytes + n - TRAILER_SIZE;
        size_t content = footer_content_size(get_le32(trailer + TRAILER_RECORDS), get_le32(trailer + TRAILER_FEATURES));

        put_le64(trailer + TRAILER_MAGIC, FOOTER_MAGIC);
        put_le32(trailer + TRAILER_VERSION, FOOTER_VERSION);
        put_le32(trailer + TRAILER_SEGMENT, SEGMENT);
        memcpy(trailer + TRAILER_STORE, store, STORE_ID_SIZE);
        if (content <= n - TRAILER_SIZE) {
                put_le64(trailer + TRAILER_START, n - TRAILER_SIZE - content);
                put_le64(trailer + TRAILER_CONTENT_HASH, hash64(trailer - content, content, SEGMENT));
        }
        put_le64(trailer + TRAILER_HASH, hash64(trailer, TRAILER_HASH, SEGMENT));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        bool right = input_number(&in, 1) % 2;
        uint8_t *bytes = malloc(in.left + 1);
        struct footer f = { 0 };
        int fd, r;

        MUST(bytes);
        memcpy(bytes, in.at, in.left);
        if (right && in.left >= TRAILER_SIZE)
                make_right(bytes, in.left);
        fd = fuzz_file(bytes, in.left);
        r = footer_read(fd, in.left, store, SEGMENT, &f);
        MUST(r == 0 || r == -ENOENT || r == -EBADMSG);
        if (r == 0)
                for (size_t i = 0; i < f.n; i++)
                        MUST((uint64_t)f.records[i].offset + f.records[i].stored_len <= f.start && f.start < in.left);
        footer_done(&f);
        (void)close(fd);
        free(bytes);
        return 0;
}
