/* SPDX-License-Identifier: MIT */

/* Reads are counted: the call is replaced under both of its names, which that macro would make one. */
#undef _FILE_OFFSET_BITS

#include "blobstore/blobs/map.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/blobs/map_layout_priv.h"
#include "blobstore/chunks/cache.h"
#include "blobstore/chunks/segment.h"
#include "blobstore/hash/hash.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

static const struct blob_id test_id = { "0123456789abcde" };

static unsigned reads;

ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
        reads++;
        return syscall(SYS_pread64, fd, buf, n, off);
}

ssize_t pread64(int fd, void *buf, size_t n, off_t off)
{
        return pread(fd, buf, n, off);
}

static int temp_file(void)
{
        int fd = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        return fd;
}

/* Entry I of a test map: chunks of 1 to 3 blocks, every fifth one after a hole of ten blocks. */
static struct map_entry test_entry(uint64_t i)
{
        struct map_entry e = {
                .len = (uint32_t)(i % 3 + 1) * BLOB_BLOCK_SIZE,
                .skip = (uint32_t)(i % 5) * BLOB_BLOCK_SIZE,
                .offset = (i * 3 + i / 5 * 10) * BLOB_BLOCK_SIZE,
                .raw_len = (uint32_t)(i % 3 + 1 + i % 5 + i % 2) * BLOB_BLOCK_SIZE,
                .stored_len = (uint32_t)(i % 4000 + 1),
                .place = place_make((uint32_t)(i / 100 + 1), (uint32_t)(i * 7 + 16)),
        };

        memcpy(e.name.bytes, &i, sizeof(i));
        return e;
}

static void assert_entry(const struct map_entry *e, uint64_t i)
{
        struct map_entry wanted = test_entry(i);

        assert_int_equal(e->offset, wanted.offset);
        assert_int_equal(e->len, wanted.len);
        assert_int_equal(e->skip, wanted.skip);
        assert_int_equal(e->raw_len, wanted.raw_len);
        assert_int_equal(e->stored_len, wanted.stored_len);
        assert_int_equal(e->place, wanted.place);
        assert_memory_equal(&e->name, &wanted.name, sizeof(wanted.name));
}

/* Gives a descriptor of a map with N entries. */
static int make_map_of(const struct blob_id *id, uint64_t n)
{
        struct blob_info info = { .size_bytes = (n * 6 + 100) * BLOB_BLOCK_SIZE, .data_bytes = 77 };
        struct map_writer *w;
        int fd = temp_file();

        assert_ok(map_writer_new(dup(fd), id, &w));
        for (uint64_t i = 0; i < n; i++) {
                struct map_entry e = test_entry(i);

                assert_ok(map_writer_add(w, &e));
        }
        assert_ok(map_writer_finish(w, &info));
        assert_ok(map_writer_sync(w));
        map_writer_free(w);
        return fd;
}

static int make_map(uint64_t n)
{
        return make_map_of(&test_id, n);
}

/* Before entry N of a map all of whose pages are full. */
static int seek_entry(const struct map *m, uint64_t n, struct map_cursor *ret)
{
        struct map_entry e;
        int r;

        r = map_seek_row(m, n / MAP_PAGE_ENTRIES, ret);
        for (uint64_t i = 0; r >= 0 && i < n % MAP_PAGE_ENTRIES; i++)
                r = map_next(ret, &e);
        return r < 0 ? r : 0;
}

static void test_entries_come_back_in_order_and_by_number(void **state)
{
        static const uint64_t counts[] = { 0, 1, MAP_PAGE_ENTRIES - 1, MAP_PAGE_ENTRIES, MAP_PAGE_ENTRIES + 1, 5000 };
        struct map_cursor cursor;
        struct map_entry e;
        struct map *m;

        (void)state;
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
                assert_ok(map_open(make_map(counts[c]), &test_id, &m));
                assert_int_equal(map_entries(m), counts[c]);
                assert_int_equal(map_info(m)->data_bytes, 77);
                assert_ok(map_seek(m, 0, &cursor));
                for (uint64_t i = 0; i < counts[c]; i++) {
                        assert_int_equal(map_next(&cursor, &e), 1);
                        assert_entry(&e, i);
                }
                assert_int_equal(map_next(&cursor, &e), 0);
                assert_int_equal(map_next(&cursor, &e), 0);
                for (uint64_t i = 0; i < counts[c]; i += 37) {
                        assert_ok(seek_entry(m, i, &cursor));
                        assert_int_equal(map_next(&cursor, &e), 1);
                        assert_entry(&e, i);
                }
                assert_ok(seek_entry(m, counts[c], &cursor));
                assert_int_equal(map_next(&cursor, &e), 0);
                map_close(m);
        }
}

