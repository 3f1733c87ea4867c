/* SPDX-License-Identifier: MIT */

/* Blobs made of parts of others: what is read, what is shared, what it takes on disk, and what outlives what. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/disks/disk_priv.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define BLOCK     4096
#define MIB       (UINT64_C(1) << 20)
#define CHUNK_MAX (UINT64_C(256) << 10)

struct snap {
        struct blob *blob;
        struct disk_snapshot_stats stats;
};

static struct snap take(struct disk *d)
{
        struct snap s;

        assert_ok(disk_snapshot(d, NULL, NULL, &s.blob, &s.stats));
        return s;
}

static struct disk *make_disk(struct store *s, struct blob *base, uint64_t size)
{
        struct disk_id id;
        struct disk *d;

        assert_ok(disk_create(s->bs, base ? blob_get_id(base) : NULL, size, &id));
        assert_ok(disk_open(s->bs, &id, &d));
        return d;
}

/* ---- snapshots ---- */

static void test_snapshot_of_an_unchanged_disk_reads_nothing(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(1, 20 * MIB);
        struct blob *base = image_store(s, bytes, 20 * MIB);
        struct disk *d = make_disk(s, base, 20 * MIB);
        uint64_t stored = store_segment_bytes(s);
        struct snap snap = take(d);

        assert_int_equal(snap.stats.bytes_read, 0);
        assert_int_equal(snap.stats.bytes_shared, blob_get_info(base)->data_bytes);
        assert_int_equal(blob_get_info(snap.blob)->data_bytes, blob_get_info(base)->data_bytes);
        assert_false(blob_has_checksum(blob_get_info(snap.blob)));
        assert_true(blob_has_checksum(blob_get_info(base)));
        assert_int_equal(store_segment_bytes(s), stored);
        image_assert_same(snap.blob, bytes, 20 * MIB);
        blob_close(snap.blob);
        disk_close(d);
        blob_close(base);
}

static void test_snapshot_reads_and_stores_what_changed(void **state)
{
        enum { CHANGES = 5 };
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = malloc(64 * MIB);
        uint8_t change[3 * BLOCK];
        uint64_t random = 2, stored;
        struct blob *base;
        struct disk *d;
        struct snap snap;

        random_fill(&random, bytes, 64 * MIB); /* dense, and nothing compresses */
        base = image_store(s, bytes, 64 * MIB);
        d = make_disk(s, base, 64 * MIB);
        stored = store_segment_bytes(s);
        for (unsigned i = 0; i < CHANGES; i++) {
                uint64_t off = (i * 11 + 3) * MIB + 5000;

                random_fill(&random, change, sizeof(change));
                memcpy(bytes + off, change, sizeof(change));
                assert_int_equal(disk_pwrite(d, change, sizeof(change), off), sizeof(change));
        }
        snap = take(d);
        image_assert_same(snap.blob, bytes, 64 * MIB);

        /* Of each change: its blocks, and what is too little of the chunks around it to share. */
        assert_in_range(snap.stats.bytes_read, CHANGES * 4 * BLOCK, CHANGES * (4 * BLOCK + 2 * CHUNK_MAX / 32));
        assert_true(snap.stats.bytes_shared >= 64 * MIB - snap.stats.bytes_read);
        assert_true(snap.stats.bytes_shared <= 64 * MIB - CHANGES * 4 * BLOCK);
        assert_true(store_segment_bytes(s) - stored <= snap.stats.bytes_read + 64 * 1024);
        blob_close(snap.blob);
        disk_close(d);
        blob_close(base);
}

#define GENERATIONS 4
#define SCATTERED   500

/*
 * Blocks here and there, as guests write them, over several generations: each takes what changed, reads as what it is,
 * and lives on when those before it are gone. A snapshot used to read and store whole chunks, 22 times the changes.
 */
