/* SPDX-License-Identifier: MIT */
/* Tidying makes a store smaller, and nobody can tell but by its size. */

#include "blobstore/blobs/tidy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/blobstore.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MIB (UINT64_C(1) << 20)
#define BYTES (3 * MIB)

static bool never(void *ctx)
{
        (void)ctx;
        return false;
}

/* To the end, and collects what was moved. */
static struct blobstore_tidy_stats tidy(struct store *s)
{
        struct blobstore_tidy_stats stats = { 0 };
        int r;

        while ((r = blobstore_tidy(s->bs, never, NULL, &stats)) > 0)
                (void)store_gc(s);
        assert_ok(r);
        return stats;
}

/* Text that level 1 leaves much of: words in no order. */
static uint8_t *text(uint64_t seed, size_t n)
{
        uint8_t *bytes = malloc(n);
        char word[16];

        assert_non_null(bytes);
        for (size_t i = 0; i < n;) {
                int len = snprintf(word, sizeof(word), "w%x ", (unsigned)(random_next(&seed) % 5000));

                for (int k = 0; k < len && i < n; k++)
                        bytes[i++] = (uint8_t)word[k];
        }
        return bytes;
}

static void drop_index(struct store *s)
{
        char path[2 * TEMPDIR_MAX];

        store_path(s, "index.db", path);
        assert_int_equal(unlink(path), 0);
}

static void test_everything_reads_the_same_and_is_smaller(void **state)
{
        struct store *s = *state;
        uint8_t *a = text(1, BYTES), *b = text(2, BYTES), *c;
        struct blob *x, *y, *z;
        struct blobstore_tidy_stats moved;
        struct blobstore_stats before, after;

        for (size_t at = 0; at < BYTES; at += 65536) /* b has bases in a */
                memcpy(b + at, a + at, 24576);
        blob_close(image_store(s, a, BYTES));
        x = image_store(s, a, BYTES);
        y = image_store(s, b, BYTES);
        store_gc(s);
        before = store_stats(s);
        store_assert_clean(s);
        blob_close(x);
        blob_close(y);
        store_reopen(s); /* what was written is sealed */

        x = image_store(s, a, BYTES); /* open while all is moved */
        moved = tidy(s);
        after = store_stats(s);
        assert_int_equal(moved.chunks_moved, before.chunks);
        assert_int_equal(moved.bytes_before, before.stored_bytes);
        assert_int_equal(moved.bytes_after, after.stored_bytes);
        assert_true(after.stored_bytes < before.stored_bytes * 19 / 20);
        assert_int_equal(after.unique_bytes, before.unique_bytes);
        assert_true(store_segment_bytes(s) < before.stored_bytes);
        image_assert_same(x, a, BYTES);
        store_assert_clean(s);
        assert_int_equal(tidy(s).chunks_moved, 0); /* once is enough */

        /* What was there is found, alike or the same. */
        y = image_store(s, b, BYTES);
        c = text(3, BYTES);
        memcpy(c, b, BYTES / 2);
        z = image_store(s, c, BYTES);
        blob_close(x);
        blob_close(y);
        blob_close(z);
        store_reopen(s);
        x = image_store(s, a, BYTES);
        y = image_store(s, b, BYTES);
        z = image_store(s, c, BYTES);
        image_assert_same(x, a, BYTES);
        image_assert_same(y, b, BYTES);
        image_assert_same(z, c, BYTES);
        blob_close(x);
        blob_close(y);
        blob_close(z);

        /* The index made again knows where everything lies; so it does without the tables. */
        for (int i = 0; i < 2; i++) {
                struct blobstore_stats is = store_stats(s);
                char command[4 * TEMPDIR_MAX];

                store_close(s);
                drop_index(s);
                if (i == 1) {
                        (void)snprintf(command, sizeof(command), "rm '%s'/store/moved/*", s->dir);
                        assert_int_equal(system(command), 0);
                }
                assert_ok(store_open(s));
                assert_int_equal(store_stats(s).stored_bytes, is.stored_bytes);
                store_assert_clean(s);
                y = image_store(s, b, BYTES);
                assert_int_equal(store_stats(s).stored_bytes, is.stored_bytes);
                image_assert_same(y, b, BYTES);
                blob_close(y);
        }
        free(a), free(b), free(c);
}

static void test_half_empty_segments_become_fewer(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = malloc(BYTES);
        struct blob_id ids[8];
        uint64_t before;
        struct blob *b;

        for (uint64_t i = 0; i < 8; i++) {
                uint64_t seed = i;

                random_fill(&seed, bytes, BYTES);
                b = image_store(s, bytes, BYTES);
                ids[i] = *blob_get_id(b);
                blob_close(b);
                if (i % 4 == 3)
                        store_reopen(s);
        }
        (void)tidy(s); /* from here on it is a matter of room alone */
        assert_int_equal(tidy(s).chunks_moved, 0);
        for (int i = 0; i < 8; i++)
                if (i % 4 != 1)
                        assert_ok(blob_remove(s->bs, &ids[i]));
        (void)store_gc(s);
        before = store_stats(s).chunks;
        assert_int_equal(tidy(s).chunks_moved, before);
        assert_in_range(store_segment_bytes(s), 2 * BYTES, 2 * BYTES + MIB / 4);
        for (uint64_t i = 1; i < 8; i += 4) {
                uint64_t seed = i;

                random_fill(&seed, bytes, BYTES);
                assert_ok(blob_open(s->bs, &ids[i], &b));
                image_assert_same(b, bytes, BYTES);
                blob_close(b);
        }
        store_assert_clean(s);
        free(bytes);
}

