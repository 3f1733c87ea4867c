/* SPDX-License-Identifier: MIT */

#include "blobstore/blobstore.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MIB (UINT64_C(1) << 20)

/* ---- what a power cut would bring back ---- */

static atomic_ullong watched_dir; /* its inode */
static atomic_uint names_synced;

int fsync(int fd)
{
        struct stat st;

        if (fstat(fd, &st) == 0 && st.st_ino == atomic_load(&watched_dir))
                atomic_fetch_add(&names_synced, 1);
        return (int)syscall(SYS_fsync, fd);
}

/* Incompressible, so that bytes on disk can be told. */
static uint8_t *noise(uint64_t seed, size_t n)
{
        uint8_t *bytes = malloc(n);

        assert_non_null(bytes);
        random_fill(&seed, bytes, n);
        return bytes;
}

static struct blob_id store_noise(struct store *s, uint64_t seed, size_t n)
{
        uint8_t *bytes = noise(seed, n);
        struct blob *b = image_store(s, bytes, n);
        struct blob_id id = *blob_get_id(b);

        blob_close(b);
        free(bytes);
        return id;
}

static void test_removed_blob_is_gone_and_its_space_returns(void **state)
{
        struct store *s = *state;
        struct blob_id a = store_noise(s, 1, 8 * MIB), b = store_noise(s, 2, 8 * MIB);
        struct blobstore_gc_stats stats;
        struct blob *blob;

        assert_true(store_segment_bytes(s) >= 16 * MIB);
        assert_ok(blob_remove(s->bs, &a));
        assert_err(blob_open(s->bs, &a, &blob), -ENOENT);
        assert_err(blob_remove(s->bs, &a), -ENOENT);
        assert_int_equal(store_stats(s).blobs, 1);
        assert_int_equal(store_stats(s).logical_bytes, 8 * MIB);
        assert_int_equal(store_stats(s).unique_bytes, 8 * MIB);
        stats = store_gc(s);
        assert_true(stats.bytes_freed >= 7 * MIB);
        assert_true(stats.chunks_removed > 20);
        assert_in_range(store_segment_bytes(s), 8 * MIB, 8 * MIB + 65536);
        assert_ok(blob_open(s->bs, &b, &blob));
        blob_close(blob);
}

static void test_shared_chunks_stay_with_the_blob_that_needs_them(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = noise(3, 8 * MIB);
        struct blob *a = image_store(s, bytes, 8 * MIB), *b = image_store(s, bytes, 4 * MIB);
        struct blob_id id = *blob_get_id(a);

        blob_close(a);
        assert_ok(blob_remove(s->bs, &id));
        (void)store_gc(s);
        assert_in_range(store_segment_bytes(s), 4 * MIB, 5 * MIB);
        image_assert_same(b, bytes, 4 * MIB);
        blob_close(b);
        free(bytes);
}

static void test_emptied_segment_is_unlinked(void **state)
{
        struct store *s = *state;
        struct blob_id id = store_noise(s, 4, 130 * MIB);

        assert_ok(blob_remove(s->bs, &id));
        (void)store_gc(s);
        assert_true(store_segment_bytes(s) <= 65536);
        store_reopen(s);
        store_assert_clean(s);
}

static void test_open_blob_stays_readable_after_its_removal(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = noise(5, 4 * MIB);
        struct blob *b = image_store(s, bytes, 4 * MIB), *other;
        struct blob_id id = *blob_get_id(b);

        assert_ok(blob_remove(s->bs, &id));
        assert_err(blob_open(s->bs, &id, &other), -ENOENT);
        assert_err(blob_remove(s->bs, &id), -ENOENT);
        (void)store_gc(s);
        image_assert_same(b, bytes, 4 * MIB);
        blob_close(b);
        assert_err(blob_open(s->bs, &id, &other), -ENOENT);
        assert_int_equal(store_gc(s).blobs_removed, 1);
        assert_true(store_segment_bytes(s) <= 8192);
        free(bytes);
}

static void test_chunks_that_a_writer_found_stay_until_it_ends(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = noise(6, 8 * MIB);
        struct blob *b = image_store(s, bytes, 8 * MIB);
        struct blob_id id = *blob_get_id(b);
        struct blob_writer *w;

        blob_close(b);
        (void)store_gc(s); /* so that the writer is not older than everything */
        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_append(w, bytes, 8 * MIB));
        assert_ok(blob_remove(s->bs, &id));
        assert_int_equal(store_gc(s).chunks_removed, 0);
        assert_int_equal(store_gc(s).chunks_removed, 0);
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        assert_int_equal(store_gc(s).chunks_removed, 0);
        image_assert_same(b, bytes, 8 * MIB);
        blob_close(b);
        free(bytes);
}

