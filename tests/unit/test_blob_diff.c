/* SPDX-License-Identifier: MIT */
/* Where two blobs differ, held against a comparison of their bytes. */

#include "blobstore/blobstore.h"

#include <stdlib.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define BLOCK         ((size_t)4096)
#define SIZE_MAX_HERE (700 * BLOCK)

struct range {
        uint64_t off, len;
};

struct ranges {
        struct range r[SIZE_MAX_HERE / BLOCK + 1];
        size_t n;
        uint64_t told; /* progress */
        size_t fail_at; /* the range that is refused, from 1 on */
        bool stop;
};

static int note_range(void *ctx, uint64_t off, uint64_t len)
{
        struct ranges *found = ctx;

        found->r[found->n++] = (struct range){ off, len };
        return found->n == found->fail_at ? -EDOM : 0;
}

static int note_progress(void *ctx, uint64_t done, uint64_t total)
{
        struct ranges *found = ctx;

        assert_true(done > found->told && done <= total);
        found->told = done;
        return found->stop ? -ECANCELED : 0;
}

static void ranges_add(struct ranges *r, uint64_t off, uint64_t len)
{
        if (r->n > 0 && r->r[r->n - 1].off + r->r[r->n - 1].len == off)
                r->r[r->n - 1].len += len;
        else
                r->r[r->n++] = (struct range){ off, len };
}

static void compare(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b, struct ranges *ret)
{
        size_t both = n_a < n_b ? n_a : n_b, most = n_a < n_b ? n_b : n_a;

        ret->n = 0;
        for (size_t off = 0; off < both; off += BLOCK) {
                size_t n = both - off < BLOCK ? both - off : BLOCK;

                if (memcmp(a + off, b + off, n) != 0)
                        ranges_add(ret, off, n);
        }
        if (most > both)
                ranges_add(ret, both, most - both);
}

/* The same as BYTES, but for some runs of blocks, which are noise, zeros, or what lies elsewhere. */
static uint8_t *changed(const uint8_t *bytes, size_t n, uint64_t *seed)
{
        uint8_t *copy = malloc(n + 1);

        assert_non_null(copy);
        memcpy(copy, bytes, n);
        for (uint64_t i = random_next(seed) % 8; i > 0 && n > 0; i--) {
                size_t at = random_next(seed) % n / BLOCK * BLOCK, len = (1 + random_next(seed) % 40) * BLOCK;

                len = len < n - at ? len : n - at;
                switch (random_next(seed) % 3) {
                case 0:
                        random_fill(seed, copy + at, len);
                        break;
                case 1:
                        memset(copy + at, 0, len);
                        break;
                default:
                        memmove(copy + at, bytes + random_next(seed) % (n - len + 1) / BLOCK * BLOCK, len);
                }
        }
        return copy;
}

static void assert_differences(struct blob *a, struct blob *b, const struct ranges *wanted, uint64_t both)
{
        struct ranges *found = calloc(1, sizeof(*found));

        assert_non_null(found);
        assert_ok(blob_diff(a, b, note_range, note_progress, found));
        assert_int_equal(found->n, wanted->n);
        assert_memory_equal(found->r, wanted->r, wanted->n * sizeof(*wanted->r));
        assert_int_equal(found->told, both);
        free(found);
}

static void test_differences_are_those_of_the_bytes(void **state)
{
        struct ranges *wanted = calloc(1, sizeof(*wanted));
        struct store *s = *state, other = { 0 };
        uint64_t seed = environment_number("IMAGEFS_TEST_SEED", 11);

        assert_non_null(wanted);
        tempdir_make(other.dir);
        assert_ok(store_open(&other));
        for (int round = 0; round < 25; round++) {
                size_t n = random_next(&seed) % SIZE_MAX_HERE, n_b = random_next(&seed) % 2 ? n : random_next(&seed) % (n + 1);
                uint8_t *bytes_a = image_make((uint64_t)round, n), *bytes_b = changed(bytes_a, n, &seed);
                struct blob *a = image_store(s, bytes_a, n), *b = image_store(round % 2 ? s : &other, bytes_b, n_b);

                compare(bytes_a, n, bytes_b, n_b, wanted);
                assert_differences(a, b, wanted, n_b);
                assert_differences(b, a, wanted, n_b);
                wanted->n = 0;
                assert_differences(a, a, wanted, n);
                blob_close(a);
                blob_close(b);
                free(bytes_a);
                free(bytes_b);
        }
        store_assert_clean(&other);
        store_close(&other);
        tempdir_remove(other.dir);
        free(wanted);
}

static void test_who_is_told_can_end_it(void **state)
{
        struct ranges *found = calloc(1, sizeof(*found));
        struct store *s = *state;
        uint8_t *bytes = calloc(100, BLOCK);
        struct blob *a, *b;

        assert_non_null(found);
        assert_non_null(bytes);
        memset(bytes, 1, 90 * BLOCK);
        a = image_store(s, bytes, 90 * BLOCK);
        for (size_t i = 10; i < 40; i += 10)
                bytes[i * BLOCK] = 2;
        b = image_store(s, bytes, 100 * BLOCK);
        for (size_t i = 0; i <= 4; i++) {
                found->n = found->told = 0;
                found->fail_at = i;
                assert_err(blob_diff(a, b, note_range, note_progress, found), i ? -EDOM : 0);
                assert_int_equal(found->n, i ? i : 4);
        }
        found->n = found->told = found->fail_at = 0;
        found->stop = true;
        assert_err(blob_diff(a, b, note_range, note_progress, found), -ECANCELED);
        assert_ok(blob_diff(a, b, note_range, NULL, found));
        blob_close(a);
        blob_close(b);
        free(bytes);
        free(found);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
        const struct CMUnitTest tests[] = {
                T(test_differences_are_those_of_the_bytes),
                T(test_who_is_told_can_end_it),
        };
#undef T
        return cmocka_run_group_tests(tests, NULL, NULL);
}