static void test_scattered_changes_cost_no_more_than_they_are(void **state)
{
        struct store *s = *state;
        const uint64_t changed = SCATTERED * BLOCK;
        CLEANUP_FREE uint8_t *bytes = malloc(64 * MIB);
        uint64_t random = 11, stored;
        struct blob_id id, old;
        struct blob *base;

        random_fill(&random, bytes, 64 * MIB);
        base = image_store(s, bytes, 64 * MIB);
        for (unsigned g = 0; g < GENERATIONS; g++) {
                struct disk *d = make_disk(s, base, 64 * MIB);
                struct snap snap;

                for (unsigned i = 0; i < SCATTERED; i++) {
                        uint64_t off = random_next(&random) % (64 * MIB / BLOCK) * BLOCK;

                        random_fill(&random, bytes + off, BLOCK);
                        assert_int_equal(disk_pwrite(d, bytes + off, BLOCK, off), BLOCK);
                }
                stored = store_segment_bytes(s);
                snap = take(d);
                assert_true(snap.stats.bytes_read <= changed + changed / 5);
                assert_int_equal(snap.stats.bytes_read + snap.stats.bytes_shared, 64 * MIB);
                assert_true(store_segment_bytes(s) - stored <= changed + changed / 5 + 64 * 1024);
                image_assert_same(snap.blob, bytes, 64 * MIB);

                old = *blob_get_id(base);
                id = *blob_get_id(snap.blob);
                blob_close(base);
                assert_ok(disk_remove(s->bs, disk_get_id(d)));
                disk_close(d);
                assert_ok(blob_remove(s->bs, &old));
                base = snap.blob;
        }
        blob_close(base);
        (void)store_gc(s);
        store_reopen(s);
        (void)store_gc(s);
        store_assert_clean(s);
        assert_ok(blob_open(s->bs, &id, &base));
        image_assert_same(base, bytes, 64 * MIB);
        blob_close(base);
}

/* ---- a hundredth of a large disk ---- */

#define LARGE_DENSE   (64 * MIB) /* of each GiB, at its start */
#define LARGE_CHANGES 10 /* in it, of a MiB each */

/* MiB number I of the disk, before and after. */
static void large_piece(uint64_t i, bool changed, uint8_t *ret)
{
        uint64_t random = i * 2 + changed;

        random_fill(&random, ret, MIB);
}

static uint64_t large_change(uint64_t gib, unsigned n)
{
        return (gib << 10) + 3 + 6 * n;
}

/* IMAGEFS_TEST_GIB=100 makes it the size that the project promises a figure for. */
static void test_snapshot_of_a_large_disk_reads_little_more_than_its_changes(void **state)
{
        const char *given = getenv("IMAGEFS_TEST_GIB");
        uint64_t gibs = given ? strtoull(given, NULL, 0) : 1, changed = gibs * LARGE_CHANGES * MIB, stored;
        CLEANUP_FREE uint8_t *piece = malloc(MIB), *got = malloc(MIB);
        struct store *s = *state;
        struct blob_writer *w;
        struct blob *base;
        struct disk *d;
        struct snap snap;

        assert_ok(blob_writer_new(s->bs, &w));
        for (uint64_t g = 0; g < gibs; g++) {
                for (uint64_t i = 0; i < LARGE_DENSE / MIB; i++) {
                        large_piece((g << 10) + i, false, piece);
                        assert_ok(blob_writer_append(w, piece, MIB));
                }
                assert_ok(blob_writer_hole(w, 1024 * MIB - LARGE_DENSE));
        }
        assert_ok(blob_writer_commit(w, &base));
        blob_writer_free(w);
        d = make_disk(s, base, gibs * 1024 * MIB);
        for (uint64_t g = 0; g < gibs; g++) {
                for (unsigned n = 0; n < LARGE_CHANGES; n++) {
                        large_piece(large_change(g, n), true, piece);
                        assert_int_equal(disk_pwrite(d, piece, MIB, large_change(g, n) * MIB), MIB);
                }
        }
        stored = store_segment_bytes(s);
        snap = take(d);
        stored = store_segment_bytes(s) - stored;
        print_message("%llu GiB, of which %llu MiB are changed: %llu MiB read, %llu MiB stored\n", (unsigned long long)gibs,
                      (unsigned long long)(changed / MIB), (unsigned long long)(snap.stats.bytes_read / MIB),
                      (unsigned long long)(stored / MIB));
        assert_in_range(snap.stats.bytes_read, changed, changed + changed / 5);
        assert_in_range(stored, changed, changed + changed / 5);
        assert_int_equal(snap.stats.bytes_read + snap.stats.bytes_shared, gibs * LARGE_DENSE);
        for (uint64_t i = 0; i < LARGE_DENSE / MIB; i++) {
                large_piece((gibs - 1) * 1024 + i, i % 6 == 3 && i / 6 < LARGE_CHANGES, piece);
                assert_int_equal(blob_pread(snap.blob, got, MIB, ((gibs - 1) * 1024 + i) * MIB), MIB);
                assert_memory_equal(got, piece, MIB);
        }
        blob_close(snap.blob);
        disk_close(d);
        blob_close(base);
}