#define WORK (32 * MIB)

static void test_interrupted_work_finds_its_chunks_until_it_is_done(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = noise(7, WORK);
        struct blob_writer *w;
        uint64_t before;
        struct blob *b;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_append(w, bytes, WORK));
        blob_writer_free(w);
        (void)store_gc(s);
        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_append(w, bytes, WORK));
        blob_writer_free(w); /* as a crash */
        store_reopen(s);

        before = store_segment_bytes(s);
        assert_true(before >= WORK - 8 * MIB); /* less what was still in the writer's hands */
        assert_ok(blob_writer_new(s->bs, &w));
        assert_int_equal(store_gc(s).chunks_removed, 0);
        assert_int_equal(store_gc(s).chunks_removed, 0);
        assert_ok(blob_writer_append(w, bytes, WORK));
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        assert_true(store_segment_bytes(s) <= WORK + MIB);
        image_assert_same(b, bytes, WORK);
        blob_close(b);
        free(bytes);
}

static bool is_one(void *ctx, const struct blob_id *id)
{
        return memcmp(id, ctx, sizeof(*id)) == 0;
}

/* A collection that a writer kept from giving anything back has not seen to what nothing is known to need. */
static void test_orphans_go_once_an_older_writer_has_ended(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = noise(8, 8 * MIB);
        char path[2 * TEMPDIR_MAX];
        struct blob_writer *w;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_append(w, bytes, 8 * MIB));
        assert_ok(blob_writer_sync(w));
        blob_writer_free(w);
        store_close(s);
        store_path(s, "index.db", path);
        assert_ok(unlink(path));
        assert_ok(store_open(s));
        assert_ok(blob_writer_new(s->bs, &w));
        assert_int_equal(store_gc(s).chunks_removed, 0);
        blob_writer_free(w);
        assert_true(store_gc(s).chunks_removed > 20);
        assert_true(store_segment_bytes(s) <= 65536);
        free(bytes);
}

static void test_unnamed_blobs_go_but_open_ones_stay(void **state)
{
        struct store *s = *state;
        struct blob_id a = store_noise(s, 8, MIB), b = store_noise(s, 9, MIB), c = store_noise(s, 10, MIB);
        struct blobstore_gc_stats stats;
        struct blob *open;

        assert_ok(blob_open(s->bs, &c, &open));
        assert_ok(blobstore_gc(s->bs, is_one, NULL, &a, 0, &stats));
        assert_int_equal(stats.blobs_removed, 1);
        assert_err(blob_remove(s->bs, &b), -ENOENT);
        blob_close(open);
        assert_ok(blobstore_gc(s->bs, is_one, NULL, &a, 0, &stats));
        assert_int_equal(stats.blobs_removed, 1);
        assert_int_equal(store_stats(s).blobs, 1);
}

static void test_many_blobs_are_asked_about_each(void **state)
{
        struct store *s = *state;
        struct blobstore_gc_stats stats;
        struct blob_id last;

        for (uint64_t i = 0; i < 150; i++)
                last = store_noise(s, i, 4096);
        assert_ok(blobstore_gc(s->bs, is_one, NULL, &last, 0, &stats));
        assert_int_equal(stats.blobs_removed, 149);
        assert_int_equal(store_stats(s).blobs, 1);
}

/* ---- everything at once ---- */

struct stress {
        struct store *s;
        atomic_bool stop;
        atomic_int failures;
        pthread_mutex_t lock;
        uint64_t seed; /* under lock */
        struct blob_id ids[8]; /* under lock; the blob of seed i % 8 */
        bool there[8];
};

#define STRESS_SIZE (600 * 1024)

static void *stress_write(void *ctx)
{
        struct stress *st = ctx;

        while (!atomic_load(&st->stop)) {
                unsigned slot;
                struct blob_id old;
                bool had;
                uint8_t *bytes;
                struct blob *b;
                int r;

                pthread_mutex_lock(&st->lock);
                slot = (unsigned)(random_next(&st->seed) % 8);
                pthread_mutex_unlock(&st->lock);
                bytes = image_make(slot % 4, STRESS_SIZE); /* two slots share each image */
                if (image_write(st->s->bs, bytes, STRESS_SIZE, &b) < 0) {
                        atomic_fetch_add(&st->failures, 1);
                        free(bytes);
                        break;
                }
                pthread_mutex_lock(&st->lock);
                old = st->ids[slot];
                had = st->there[slot];
                st->ids[slot] = *blob_get_id(b);
                st->there[slot] = true;
                pthread_mutex_unlock(&st->lock);
                blob_close(b);
                r = had ? blob_remove(st->s->bs, &old) : 0;
                if (r < 0 && r != -ENOENT) /* a collection may have been there first */
                        atomic_fetch_add(&st->failures, 1);
                free(bytes);
        }
        return NULL;
}