static void test_seek_finds_the_first_entry_that_ends_after_an_offset(void **state)
{
        const uint64_t n = 1000;
        struct map_cursor cursor;
        struct map_entry e, wanted;
        struct map *m;
        uint64_t i = 0;

        (void)state;
        assert_ok(map_open(make_map(n), &test_id, &m));
        for (uint64_t off = 0; off < map_info(m)->size_bytes; off += 2048 + off % 3) {
                while (i < n && (wanted = test_entry(i), wanted.offset + wanted.len <= off))
                        i++;
                assert_ok(map_seek(m, off, &cursor));
                assert_int_equal(map_next(&cursor, &e), i < n);
                if (i < n)
                        assert_entry(&e, i);
        }
        map_close(m);
}

/* ---- pages that are kept ---- */

/* Gives the reads that it took to look at every page of the map, in any order. */
static unsigned look_at_all(const struct map *m, uint64_t n)
{
        struct map_cursor cursor;
        struct map_entry e;

        reads = 0;
        for (uint64_t i = 0; i < n; i++) {
                uint64_t entry = i * 7919 % n;

                assert_ok(map_seek(m, test_entry(entry).offset, &cursor));
                assert_int_equal(map_next(&cursor, &e), 1);
                assert_entry(&e, entry);
        }
        return reads;
}

static void test_a_page_that_is_kept_is_not_read_again(void **state)
{
        const uint64_t pages = 20, n = pages * MAP_PAGE_ENTRIES;
        struct cache *kept;
        struct map *m;
        int fd;

        (void)state;
        assert_ok(cache_new(1 << 20, &kept));
        fd = make_map(n);
        assert_ok(map_open(dup(fd), &test_id, &m));
        assert_int_equal(look_at_all(m, n), n);
        map_keep_pages(m, kept);
        assert_int_equal(look_at_all(m, n), pages);
        assert_int_equal(look_at_all(m, n), 0);
        map_close(m);

        /* Opened again it is the same map. */
        assert_ok(map_open(fd, &test_id, &m));
        map_keep_pages(m, kept);
        assert_int_equal(look_at_all(m, n), 0);
        map_close(m);
        cache_free(kept);
}

static void test_a_walk_keeps_no_page_but_its_first(void **state)
{
        const uint64_t n = 5 * MAP_PAGE_ENTRIES;
        struct map_cursor cursor;
        struct map_entry e;
        struct cache *kept;
        struct map *m;

        (void)state;
        assert_ok(cache_new(1 << 20, &kept));
        assert_ok(map_open(make_map(n), &test_id, &m));
        map_keep_pages(m, kept);
        for (unsigned wanted = 5; wanted >= 4; wanted--) {
                reads = 0;
                assert_ok(map_seek(m, 0, &cursor));
                for (uint64_t i = 0; i < n; i++) {
                        assert_int_equal(map_next(&cursor, &e), 1);
                        assert_entry(&e, i);
                }
                assert_int_equal(reads, wanted);
        }
        map_close(m);
        cache_free(kept);
}

/* Two maps of which one page's number is the other's. */
static void test_pages_of_two_maps_are_told_apart(void **state)
{
        struct blob_id other_id = test_id;
        struct map *m, *other;
        struct map_cursor cursor;
        struct cache *kept;
        struct map_entry e;
        int fd;

        (void)state;
        other_id.bytes[BLOB_ID_SIZE - 1]++;
        assert_ok(cache_new(1 << 20, &kept));
        fd = make_map_of(&other_id, MAP_PAGE_ENTRIES);
        assert_ok(map_open(fd, &other_id, &other));
        assert_ok(map_open(make_map(5), &test_id, &m));
        map_keep_pages(m, kept);
        map_keep_pages(other, kept);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(look_at_all(m, 5) > 0, i == 0);
                assert_ok(seek_entry(other, 80, &cursor));
                assert_int_equal(map_next(&cursor, &e), 1);
                assert_entry(&e, 80);
        }
        map_close(m);
        map_close(other);
        cache_free(kept);
}

static void test_damage_is_not_kept(void **state)
{
        struct map_cursor cursor;
        struct map_entry e;
        struct cache *kept;
        struct map *m;
        int fd = make_map(5);
        uint8_t byte;

        (void)state;
        assert_ok(cache_new(1 << 20, &kept));
        assert_ok(map_open(dup(fd), &test_id, &m));
        map_keep_pages(m, kept);
        assert_int_equal(pread(fd, &byte, 1, MAP_PAGE_SIZE + 100), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, MAP_PAGE_SIZE + 100), 1);
        assert_err(map_seek(m, 0, &cursor), -EBADMSG);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, MAP_PAGE_SIZE + 100), 1);
        assert_ok(map_seek(m, 0, &cursor));
        assert_int_equal(map_next(&cursor, &e), 1);
        assert_entry(&e, 0);
        map_close(m);
        cache_free(kept);
        (void)close(fd);
}

