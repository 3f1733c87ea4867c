/* SPDX-License-Identifier: MIT */

/*
 * A blob's map: with the sums as they are, or, so that what stands behind them is reached, with right ones. Whoever reads it
 * comes to an end, and gets no entry that lies outside. The file is sparse as in fuzz.h.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/blobs/map.h"
#include "blobstore/blobs/map_layout_priv.h"
#include "blobstore/hash/hash.h"
#include "tests/fuzz/lib/fuzz.h"

#define SIZE_MAX_HERE ((uint64_t)1 << 20)

static const struct blob_id id = { "the number of it" };

static uint64_t seed(void)
{
        return get_le64(id.bytes);
}

/* The pages, and what is said of them, as far as it lies in the file. */
static void make_right(uint8_t *bytes, uint64_t n)
{
        const bool plain = get_le32(bytes + HEADER_VERSION) == MAP_VERSION_PLAIN;
        const uint64_t entries = get_le64(bytes + HEADER_ENTRIES);
        uint64_t pages = plain ? (entries + MAP_PAGE_ENTRIES - 1) / MAP_PAGE_ENTRIES : get_le64(bytes + HEADER_PAGES);
        uint64_t rows = plain ? pages : get_le64(bytes + HEADER_ROWS), table, extents;
        const uint64_t row_size = plain ? MAP_ROW_SIZE_PLAIN : MAP_ROW_SIZE;

        put_le64(bytes + HEADER_MAGIC, MAP_MAGIC);
        memcpy(bytes + HEADER_ID, id.bytes, BLOB_ID_SIZE);
        pages = pages < n / MAP_PAGE_SIZE - 1 ? pages : n / MAP_PAGE_SIZE - 1;
        for (uint64_t i = 0; i < pages; i++) {
                uint8_t *page = bytes + map_page_offset(i);

                put_le64(page, hash64(page + 8, MAP_PAGE_SIZE - 8, seed()));
                for (uint64_t k = 0; !plain && k < rows && map_page_offset(pages) + (k + 1) * row_size <= n; k++) {
                        uint8_t *row = bytes + map_page_offset(pages) + k * row_size;

                        if (get_le32(row + 28) >> 8 == 0 && get_le32(row + 24) == i)
                                memcpy(row + 16, page, 8);
                }
        }
        table = map_page_offset(pages);
        if (rows > n || get_le64(bytes + HEADER_LENDERS) > n)
                return;
        extents = table + rows * row_size + (plain ? 0 : get_le64(bytes + HEADER_LENDERS) * BLOB_ID_SIZE);
        if (extents > n)
                return;
        put_le64(bytes + HEADER_TABLE_HASH, hash64(bytes + table, extents - table, seed()));
        if (!plain && extents + rows * MAP_EXTENT_SIZE <= n)
                put_le64(bytes + HEADER_EXTENTS_HASH, hash64(bytes + extents, rows * MAP_EXTENT_SIZE, seed()));
        put_le64(bytes + HEADER_HASH, hash64(bytes, HEADER_HASH, seed()));
}

static int take_entry(void *ctx, const struct map_entry *e)
{
        (void)ctx;
        (void)e;
        return 0;
}

static void walk(const struct map *m, struct map_cursor *c)
{
        uint64_t steps = map_entries(m) + map_rows(m) + 1;
        struct map_entry e;
        int r;

        while ((r = map_next(c, &e)) != 0) {
                MUST(r == 1 || r == -EBADMSG || r == -ENOENT);
                MUST(steps-- > 0);
        }
}

static void read_map(struct map *m, uint64_t off)
{
        static struct map_cursor c;
        struct map_page page;
        uint64_t at, rank;
        int r;

        if (map_seek(m, off, &c) == 0)
                walk(m, &c);
        if (map_seek(m, 0, &c) == 0)
                walk(m, &c);
        r = map_find_hole(m, off % (map_info(m)->size_bytes + 1), &at);
        MUST(r < 0 || (at >= off % (map_info(m)->size_bytes + 1) && at <= map_info(m)->size_bytes));
        (void)map_seek_cluster(m, off / 65536, &c, &rank);
        (void)map_seek_rank(m, off / 65536, &c, &rank);
        MUST(map_rows_before(m, off) <= map_rows(m));
        for (uint64_t i = 0; i < map_rows(m) && i < 100; i++) {
                MUST(map_row_start(m, i) < map_row_limit(m, i));
                (void)map_row_get(m, i, &page);
                (void)map_row_describe(m, i, &page);
                if (map_seek_row(m, i, &c) == 0)
                        MUST(c.n <= MAP_PAGE_ENTRIES);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        bool right = input_number(&in, 1) % 2;
        uint64_t off = input_number(&in, 8), n;
        CLEANUP_CLOSE int fd = fuzz_sparse_file(&in, &n);
        CLEANUP_FREE uint8_t *bytes = NULL;
        struct map *m;
        int r;

        if (n > SIZE_MAX_HERE)
                return 0;
        bytes = malloc(n + 1);
        MUST(bytes && pread_full(fd, bytes, n, 0) == (ssize_t)n);
        if (right && n >= MAP_PAGE_SIZE) {
                make_right(bytes, n);
                MUST(pwrite_full(fd, bytes, n, 0) == 0);
        }
        (void)map_salvage(fd, &id, take_entry, NULL);
        (void)map_page_each(fd, &id, off % 1024, take_entry, NULL);
        r = map_open(dup(fd), &id, &m);
        MUST(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
        if (r < 0)
                return 0;
        read_map(m, off);
        map_close(m);
        return 0;
}