static void test_damaged_chunk_stays_where_it_is(void **state)
{
        struct store *s = *state;
        uint8_t *a = text(4, BYTES), byte = 0xaa;
        char path[2 * TEMPDIR_MAX];
        FILE *f;

        blob_close(image_store(s, a, BYTES));
        store_reopen(s);
        blob_close(image_store(s, a, BYTES));
        store_path(s, "segments/00000001.seg", path);
        f = fopen(path, "r+");
        assert_non_null(f);
        assert_int_equal(fseek(f, 20000, SEEK_SET), 0);
        assert_int_equal(fwrite(&byte, 1, 1, f), 1);
        assert_int_equal(fclose(f), 0);
        (void)tidy(s);
        assert_int_equal(access(path, F_OK), 0);
        blob_close(image_store(s, a, BYTES / 2));  /* the rest goes on */
        assert_int_equal(tidy(s).chunks_moved, 0); /* and it is not tried for ever */
        assert_true(store_check(s) > 0);
        store_close(s);
        free(a);
}

/* Letters of an alphabet that grows, in no order: the best that can be done with that is what was done in haste, and a byte. */
static uint8_t *letters(uint64_t seed, size_t n)
{
        uint8_t *bytes = malloc(n);

        assert_non_null(bytes);
        for (size_t i = 0; i < n; i++)
                bytes[i] = (uint8_t)(random_next(&seed) % (2 + i * 254 / n));
        return bytes;
}

/* A map that is made when chunks lie elsewhere, and are longer there, says so at the place that they are known by. */
static void test_what_became_longer_lies_upon_nothing(void **state)
{
        struct store *s = *state;
        uint8_t *a = letters(5, BYTES);

        blob_close(image_store(s, a, BYTES));
        store_reopen(s);
        (void)tidy(s);
        a[0] ^= 1;
        blob_close(image_store(s, a, BYTES));
        store_assert_clean(s);
        store_close(s);
        drop_index(s);
        assert_ok(store_open(s));
        store_assert_clean(s);
        free(a);
}

/* ---- everything at once ---- */

struct siege {
        struct store *s;
        atomic_bool stop;
        atomic_int failures;
        uint8_t *bytes[4];
        struct blob *blobs[4];
};

static void *siege_read(void *ctx)
{
        struct siege *g = ctx;
        uint8_t *buf = malloc(BYTES);
        uint64_t seed = (uintptr_t)&seed;

        while (!atomic_load(&g->stop)) {
                unsigned i = (unsigned)(random_next(&seed) % 4);
                uint64_t off = random_next(&seed) % BYTES;
                size_t n = random_next(&seed) % (BYTES - off);

                if (blob_pread(g->blobs[i], buf, n, off) != (ssize_t)n || memcmp(buf, g->bytes[i] + off, n) != 0)
                        atomic_fetch_add(&g->failures, 1);
        }
        free(buf);
        return NULL;
}

static void *siege_write(void *ctx)
{
        struct siege *g = ctx;
        uint8_t *bytes = malloc(BYTES / 4);
        struct blob_id id;
        struct blob *b;

        /* Not for ever: where nothing waits for a disk it makes work faster than a pass does it. */
        for (uint64_t n = 0, seed = 1000; n < 64 && !atomic_load(&g->stop); n++, seed++) {
                random_fill(&seed, bytes, BYTES / 4);
                memcpy(bytes, g->bytes[seed % 4], BYTES / 8);
                if (image_write(g->s->bs, bytes, BYTES / 4, &b) < 0) {
                        atomic_fetch_add(&g->failures, 1);
                        break;
                }
                id = *blob_get_id(b);
                blob_close(b);
                if (blob_remove(g->s->bs, &id) < 0)
                        atomic_fetch_add(&g->failures, 1);
        }
        free(bytes);
        return NULL;
}

static void test_readers_and_writers_beside_it_notice_nothing(void **state)
{
        struct siege g = { .s = *state };
        struct blobstore_tidy_stats moved = { 0 };
        pthread_t threads[3];

        for (uint64_t i = 0; i < 4; i++)
                g.bytes[i] = text(10 + i, BYTES);
        for (int i = 0; i < 4; i++)
                blob_close(image_store(g.s, g.bytes[i], BYTES));
        store_reopen(g.s);
        for (int i = 0; i < 4; i++)
                g.blobs[i] = image_store(g.s, g.bytes[i], BYTES);
        assert_ok(pthread_create(&threads[0], NULL, siege_read, &g));
        assert_ok(pthread_create(&threads[1], NULL, siege_read, &g));
        assert_ok(pthread_create(&threads[2], NULL, siege_write, &g));
        for (int i = 0; i < 2; i++) { /* the writer leaves something to do */
                assert_ok(blobstore_tidy(g.s->bs, never, NULL, &moved) < 0);
                (void)store_gc(g.s);
        }
        assert_true(moved.chunks_moved > 0);
        atomic_store(&g.stop, true);
        for (int i = 0; i < 3; i++)
                assert_ok(pthread_join(threads[i], NULL));
        assert_int_equal(atomic_load(&g.failures), 0);
        for (int i = 0; i < 4; i++) {
                image_assert_same(g.blobs[i], g.bytes[i], BYTES);
                blob_close(g.blobs[i]);
                free(g.bytes[i]);
        }
        store_assert_clean(g.s);
        (void)store_gc(g.s);
        store_assert_clean(g.s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
        const struct CMUnitTest tests[] = {
                T(test_everything_reads_the_same_and_is_smaller),
                T(test_half_empty_segments_become_fewer),
                T(test_damaged_chunk_stays_where_it_is),
                T(test_what_became_longer_lies_upon_nothing),
                T(test_readers_and_writers_beside_it_notice_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