static void test_small_reads_come_to_read_nothing(void **state)
{
        const size_t size = 1 << 20; /* its chunks are kept, too */
        uint8_t *bytes = image_make(3, size), block[512]; /* a chunk that is read whole is not kept */
        struct store *s = *state;
        struct blob *b = image_store(s, bytes, size);

        for (unsigned i = 0; i < 2; i++) {
                reads = 0;
                for (size_t off = 0; off < size; off += sizeof(block)) {
                        assert_int_equal(blob_pread(b, block, sizeof(block), off), sizeof(block));
                        assert_memory_equal(block, bytes + off, sizeof(block));
                }
                assert_int_equal(reads > 0, i == 0);
        }
        blob_close(b);
        free(bytes);
}

/* ---- holes ---- */

#define DENSE_PAGES  UINT64_C(2000)
#define DENSE_CHUNK  (UINT64_C(32) << 10)
#define DENSE_CHUNKS (DENSE_PAGES * MAP_PAGE_ENTRIES)

/* A run of chunks that touch, but for holes of HOLE bytes before those in HOLES, which ends with 0. */
static struct map *dense_map(const uint64_t *holes, uint64_t hole)
{
        struct blob_info info = { .size_bytes = DENSE_CHUNKS * 2 * DENSE_CHUNK };
        struct map_entry e = {
                .len = DENSE_CHUNK,
                .raw_len = DENSE_CHUNK,
                .stored_len = 1,
                .place = place_make(1, 16),
        };
        struct map_writer *w;
        int fd = temp_file();
        struct map *m;

        assert_ok(map_writer_new(dup(fd), &test_id, &w));
        for (uint64_t i = 0; i < DENSE_CHUNKS; i++) {
                if (*holes && i == *holes) {
                        e.offset += hole;
                        holes++;
                }
                assert_ok(map_writer_add(w, &e));
                e.offset += e.len;
        }
        assert_ok(map_writer_finish(w, &info));
        map_writer_free(w);
        assert_ok(map_open(fd, &test_id, &m));
        return m;
}

static uint64_t hole_after(const struct map *m, uint64_t off)
{
        uint64_t found;

        reads = 0;
        assert_ok(map_find_hole(m, off, &found));
        assert_in_range(reads, 1, MAP_HOLE_PAGES + 2);
        return found;
}

static void test_the_end_of_a_long_run_is_found_with_few_reads(void **state)
{
        static const uint64_t none[] = { 0 };
        struct map *m = dense_map(none, 0);

        (void)state;
        for (uint64_t off = 0; off < DENSE_CHUNKS * DENSE_CHUNK; off += DENSE_CHUNKS * DENSE_CHUNK / 50 + 12345)
                assert_int_equal(hole_after(m, off), DENSE_CHUNKS * DENSE_CHUNK);
        assert_int_equal(hole_after(m, DENSE_CHUNKS * DENSE_CHUNK), DENSE_CHUNKS * DENSE_CHUNK);
        map_close(m);
}

/* Within a page, at its end, and one page after another. */
static void test_no_hole_of_clusters_is_passed_over(void **state)
{
        static const uint64_t holes[] = { 5000,
                                          700 * MAP_PAGE_ENTRIES,
                                          701 * MAP_PAGE_ENTRIES,
                                          1500 * MAP_PAGE_ENTRIES + 84,
                                          DENSE_CHUNKS - 1,
                                          0 };
        const uint64_t hole = 2 * BLOB_CLUSTER_SIZE; /* with a cluster in it, wherever it begins */
        struct map *m = dense_map(holes, hole);
        uint64_t off = 0;

        (void)state;
        for (size_t i = 0; holes[i]; i++) {
                uint64_t wanted = holes[i] * DENSE_CHUNK + i * hole;

                assert_int_equal(hole_after(m, off), wanted);
                assert_int_equal(hole_after(m, wanted - 1), wanted);
                assert_int_equal(hole_after(m, wanted + 1), wanted + 1);
                off = wanted + hole;
        }
        assert_int_equal(hole_after(m, off), DENSE_CHUNKS * DENSE_CHUNK + 5 * hole);
        map_close(m);
}