static void test_snapshot_of_a_new_disk_has_only_what_was_written(void **state)
{
        struct store *s = *state;
        struct disk *d = make_disk(s, NULL, UINT64_C(1) << 40);
        struct snap snap;
        char got[2];

        assert_int_equal(disk_pwrite(d, "x", 1, UINT64_C(700) << 30), 1);
        assert_ok(disk_discard(d, 0, UINT64_C(1) << 39));
        snap = take(d);
        assert_int_equal(blob_get_info(snap.blob)->size_bytes, UINT64_C(1) << 40);
        assert_int_equal(blob_get_info(snap.blob)->data_bytes, BLOCK);
        assert_int_equal(snap.stats.bytes_read, BLOCK);
        assert_int_equal(snap.stats.bytes_shared, 0);
        assert_int_equal(blob_pread(snap.blob, got, 2, UINT64_C(700) << 30), 2);
        assert_memory_equal(got, "x", 2);
        blob_close(snap.blob);
        disk_close(d);
}

static void test_snapshot_keeps_what_it_shares_when_the_base_goes(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(3, 10 * MIB);
        struct blob *base = image_store(s, bytes, 10 * MIB);
        struct disk *d = make_disk(s, base, 10 * MIB);
        struct snap snap;
        struct blob_id id;

        memset(bytes + 5 * MIB, 0x55, 10000);
        assert_int_equal(disk_pwrite(d, bytes + 5 * MIB, 10000, 5 * MIB), 10000);
        snap = take(d);
        id = *blob_get_id(snap.blob);
        blob_close(snap.blob);

        assert_ok(disk_remove(s->bs, disk_get_id(d)));
        disk_close(d);
        assert_ok(blob_remove(s->bs, blob_get_id(base)));
        blob_close(base);
        (void)store_gc(s);
        store_assert_clean(s);
        store_reopen(s);
        (void)store_gc(s);
        assert_ok(blob_open(s->bs, &id, &snap.blob));
        image_assert_same(snap.blob, bytes, 10 * MIB);
        blob_close(snap.blob);
}

struct cancel {
        struct disk *disk;
        uint64_t done, total, at;
};

static int cancel(void *ctx, uint64_t done, uint64_t total)
{
        struct cancel *c = ctx;
        struct disk_snapshot_stats stats;
        struct blob *b;

        assert_err(disk_snapshot(c->disk, NULL, NULL, &b, &stats), -EBUSY);
        assert_true(done >= c->done);
        c->done = done;
        c->total = total;
        return done >= c->at ? -ECANCELED : 0;
}

static void test_snapshot_can_be_cancelled_and_is_one_at_a_time(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(4, 8 * MIB);
        struct disk *d = make_disk(s, NULL, 8 * MIB);
        struct cancel c = { .disk = d, .at = MIB };
        struct snap snap;

        assert_int_equal(disk_pwrite(d, bytes, 8 * MIB, 0), 8 * MIB);
        assert_err(disk_snapshot(d, cancel, &c, &snap.blob, &snap.stats), -ECANCELED);
        assert_true(c.done >= MIB && c.done < 2 * MIB);
        assert_int_equal(c.total, 8 * MIB);

        c.at = UINT64_MAX;
        c.done = 0;
        assert_ok(disk_snapshot(d, cancel, &c, &snap.blob, &snap.stats));
        assert_int_equal(c.done, 8 * MIB);
        image_assert_same(snap.blob, bytes, 8 * MIB);
        blob_close(snap.blob);
        disk_close(d);
}

struct meddle {
        struct disk *disk;
        uint64_t random;
        bool grown;
};

/* Changes the disk in the middle of its snapshot, ahead of it and behind. */
static int meddle(void *ctx, uint64_t done, uint64_t total)
{
        struct meddle *m = ctx;
        uint8_t bytes[10000];

        (void)done;
        random_fill(&m->random, bytes, sizeof(bytes));
        for (unsigned i = 0; i < 4; i++)
                assert_true(disk_pwrite(m->disk, bytes, sizeof(bytes), random_next(&m->random) % total) > 0);
        assert_ok(disk_discard(m->disk, random_next(&m->random) % total, 50000));
        if (!m->grown)
                assert_ok(disk_resize(m->disk, total + MIB));
        m->grown = true;
        return 0;
}

