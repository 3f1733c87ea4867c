/* SPDX-License-Identifier: MIT */

/* Copies that move no bytes: what both disks have from the same chunks. Reflinks are for tests/mount/cases/disk-clone.sh. */

#include <stdlib.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/disks/disk.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define BLOCK     4096
#define MIB       (UINT64_C(1) << 20)
#define SIZE      (10 * MIB + 1000)
#define CHUNK_MAX (UINT64_C(256) << 10)

static struct disk *make_disk(struct store *s, struct blob *base, uint64_t size)
{
        struct disk_id id;
        struct disk *d;

        assert_ok(disk_create(s->bs, base ? blob_get_id(base) : NULL, size, &id));
        assert_ok(disk_open(s->bs, &id, &d));
        return d;
}

static void write_random(struct disk *d, uint64_t *random, uint8_t *model, size_t n, uint64_t off)
{
        random_fill(random, model + off, n);
        assert_int_equal(disk_pwrite(d, model + off, n, off), n);
}

static void assert_holds(struct disk *d, const uint8_t *bytes, size_t n)
{
        CLEANUP_FREE uint8_t *got = malloc(n);

        assert_int_equal(disk_pread(d, got, n, 0), n);
        assert_memory_equal(got, bytes, n);
}

/* All of the source at the same place, as the file system does it; gives the bytes that had to be moved. */
static uint64_t copy(struct disk *d, struct disk_source from, const uint8_t *bytes, uint64_t size)
{
        uint64_t moved = 0, n;
        int r;

        for (uint64_t off = 0; off < size; off += n) {
                r = disk_clone(d, off, &from, off, size - off, &n);
                assert_true(r == 0 || r == 1);
                assert_in_range(n, 1, size - off);
                if (r == 1)
                        continue;
                assert_int_equal(disk_pwrite(d, bytes + off, n, off), n);
                moved += n;
        }
        return moved;
}

static void test_copy_over_a_clone_of_the_same_image_moves_the_changes(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(1, SIZE);
        struct blob *base = image_store(s, bytes, SIZE);
        struct disk *from = make_disk(s, base, SIZE), *to = make_disk(s, base, SIZE);
        CLEANUP_FREE uint8_t *other = malloc(SIZE);
        uint64_t random = 1;

        memcpy(other, bytes, SIZE);
        assert_int_equal(copy(to, (struct disk_source){ .disk = from }, bytes, SIZE), 0);
        write_random(from, &random, bytes, BLOCK, 3 * MIB);
        write_random(from, &random, bytes, 1000, SIZE - 1000);
        write_random(to, &random, other, 100, 5 * MIB + 50);
        assert_int_equal(copy(to, (struct disk_source){ .disk = from }, bytes, SIZE),
                         BLOCK + (SIZE % BLOCK) + BLOCK);
        assert_holds(to, bytes, SIZE);
        disk_close(from);
        disk_close(to);
        blob_close(base);
}

static void test_back_to_a_snapshot_moves_what_was_changed_around_it(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(2, SIZE), *first = image_make(2, SIZE), *then = malloc(SIZE);
        struct blob *base = image_store(s, bytes, SIZE), *snapshot;
        struct disk *d = make_disk(s, base, SIZE);
        struct disk_snapshot_stats stats;
        uint64_t random = 2, moved;

        write_random(d, &random, bytes, 5 * BLOCK, 2 * MIB);
        assert_ok(disk_snapshot(d, NULL, NULL, &snapshot, &stats));
        memcpy(then, bytes, SIZE);
        write_random(d, &random, bytes, BLOCK, 7 * MIB);
        moved = copy(d, (struct disk_source){ .blob = snapshot }, then, SIZE);
        /* The changes, and what was left of the chunks around them, which the snapshot has anew. */
        assert_in_range(moved, 6 * BLOCK, 6 * BLOCK + 2 * CHUNK_MAX);
        assert_holds(d, then, SIZE);

        assert_int_equal(copy(d, (struct disk_source){ .blob = base }, first, SIZE), moved);
        assert_holds(d, first, SIZE);
        blob_close(snapshot);
        disk_close(d);
        blob_close(base);
}

static void test_nothing_is_shared_with_another_image_or_at_another_offset(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = malloc(MIB), *more = malloc(MIB);
        uint64_t random = 3, n = 0;
        struct blob *one, *two;
        struct disk *d, *empty;

        random_fill(&random, bytes, MIB);
        random_fill(&random, more, MIB);
        one = image_store(s, bytes, MIB);
        two = image_store(s, more, MIB);
        d = make_disk(s, one, 2 * MIB);
        empty = make_disk(s, NULL, 2 * MIB);
        assert_int_equal(copy(d, (struct disk_source){ .blob = two }, more, MIB), MIB);
        assert_holds(d, more, MIB);
        assert_int_equal(copy(empty, (struct disk_source){ .blob = one }, bytes, MIB), MIB);
        assert_holds(empty, bytes, MIB);
        disk_close(d);

        d = make_disk(s, one, 2 * MIB);
        assert_err(disk_clone(d, BLOCK, &(struct disk_source){ .blob = one }, 0, MIB - BLOCK, &n), 0);
        assert_int_equal(n, MIB - BLOCK);
        /* Neither has anything there. */
        disk_close(empty);
        empty = make_disk(s, NULL, 2 * MIB);
        assert_err(disk_clone(empty, MIB, &(struct disk_source){ .disk = d }, MIB, MIB, &n), 1);
        assert_int_equal(n, MIB);
        disk_close(empty);
        disk_close(d);
        blob_close(one);
        blob_close(two);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
                T(test_copy_over_a_clone_of_the_same_image_moves_the_changes),
                T(test_back_to_a_snapshot_moves_what_was_changed_around_it),
                T(test_nothing_is_shared_with_another_image_or_at_another_offset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