static void test_a_hole_of_a_block_is_found_near_by(void **state)
{
        static const uint64_t holes[] = { 100 * MAP_PAGE_ENTRIES, 1000 * MAP_PAGE_ENTRIES, 0 };
        struct map *m = dense_map(holes, BLOB_BLOCK_SIZE);
        const uint64_t first = holes[0] * DENSE_CHUNK, second = holes[1] * DENSE_CHUNK + BLOB_BLOCK_SIZE;

        (void)state;
        assert_int_equal(hole_after(m, 0), first);
        assert_int_equal(hole_after(m, second - 250 * MAP_PAGE_ENTRIES * DENSE_CHUNK), second);
        /* From further on it is taken for data. */
        assert_int_equal(hole_after(m, first + BLOB_BLOCK_SIZE), DENSE_CHUNKS * DENSE_CHUNK + 2 * BLOB_BLOCK_SIZE);
        map_close(m);
}

/* ---- damage ---- */

static bool map_is_readable(int fd)
{
        struct map_cursor cursor;
        struct map_entry e;
        struct map *m;
        int r;

        r = map_open(dup(fd), &test_id, &m);
        if (r == 0) {
                r = map_seek(m, 0, &cursor);
                while (r == 0 && (r = map_next(&cursor, &e)) > 0)
                        r = 0;
                map_close(m);
        }
        if (r != 0)
                assert_err(r, -EBADMSG);
        return r == 0;
}

static void test_every_flipped_byte_is_noticed(void **state)
{
        int fd = make_map(250);
        off_t size = lseek(fd, 0, SEEK_END);
        uint8_t byte;

        (void)state;
        for (off_t off = 0; off < size; off++) {
                assert_int_equal(pread(fd, &byte, 1, off), 1);
                byte ^= 0x10;
                assert_int_equal(pwrite(fd, &byte, 1, off), 1);
                assert_false(map_is_readable(fd));
                byte ^= 0x10;
                assert_int_equal(pwrite(fd, &byte, 1, off), 1);
        }
        assert_true(map_is_readable(fd));
        (void)close(fd);
}

static void test_other_lengths_are_noticed(void **state)
{
        int fd = make_map(250);
        off_t size = lseek(fd, 0, SEEK_END);

        (void)state;
        assert_ok(ftruncate(fd, size + 1));
        assert_false(map_is_readable(fd));
        for (; size > 0; size -= 500) {
                assert_ok(ftruncate(fd, size - 1));
                assert_false(map_is_readable(fd));
        }
        (void)close(fd);
}

static void test_pages_that_changed_places_are_noticed(void **state)
{
        uint8_t a[MAP_PAGE_SIZE], b[MAP_PAGE_SIZE];
        int fd = make_map(3 * MAP_PAGE_ENTRIES);

        (void)state;
        assert_int_equal(pread(fd, a, sizeof(a), MAP_PAGE_SIZE), sizeof(a));
        assert_int_equal(pread(fd, b, sizeof(b), 2 * MAP_PAGE_SIZE), sizeof(b));
        assert_int_equal(pwrite(fd, b, sizeof(b), MAP_PAGE_SIZE), sizeof(b));
        assert_int_equal(pwrite(fd, a, sizeof(a), 2 * MAP_PAGE_SIZE), sizeof(a));
        assert_false(map_is_readable(fd));
        (void)close(fd);
}

/* Nothing but the writer of such a map is at fault: every hash is right. Readers used to go past the end of chunks. */
static void test_pages_that_overlap_are_damage(void **state)
{
        struct blob_info info = { .size_bytes = UINT64_C(1) << 30 };
        struct map_cursor cursor;
        struct map_writer *w;
        struct map_entry e;
        struct map *m;
        int fd = temp_file();

        (void)state;
        assert_ok(map_writer_new(dup(fd), &test_id, &w));
        for (uint64_t i = 0; i < 2 * MAP_PAGE_ENTRIES; i++) {
                e = test_entry(i < MAP_PAGE_ENTRIES ? i : i - 2);
                assert_ok(map_writer_add(w, &e));
        }
        assert_ok(map_writer_finish(w, &info));
        map_writer_free(w);

        assert_ok(map_open(fd, &test_id, &m));
        assert_err(map_seek(m, 0, &cursor), -EBADMSG);
        assert_ok(seek_entry(m, MAP_PAGE_ENTRIES, &cursor));
        assert_int_equal(map_next(&cursor, &e), 1);
        map_close(m);
}