static void test_changes_during_a_snapshot_are_not_in_it(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(5, 8 * MIB + 10);
        CLEANUP_FREE uint8_t *after = malloc(8 * MIB + 10);
        struct blob *base = image_store(s, bytes, 6 * MIB);
        struct disk *d = make_disk(s, base, 8 * MIB + 10);
        struct meddle m = { .disk = d, .random = 6 };
        struct snap snap;

        memset(bytes + 6 * MIB, 0, 2 * MIB + 10);
        for (unsigned i = 0; i < 100; i++) {
                uint64_t off = random_next(&m.random) % (8 * MIB);

                random_fill(&m.random, bytes + off, 5000 < 8 * MIB + 10 - off ? 5000 : 8 * MIB + 10 - off);
                assert_true(disk_pwrite(d, bytes + off, 5000, off) > 0);
        }
        memset(bytes + MIB, 0, MIB);
        assert_ok(disk_discard(d, MIB, MIB));

        assert_ok(disk_snapshot(d, meddle, &m, &snap.blob, &snap.stats));
        image_assert_same(snap.blob, bytes, 8 * MIB + 10);
        blob_close(snap.blob);

        /* And the next one has them, having noticed nothing of the first. */
        assert_int_equal(disk_pread(d, after, 8 * MIB + 10, 0), 8 * MIB + 10);
        assert_memory_not_equal(after, bytes, 8 * MIB + 10);
        snap = take(d);
        assert_int_equal(blob_get_info(snap.blob)->size_bytes, 9 * MIB + 10);
        assert_int_equal(blob_pread(snap.blob, bytes, 8 * MIB + 10, 0), 8 * MIB + 10);
        assert_memory_equal(bytes, after, 8 * MIB + 10);
        blob_close(snap.blob);
        disk_close(d);
        blob_close(base);
}

/* Once all was looked at, writes where what is there cannot be saved for the snapshot. */
static int write_unsaved(void *ctx, uint64_t done, uint64_t total)
{
        struct disk *d = ctx;
        uint8_t bytes[4096] = { 1 };
        char path[64];
        int fd = d->data_fd;

        if (done < total)
                return 0;
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        d->data_fd = open(path, O_WRONLY | O_CLOEXEC); /* what reads it fails */
        assert_true(d->data_fd >= 0);
        assert_int_equal(disk_pwrite(d, bytes, sizeof(bytes), 0), sizeof(bytes));
        (void)close(d->data_fd);
        d->data_fd = fd;
        return 0;
}

/* However late: what was read meanwhile may have been of either moment. */
static void test_a_block_that_cannot_be_saved_fails_the_snapshot_and_not_its_writer(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(7, MIB);
        struct disk *d = make_disk(s, NULL, MIB);
        struct snap snap;

        assert_int_equal(disk_pwrite(d, bytes, MIB, 0), MIB);
        assert_err(disk_snapshot(d, write_unsaved, d, &snap.blob, &snap.stats), -EBADF);
        (void)store_gc(s);
        assert_int_equal(store_stats(s).blobs, 0);
        snap = take(d); /* the next one has what was written */
        bytes[0] = 1;
        memset(bytes + 1, 0, 4095);
        image_assert_same(snap.blob, bytes, MIB);
        blob_close(snap.blob);
        disk_close(d);
}

/* ---- sharing ---- */

static void test_shared_ranges_read_as_the_blob_does(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(7, 4 * MIB + 123);
        CLEANUP_FREE uint8_t *expected = malloc(64 * MIB);
        struct blob *from = image_store(s, bytes, 4 * MIB + 123), *made;
        struct blob_share_stats stats;
        struct blob_writer *w;
        uint64_t random = 8, size = 0;

        assert_ok(blob_writer_new(s->bs, &w));
        for (unsigned i = 0; i < 40; i++) {
                uint64_t off = random_next(&random) % (4 * MIB) / BLOCK * BLOCK;
                uint64_t n = random_next(&random) % (i % 4 ? 40 * BLOCK : 4 * MIB);

                n = (n < 4 * MIB - off ? n : 4 * MIB - off) / BLOCK * BLOCK;
                assert_ok(blob_writer_share(w, from, off, n, &stats));
                assert_true(stats.bytes_read + stats.bytes_shared <= n);
                memcpy(expected + size, bytes + off, n);
                size += n;
                if (i % 3 == 0) {
                        random_fill(&random, expected + size, 3 * BLOCK);
                        assert_ok(blob_writer_append(w, expected + size, 3 * BLOCK));
                        size += 3 * BLOCK;
                }
        }
        assert_ok(blob_writer_share(w, from, MIB, 3 * MIB + 123, &stats)); /* to its end, which is no whole block */
        memcpy(expected + size, bytes + MIB, 3 * MIB + 123);
        size += 3 * MIB + 123;
        memset(expected + size, 0x77, 1000);
        assert_ok(blob_writer_append(w, expected + size, 1000));
        size += 1000;
        blob_close(from);
        assert_ok(blob_writer_commit(w, &made));
        blob_writer_free(w);
        image_assert_same(made, expected, size);
        blob_close(made);
}

