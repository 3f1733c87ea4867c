/* SPDX-License-Identifier: MIT */

/* The bitmap of changed blocks: against a plain array, and what is on disk after syncs that end, fail or are torn. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/disks/disk_bitmap_priv.h"
#include "blobstore/disks/disks.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define BLOCKS      200000 /* several pages */
#define PAGE_BLOCKS 32256
#define SECTOR      512
#define SEED        42

struct files {
        char dir[TEMPDIR_MAX];
        int bitmap, data;
        atomic_bool degraded;
};

static int open_file(const char *dir, const char *name, uint64_t size)
{
        char path[2 * TEMPDIR_MAX];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        return fd;
}

static int setup(void **state)
{
        struct files *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tempdir_make(f->dir);
        f->bitmap = open_file(f->dir, "bitmap", disk_bitmap_file_size(BLOCKS));
        f->data = open_file(f->dir, "data", 0);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct files *f = *state;

        (void)close(f->bitmap);
        (void)close(f->data);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

static struct disk_bitmap *open_bitmap(const struct files *f, uint64_t seed)
{
        struct disk_bitmap *b;
        int fd = dup(f->bitmap);

        assert_true(fd >= 0);
        assert_ok(disk_bitmap_open(fd, seed, &b));
        return b;
}

static bool is_set(struct disk_bitmap *b, uint64_t block)
{
        uint64_t n;
        bool set;

        assert_ok(disk_bitmap_run(b, block, 1, &set, &n));
        assert_int_equal(n, 1);
        return set;
}

static void assert_run(struct disk_bitmap *b, const bool *model, uint64_t first, uint64_t max)
{
        uint64_t n, expected = 1;
        bool set;

        while (expected < max && model[first + expected] == model[first])
                expected++;
        assert_ok(disk_bitmap_run(b, first, max, &set, &n));
        assert_int_equal(set, model[first]);
        assert_int_equal(n, expected);
}

static void test_runs_against_a_plain_array(void **state)
{
        struct files *f = *state;
        struct disk_bitmap *b = open_bitmap(f, SEED);
        CLEANUP_FREE bool *model = calloc(BLOCKS, sizeof(bool));
        uint64_t random = 1;

        for (unsigned i = 0; i < 2000; i++) {
                uint64_t first = random_next(&random) % BLOCKS;
                uint64_t n = 1 + random_next(&random) % (i % 50 ? 100 : 40000);

                if (n > BLOCKS - first)
                        n = BLOCKS - first;
                if (i % 5 == 0) {
                        assert_ok(disk_bitmap_set(b, first, n));
                        memset(model + first, true, n);
                }
                first = random_next(&random) % BLOCKS;
                assert_run(b, model, first, 1 + random_next(&random) % (BLOCKS - first));
                if (i % 300 == 299) {
                        assert_ok(disk_bitmap_sync(b, f->data, &f->degraded));
                        assert_false(disk_bitmap_is_dirty(b));
                        disk_bitmap_free(b);
                        b = open_bitmap(f, SEED);
                }
        }
        for (uint64_t first = 0, n; first < BLOCKS; first += n) {
                bool set;

                assert_run(b, model, first, BLOCKS - first);
                assert_ok(disk_bitmap_run(b, first, BLOCKS - first, &set, &n));
        }
        disk_bitmap_free(b);
}

/* Chance comes upon this too seldom: what is alike ends just where one page of bits does and the next begins. */
static void test_a_run_ends_where_a_page_of_bits_does(void **state)
{
        struct files *f = *state;
        struct disk_bitmap *b = open_bitmap(f, SEED);
        uint64_t n;
        bool set;

        assert_ok(disk_bitmap_set(b, PAGE_BLOCKS, PAGE_BLOCKS));
        assert_ok(disk_bitmap_run(b, 1, BLOCKS - 1, &set, &n));
        assert_false(set);
        assert_int_equal(n, PAGE_BLOCKS - 1);
        assert_ok(disk_bitmap_run(b, PAGE_BLOCKS, BLOCKS - PAGE_BLOCKS, &set, &n));
        assert_true(set);
        assert_int_equal(n, PAGE_BLOCKS);
        disk_bitmap_free(b);
}

static void test_in_memory_alone(void **state)
{
        struct disk_bitmap *b;
        uint64_t n;
        bool set;

        (void)state;
        assert_ok(disk_bitmap_new(&b));
        assert_ok(disk_bitmap_set(b, UINT64_C(1) << 33, 5));
        assert_false(disk_bitmap_is_dirty(b));
        assert_ok(disk_bitmap_run(b, 0, UINT64_C(1) << 34, &set, &n));
        assert_false(set);
        assert_int_equal(n, UINT64_C(1) << 33);
        assert_ok(disk_bitmap_run(b, UINT64_C(1) << 33, 100, &set, &n));
        assert_true(set);
        assert_int_equal(n, 5);
        disk_bitmap_free(b);
}

static void test_bits_are_lost_without_a_sync_and_kept_with_one(void **state)
{
        struct files *f = *state;
        struct disk_bitmap *b = open_bitmap(f, SEED);

        assert_ok(disk_bitmap_set(b, 10, 1));
        assert_ok(disk_bitmap_sync(b, f->data, &f->degraded));
        assert_ok(disk_bitmap_set(b, 11, 1));
        assert_true(disk_bitmap_is_dirty(b));
        disk_bitmap_free(b);
        b = open_bitmap(f, SEED);
        assert_true(is_set(b, 10));
        assert_false(is_set(b, 11));
        disk_bitmap_free(b);
}

/* What a power failure in the middle of a write leaves: each sector as it was, or as it became. */
static void test_any_mixture_of_old_and_new_sectors_is_good(void **state)
{
        struct files *f = *state;
        struct disk_bitmap *b = open_bitmap(f, SEED);
        uint8_t before[8 * SECTOR], after[8 * SECTOR], torn[8 * SECTOR];

        for (unsigned s = 0; s < 8; s += 2)
                assert_ok(disk_bitmap_set(b, s * PAGE_BLOCKS / 8, 1));
        assert_ok(disk_bitmap_sync(b, f->data, &f->degraded));
        assert_int_equal(pread_full(f->bitmap, before, sizeof(before), 0), sizeof(before));
        for (unsigned s = 0; s < 8; s++)
                assert_ok(disk_bitmap_set(b, s * PAGE_BLOCKS / 8 + 100, 1));
        assert_ok(disk_bitmap_sync(b, f->data, &f->degraded));
        assert_int_equal(pread_full(f->bitmap, after, sizeof(after), 0), sizeof(after));
        disk_bitmap_free(b);

        for (unsigned mixture = 0; mixture < 256; mixture++) {
                for (unsigned s = 0; s < 8; s++)
                        memcpy(torn + s * SECTOR, (mixture >> s & 1 ? after : before) + s * SECTOR, SECTOR);
                assert_ok(pwrite_full(f->bitmap, torn, sizeof(torn), 0));
                b = open_bitmap(f, SEED);
                for (unsigned s = 0; s < 8; s++) {
                        assert_int_equal(is_set(b, s * PAGE_BLOCKS / 8), s % 2 == 0);
                        assert_int_equal(is_set(b, s * PAGE_BLOCKS / 8 + 100), mixture >> s & 1);
                }
                disk_bitmap_free(b);
        }
}

static void test_any_flipped_bit_is_damage(void **state)
{
        struct files *f = *state;
        struct disk_bitmap *b = open_bitmap(f, SEED);
        uint64_t random = 3, n;
        uint8_t byte;
        bool set;

        for (unsigned s = 0; s < 8; s++)
                assert_ok(disk_bitmap_set(b, s * PAGE_BLOCKS / 8 + 7, 1));
        assert_ok(disk_bitmap_set(b, PAGE_BLOCKS, 1));
        assert_ok(disk_bitmap_sync(b, f->data, &f->degraded));
        disk_bitmap_free(b);
        for (unsigned i = 0; i < 200; i++) {
                uint64_t off = random_next(&random) % (8 * SECTOR);
                uint8_t mask = (uint8_t)(1 << random_next(&random) % 8);

                assert_int_equal(pread_full(f->bitmap, &byte, 1, off), 1);
                byte ^= mask;
                assert_ok(pwrite_full(f->bitmap, &byte, 1, off));
                b = open_bitmap(f, SEED);
                assert_err(disk_bitmap_run(b, 0, 1, &set, &n), -EBADMSG);
                assert_err(disk_bitmap_set(b, 0, 1), -EBADMSG);
                assert_true(is_set(b, PAGE_BLOCKS));
                disk_bitmap_free(b);
                byte ^= mask;
                assert_ok(pwrite_full(f->bitmap, &byte, 1, off));
        }
}

static void test_another_disks_or_another_places_page_is_damage(void **state)
{
        struct files *f = *state;
        struct disk_bitmap *b = open_bitmap(f, SEED);
        uint8_t page[8 * SECTOR];
        uint64_t n;
        bool set;

        assert_ok(disk_bitmap_set(b, 0, 1));
        assert_ok(disk_bitmap_sync(b, f->data, &f->degraded));
        disk_bitmap_free(b);
        b = open_bitmap(f, SEED + 1000);
        assert_err(disk_bitmap_run(b, 0, 1, &set, &n), -EBADMSG);
        disk_bitmap_free(b);

        assert_int_equal(pread_full(f->bitmap, page, sizeof(page), 0), sizeof(page));
        assert_ok(pwrite_full(f->bitmap, page, sizeof(page), sizeof(page)));
        b = open_bitmap(f, SEED);
        assert_err(disk_bitmap_run(b, PAGE_BLOCKS, 1, &set, &n), -EBADMSG);
        disk_bitmap_free(b);
}

static void test_no_bit_is_written_when_the_data_cannot_be_synced(void **state)
{
        struct files *f = *state;
        struct disk_bitmap *b = open_bitmap(f, SEED);
        int ends[2];

        assert_int_equal(pipe(ends), 0); /* cannot be synced */
        assert_ok(disk_bitmap_set(b, 0, 1));
        assert_err(disk_bitmap_sync(b, ends[1], &f->degraded), -EINVAL);
        assert_true(f->degraded);
        assert_true(disk_bitmap_is_dirty(b));
        disk_bitmap_free(b);
        b = open_bitmap(f, SEED);
        assert_false(is_set(b, 0));
        disk_bitmap_free(b);
        (void)close(ends[0]);
        (void)close(ends[1]);
}

#define THREADS 4

struct setter {
        pthread_t thread;
        struct disk_bitmap *bitmap;
        struct files *files;
        pthread_mutex_t *sync_lock;
        unsigned number;
};

static void *set_bits(void *arg)
{
        struct setter *s = arg;

        for (uint64_t block = s->number; block < BLOCKS; block += THREADS * 17) {
                assert_ok(disk_bitmap_set(s->bitmap, block, 1));
                assert_true(is_set(s->bitmap, block));
                if (block % 5000 != s->number)
                        continue;
                pthread_mutex_lock(s->sync_lock);
                assert_ok(disk_bitmap_sync(s->bitmap, s->files->data, &s->files->degraded));
                pthread_mutex_unlock(s->sync_lock);
        }
        return NULL;
}

static void test_threads_lose_none_of_each_others_bits(void **state)
{
        pthread_mutex_t sync_lock = PTHREAD_MUTEX_INITIALIZER;
        struct files *f = *state;
        struct disk_bitmap *b = open_bitmap(f, SEED);
        struct setter setters[THREADS];

        for (unsigned i = 0; i < THREADS; i++) {
                setters[i] = (struct setter){ .bitmap = b, .files = f, .sync_lock = &sync_lock, .number = i };
                assert_int_equal(pthread_create(&setters[i].thread, NULL, set_bits, &setters[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++)
                assert_int_equal(pthread_join(setters[i].thread, NULL), 0);
        assert_ok(disk_bitmap_sync(b, f->data, &f->degraded));
        disk_bitmap_free(b);
        b = open_bitmap(f, SEED);
        for (uint64_t block = 0; block < BLOCKS; block++)
                assert_int_equal(is_set(b, block), block % (THREADS * 17) < THREADS);
        disk_bitmap_free(b);
}

/* As a process that dies, and the next one. Once, a bit that was not synced was lost with the process, and its write with it. */
static void test_kept_bits_outlive_the_process_and_are_synced_by_the_next(void **state)
{
        static const uint8_t ours[DISK_BITMAP_NAME_SIZE] = "ours", others[DISK_BITMAP_NAME_SIZE] = "others";
        struct files *f = *state;
        CLEANUP_CLOSE int fd = kept_file("test");
        struct kept *before, *after;
        struct disk_bitmap *b, *other;

        assert_ok(kept_open(fd, DISKS_KEPT_BYTES, &before));
        b = open_bitmap(f, SEED);
        assert_ok(disk_bitmap_keep(b, before, ours));
        assert_ok(disk_bitmap_set(b, 5, 1));
        assert_ok(disk_bitmap_sync(b, f->data, &f->degraded));
        assert_ok(disk_bitmap_set(b, 7, 2));
        assert_ok(disk_bitmap_set(b, 3 * PAGE_BLOCKS, 1));

        assert_ok(kept_open(fd, DISKS_KEPT_BYTES, &after));
        other = open_bitmap(f, SEED);
        assert_ok(disk_bitmap_keep(other, after, others));
        assert_false(is_set(other, 7));
        disk_bitmap_free(other);
        other = open_bitmap(f, SEED);
        assert_ok(disk_bitmap_keep(other, after, ours));
        assert_true(disk_bitmap_is_dirty(other));
        assert_true(is_set(other, 5) && is_set(other, 7) && is_set(other, 8) && is_set(other, 3 * PAGE_BLOCKS));
        assert_false(is_set(other, 6) || is_set(other, 9));
        assert_ok(disk_bitmap_sync(other, f->data, &f->degraded));
        disk_bitmap_free(other);
        kept_close(after);

        other = open_bitmap(f, SEED);
        assert_true(is_set(other, 5) && is_set(other, 8) && is_set(other, 3 * PAGE_BLOCKS));
        disk_bitmap_free(other);
        disk_bitmap_free(b);
        kept_close(before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                T(test_runs_against_a_plain_array),
                T(test_a_run_ends_where_a_page_of_bits_does),
                T(test_in_memory_alone),
                T(test_bits_are_lost_without_a_sync_and_kept_with_one),
                T(test_kept_bits_outlive_the_process_and_are_synced_by_the_next),
                T(test_any_mixture_of_old_and_new_sectors_is_good),
                T(test_any_flipped_bit_is_damage),
                T(test_another_disks_or_another_places_page_is_damage),
                T(test_no_bit_is_written_when_the_data_cannot_be_synced),
                T(test_threads_lose_none_of_each_others_bits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