/* Nor is what only its header says, and every hash is right. */
static void test_rows_that_do_not_add_up_to_the_header_are_damage(void **state)
{
        static const int fields[] = { HEADER_ENTRIES, HEADER_PAGES };
        uint8_t header[MAP_PAGE_SIZE];
        int fd = make_map(250);

        (void)state;
        for (int i = 0; i < 2; i++) {
                assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
                put_le64(header + fields[i], get_le64(header + fields[i]) + 1);
                put_le64(header + HEADER_HASH, hash64(header, HEADER_HASH, get_le64(test_id.bytes)));
                assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
                assert_false(map_is_readable(fd));
                put_le64(header + fields[i], get_le64(header + fields[i]) - 1);
                put_le64(header + HEADER_HASH, hash64(header, HEADER_HASH, get_le64(test_id.bytes)));
                assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
                assert_true(map_is_readable(fd));
        }
        (void)close(fd);
}

struct salvaged {
        uint64_t n;
        int answer; /* to the tenth */
};

static int salvage(void *ctx, const struct map_entry *e)
{
        struct salvaged *s = ctx;

        assert_entry(e, s->n < MAP_PAGE_ENTRIES || s->answer ? s->n : s->n + MAP_PAGE_ENTRIES);
        return ++s->n == 10 ? s->answer : 0;
}

static void test_what_is_left_without_a_header_is_found_page_by_page(void **state)
{
        int fd = make_map(3 * MAP_PAGE_ENTRIES);
        struct salvaged s = { 0 };
        struct map *m;

        (void)state;
        assert_int_equal(pwrite(fd, "x", 1, 50), 1);
        assert_int_equal(pwrite(fd, "x", 1, 2 * MAP_PAGE_SIZE + 50), 1);
        assert_err(map_open(dup(fd), &test_id, &m), -EBADMSG);
        errno = 0;
        assert_ok(map_salvage(fd, &test_id, salvage, &s));
        assert_int_equal(s.n, 2 * MAP_PAGE_ENTRIES);
        s = (struct salvaged){ .answer = -ENOTTY };
        assert_err(map_salvage(fd, &test_id, salvage, &s), -ENOTTY);
        assert_int_equal(s.n, 10);
        (void)close(fd);
}

static void test_map_of_another_blob_is_refused(void **state)
{
        static const struct blob_id other = { "0123456789abcdX" };
        struct map *m;

        (void)state;
        assert_err(map_open(make_map(5), &other, &m), -EBADMSG);
}

static void test_walk_goes_on_behind_a_damaged_page(void **state)
{
        int fd = make_map(3 * MAP_PAGE_ENTRIES);
        struct map_cursor cursor;
        struct map_entry e;
        struct map *m;

        (void)state;
        assert_int_equal(pwrite(fd, "x", 1, 2 * MAP_PAGE_SIZE + 50), 1);
        assert_ok(map_open(fd, &test_id, &m));
        assert_ok(seek_entry(m, MAP_PAGE_ENTRIES - 1, &cursor));
        assert_int_equal(map_next(&cursor, &e), 1);
        assert_err(map_next(&cursor, &e), -EBADMSG);
        assert_int_equal(map_next(&cursor, &e), 1);
        assert_entry(&e, 2 * MAP_PAGE_ENTRIES);
        map_close(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_entries_come_back_in_order_and_by_number),
                cmocka_unit_test(test_seek_finds_the_first_entry_that_ends_after_an_offset),
                cmocka_unit_test(test_a_page_that_is_kept_is_not_read_again),
                cmocka_unit_test(test_a_walk_keeps_no_page_but_its_first),
                cmocka_unit_test(test_pages_of_two_maps_are_told_apart),
                cmocka_unit_test(test_damage_is_not_kept),
                cmocka_unit_test_setup_teardown(test_small_reads_come_to_read_nothing, store_setup, store_teardown),
                cmocka_unit_test(test_the_end_of_a_long_run_is_found_with_few_reads),
                cmocka_unit_test(test_no_hole_of_clusters_is_passed_over),
                cmocka_unit_test(test_a_hole_of_a_block_is_found_near_by),
                cmocka_unit_test(test_every_flipped_byte_is_noticed),
                cmocka_unit_test(test_other_lengths_are_noticed),
                cmocka_unit_test(test_pages_that_changed_places_are_noticed),
                cmocka_unit_test(test_pages_that_overlap_are_damage),
                cmocka_unit_test(test_rows_that_do_not_add_up_to_the_header_are_damage),
                cmocka_unit_test(test_what_is_left_without_a_header_is_found_page_by_page),
                cmocka_unit_test(test_map_of_another_blob_is_refused),
                cmocka_unit_test(test_walk_goes_on_behind_a_damaged_page),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