static void test_what_cannot_be_shared_is_refused(void **state)
{
        struct store *s = *state;
        struct store *other;
        CLEANUP_FREE uint8_t *bytes = image_make(9, MIB);
        struct blob *b = image_store(s, bytes, MIB), *foreign;
        struct blob_share_stats stats;
        struct blob_writer *w;
        void *other_state;

        assert_int_equal(store_setup(&other_state), 0);
        other = other_state;
        foreign = image_store(other, bytes, MIB);
        assert_ok(blob_writer_new(s->bs, &w));
        assert_err(blob_writer_share(w, foreign, 0, BLOCK, &stats), -EINVAL);
        assert_err(blob_writer_share(w, b, 1, BLOCK, &stats), -EINVAL);
        assert_err(blob_writer_share(w, b, 0, MIB + 1, &stats), -EINVAL);
        assert_err(blob_writer_share(w, b, 2 * MIB, 0, &stats), -EINVAL);
        assert_ok(blob_writer_append(w, bytes, 1));
        assert_err(blob_writer_share(w, b, 0, BLOCK, &stats), -EINVAL);
        blob_writer_free(w);
        blob_close(foreign);
        blob_close(b);
        assert_int_equal(store_teardown(&other_state), 0);
}

static void test_shared_chunks_outlive_the_blob_that_is_removed_meanwhile(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(10, 5 * MIB);
        struct blob *b = image_store(s, bytes, 5 * MIB), *made;
        struct blob_share_stats stats;
        struct blob_writer *w;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_share(w, b, 0, 5 * MIB, &stats));
        assert_ok(blob_remove(s->bs, blob_get_id(b)));
        blob_close(b);
        (void)store_gc(s);
        assert_ok(blob_writer_commit(w, &made));
        blob_writer_free(w);
        (void)store_gc(s);
        image_assert_same(made, bytes, 5 * MIB);
        blob_close(made);
}

static void test_abandoned_sharing_leaves_nothing(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(11, 5 * MIB);
        struct blob *b = image_store(s, bytes, 5 * MIB);
        struct blobstore_stats before = store_stats(s), after;
        struct blob_share_stats stats;
        struct blob_writer *w;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_share(w, b, BLOCK, 3 * MIB, &stats));
        blob_writer_free(w);
        (void)store_gc(s);
        after = store_stats(s);
        assert_memory_equal(&before, &after, sizeof(before));
        blob_close(b);
}

static int stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
        assert_true(done > 0 && done <= total);
        ++*(unsigned *)ctx;
        return -ECANCELED;
}

static void test_working_out_a_checksum_can_be_cancelled(void **state)
{
        struct store *s = *state;
        CLEANUP_FREE uint8_t *bytes = image_make(12, 5 * MIB);
        struct blob *b = image_store(s, bytes, 5 * MIB);
        struct blob_checksum sum;
        unsigned calls = 0;

        assert_err(blob_work_out_checksum(b, stop_at_once, &calls, &sum), -ECANCELED);
        assert_int_equal(calls, 1);
        assert_ok(blob_work_out_checksum(b, NULL, NULL, &sum));
        assert_memory_equal(&sum, &blob_get_info(b)->checksum, sizeof(sum));
        blob_close(b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
                T(test_snapshot_of_an_unchanged_disk_reads_nothing),
                T(test_snapshot_reads_and_stores_what_changed),
                T(test_scattered_changes_cost_no_more_than_they_are),
                T(test_snapshot_of_a_large_disk_reads_little_more_than_its_changes),
                T(test_snapshot_of_a_new_disk_has_only_what_was_written),
                T(test_snapshot_keeps_what_it_shares_when_the_base_goes),
                T(test_snapshot_can_be_cancelled_and_is_one_at_a_time),
                T(test_changes_during_a_snapshot_are_not_in_it),
                T(test_a_block_that_cannot_be_saved_fails_the_snapshot_and_not_its_writer),
                T(test_shared_ranges_read_as_the_blob_does),
                T(test_what_cannot_be_shared_is_refused),
                T(test_shared_chunks_outlive_the_blob_that_is_removed_meanwhile),
                T(test_abandoned_sharing_leaves_nothing),
                T(test_working_out_a_checksum_can_be_cancelled),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
