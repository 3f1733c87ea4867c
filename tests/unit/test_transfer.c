/* SPDX-License-Identifier: MIT */

#include "blobstore/blobstore.h"

#include <stdlib.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MIB (UINT64_C(1) << 20)
#define SIZE (10 * MIB + 321)

struct pair {
        struct store from, to;
};

static int pair_setup(void **state)
{
        struct pair *p = calloc(1, sizeof(*p));

        assert_non_null(p);
        tempdir_make(p->from.dir);
        tempdir_make(p->to.dir);
        assert_ok(store_open(&p->from));
        assert_ok(store_open(&p->to));
        *state = p;
        return 0;
}

static int pair_teardown(void **state)
{
        struct pair *p = *state;
        int problems = store_check(&p->from) + store_check(&p->to);

        store_close(&p->from);
        store_close(&p->to);
        tempdir_remove(p->from.dir);
        tempdir_remove(p->to.dir);
        free(p);
        return problems;
}

static void test_copy_is_the_same_and_moves_what_is_stored(void **state)
{
        struct pair *p = *state;
        uint8_t *bytes = image_make(1, SIZE);
        struct blob *a = image_store(&p->from, bytes, SIZE), *b;
        uint64_t moved;

        assert_ok(blob_transfer(a, p->to.bs, NULL, NULL, &b, &moved));
        image_assert_same(b, bytes, SIZE);
        assert_int_equal(moved, store_stats(&p->to).stored_bytes);
        assert_int_equal(store_stats(&p->to).chunks, store_stats(&p->from).chunks);
        blob_close(a);
        blob_close(b);
        free(bytes);
}

static void test_second_copy_moves_nothing_and_a_related_one_little(void **state)
{
        struct pair *p = *state;
        uint8_t *bytes = image_make(2, SIZE);
        struct blob *a = image_store(&p->from, bytes, SIZE), *b, *c;
        uint64_t moved, all;

        assert_ok(blob_transfer(a, p->to.bs, NULL, NULL, &b, &all));
        blob_close(b);
        assert_ok(blob_transfer(a, p->to.bs, NULL, NULL, &b, &moved));
        assert_int_equal(moved, 0);
        blob_close(b);

        memset(bytes + 5 * MIB, 'x', 5000);
        c = image_store(&p->from, bytes, SIZE);
        assert_ok(blob_transfer(c, p->to.bs, NULL, NULL, &b, &moved));
        assert_in_range(moved, 1, MIB);
        assert_true(moved < all / 4);
        image_assert_same(b, bytes, SIZE);
        blob_close(a);
        blob_close(b);
        blob_close(c);
        free(bytes);
}

struct progress {
        uint64_t stop_at, last, total;
};

static int on_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
        struct progress *pr = ctx;

        assert_true(done_bytes > pr->last);
        pr->last = done_bytes;
        pr->total = total_bytes;
        return pr->stop_at && done_bytes >= pr->stop_at ? -ECANCELED : 0;
}

static void test_progress_reaches_the_total(void **state)
{
        struct pair *p = *state;
        uint8_t *bytes = image_make(3, SIZE);
        struct blob *a = image_store(&p->from, bytes, SIZE), *b;
        struct progress pr = { 0 };
        uint64_t moved;

        assert_ok(blob_transfer(a, p->to.bs, on_progress, &pr, &b, &moved));
        assert_int_equal(pr.last, pr.total);
        assert_int_equal(pr.total, blob_get_info(a)->data_bytes);
        blob_close(a);
        blob_close(b);
        free(bytes);
}

static void test_interrupted_copy_goes_on_where_it_was(void **state)
{
        struct pair *p = *state;
        uint8_t *bytes = malloc(SIZE);
        struct progress pr = { .stop_at = SIZE * 3 / 4 };
        uint64_t moved, seed = 4;
        struct blob *a, *b;

        assert_non_null(bytes);
        random_fill(&seed, bytes, SIZE);
        a = image_store(&p->from, bytes, SIZE);
        assert_err(blob_transfer(a, p->to.bs, on_progress, &pr, &b, &moved), -ECANCELED);
        assert_int_equal(store_stats(&p->to).blobs, 0);
        store_reopen(&p->to);
        assert_ok(blob_transfer(a, p->to.bs, NULL, NULL, &b, &moved));
        assert_true(moved < SIZE / 2);
        image_assert_same(b, bytes, SIZE);
        blob_close(a);
        blob_close(b);
        free(bytes);
}

static void test_copy_within_a_store_moves_nothing(void **state)
{
        struct pair *p = *state;
        uint8_t *bytes = image_make(5, SIZE);
        struct blob *a = image_store(&p->from, bytes, SIZE), *b;
        uint64_t moved;

        assert_ok(blob_transfer(a, p->from.bs, NULL, NULL, &b, &moved));
        assert_int_equal(moved, 0);
        blob_close(a);
        blob_close(b);
        free(bytes);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)
        const struct CMUnitTest tests[] = {
                T(test_copy_is_the_same_and_moves_what_is_stored),
                T(test_second_copy_moves_nothing_and_a_related_one_little),
                T(test_progress_reaches_the_total),
                T(test_interrupted_copy_goes_on_where_it_was),
                T(test_copy_within_a_store_moves_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