static void *stress_read(void *ctx)
{
        struct stress *st = ctx;
        uint8_t *wanted[4], *buf = malloc(STRESS_SIZE);
        uint64_t seed = (uintptr_t)&seed;

        for (unsigned i = 0; i < 4; i++)
                wanted[i] = image_make(i, STRESS_SIZE);
        while (!atomic_load(&st->stop)) {
                unsigned slot = (unsigned)(random_next(&seed) % 8);
                struct blob_id id;
                struct blob *b;
                bool there;
                int r;

                pthread_mutex_lock(&st->lock);
                there = st->there[slot];
                id = st->ids[slot];
                pthread_mutex_unlock(&st->lock);
                r = there ? blob_open(st->s->bs, &id, &b) : -ENOENT;
                if (r < 0) {
                        if (r != -ENOENT) /* removed meanwhile */
                                atomic_fetch_add(&st->failures, 1);
                        continue;
                }
                for (int i = 0; i < 20; i++) {
                        uint64_t off = random_next(&seed) % STRESS_SIZE;
                        size_t n = random_next(&seed) % (STRESS_SIZE - off);

                        if (blob_pread(b, buf, n, off) != (ssize_t)n || memcmp(buf, wanted[slot % 4] + off, n) != 0)
                                atomic_fetch_add(&st->failures, 1);
                }
                blob_close(b);
        }
        for (unsigned i = 0; i < 4; i++)
                free(wanted[i]);
        free(buf);
        return NULL;
}

static bool is_current(void *ctx, const struct blob_id *id)
{
        struct stress *st = ctx;
        bool there = false;

        pthread_mutex_lock(&st->lock);
        for (unsigned i = 0; i < 8; i++)
                there |= st->there[i] && memcmp(&st->ids[i], id, sizeof(*id)) == 0;
        pthread_mutex_unlock(&st->lock);
        return there;
}

static void *stress_gc(void *ctx)
{
        struct stress *st = ctx;
        struct blobstore_gc_stats stats;

        while (!atomic_load(&st->stop))
                if (blobstore_gc(st->s->bs, is_current, NULL, st, 0, &stats) < 0)
                        atomic_fetch_add(&st->failures, 1);
        return NULL;
}

static void test_readers_writers_removals_and_collections_at_once(void **state)
{
        static void *(*const work[])(void *) = { stress_write, stress_write, stress_read, stress_read, stress_gc, stress_gc };
        struct stress st = { .s = *state, .seed = (uint64_t)time(NULL), .lock = PTHREAD_MUTEX_INITIALIZER };
        struct timespec pause = { .tv_sec = 2 };
        pthread_t threads[6];

        for (unsigned i = 0; i < 6; i++)
                assert_ok(pthread_create(&threads[i], NULL, work[i], &st));
        (void)nanosleep(&pause, NULL);
        atomic_store(&st.stop, true);
        for (unsigned i = 0; i < 6; i++)
                assert_ok(pthread_join(threads[i], NULL));
        assert_int_equal(atomic_load(&st.failures), 0);
        store_assert_clean(st.s);
        (void)store_gc(st.s);
        store_assert_clean(st.s);
}

/* Its row goes, and nobody would look at a file again that came back. */
static void test_that_a_segment_is_gone_is_durable(void **state)
{
        struct store *s = *state;
        struct blob_id id = store_noise(s, 1, 2 * MIB);
        char path[2 * TEMPDIR_MAX];
        struct stat st;

        store_reopen(s);
        store_path(s, "segments", path);
        assert_int_equal(stat(path, &st), 0);
        assert_ok(blob_remove(s->bs, &id));
        atomic_store(&names_synced, 0);
        atomic_store(&watched_dir, st.st_ino);
        (void)store_gc(s);
        atomic_store(&watched_dir, 0);
        assert_int_equal(store_segment_bytes(s), 0);
        assert_true(atomic_load(&names_synced) > 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
        const struct CMUnitTest tests[] = {
                T(test_that_a_segment_is_gone_is_durable),
                T(test_removed_blob_is_gone_and_its_space_returns),
                T(test_shared_chunks_stay_with_the_blob_that_needs_them),
                T(test_emptied_segment_is_unlinked),
                T(test_open_blob_stays_readable_after_its_removal),
                T(test_chunks_that_a_writer_found_stay_until_it_ends),
                T(test_interrupted_work_finds_its_chunks_until_it_is_done),
                T(test_orphans_go_once_an_older_writer_has_ended),
                T(test_unnamed_blobs_go_but_open_ones_stay),
                T(test_many_blobs_are_asked_about_each),
                T(test_readers_writers_removals_and_collections_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
