/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/expect.h"

#define LEN 1000

struct loads {
        atomic_int count;
        int error;
        bool slow;
};

static int load(void *ctx, uint64_t place, void *buf, size_t len)
{
        struct loads *l = ctx;

        atomic_fetch_add(&l->count, 1);
        if (l->slow)
                (void)usleep(20000);
        memset(buf, (int)place, len);
        return l->error;
}

static void get(struct cache *c, struct loads *l, uint64_t place)
{
        struct cache_entry *e;
        const uint8_t *bytes;

        assert_ok(cache_get(c, place, LEN, load, l, &e, &bytes));
        assert_int_equal(bytes[0], place & 0xff);
        assert_int_equal(bytes[LEN - 1], place & 0xff);
        cache_put(c, e);
}

static void test_second_reader_needs_no_load(void **state)
{
        struct loads l = { 0 };
        struct cache_entry *e;
        const uint8_t *bytes;
        struct cache *c;

        (void)state;
        assert_ok(cache_new(1 << 20, &c));
        assert_int_equal(cache_peek(c, 5, LEN, &e, &bytes), 0);
        get(c, &l, 5);
        get(c, &l, 5);
        assert_int_equal(l.count, 1);
        assert_int_equal(cache_peek(c, 5, LEN, &e, &bytes), 1);
        cache_put(c, e);
        cache_free(c);
}

static void test_least_recently_used_go_first(void **state)
{
        struct loads l = { 0 };
        struct cache *c;

        (void)state;
        assert_ok(cache_new(8 * 10 * LEN, &c));
        for (uint64_t i = 0; i < 1000; i++) {
                get(c, &l, 7);
                get(c, &l, 1000 + i);
        }
        assert_int_equal(l.count, 1001);
        get(c, &l, 1000);
        assert_int_equal(l.count, 1002);
        cache_free(c);
}

static void test_chunk_in_use_is_not_dropped(void **state)
{
        struct loads l = { 0 };
        struct cache_entry *e;
        const uint8_t *bytes;
        struct cache *c;

        (void)state;
        assert_ok(cache_new(1, &c));
        assert_ok(cache_get(c, 9, LEN, load, &l, &e, &bytes));
        for (uint64_t i = 100; i < 300; i++)
                get(c, &l, i);
        assert_int_equal(bytes[LEN - 1], 9);
        cache_put(c, e);
        assert_int_equal(cache_peek(c, 9, LEN, &e, &bytes), 0);
        cache_free(c);
}

static void test_failed_load_is_told_and_tried_again(void **state)
{
        struct loads l = { .error = -EBADMSG };
        struct cache_entry *e;
        const uint8_t *bytes;
        struct cache *c;

        (void)state;
        assert_ok(cache_new(1 << 20, &c));
        assert_err(cache_get(c, 3, LEN, load, &l, &e, &bytes), -EBADMSG);
        l.error = 0;
        get(c, &l, 3);
        assert_int_equal(l.count, 2);
        cache_free(c);
}

static void test_longer_than_what_is_there_is_damage(void **state)
{
        struct loads l = { 0 };
        struct cache_entry *e;
        const uint8_t *bytes;
        struct cache *c;

        (void)state;
        assert_ok(cache_new(1 << 20, &c));
        get(c, &l, 3);
        assert_err(cache_get(c, 3, LEN + 1, load, &l, &e, &bytes), -EBADMSG);
        assert_int_equal(cache_peek(c, 3, LEN + 1, &e, &bytes), 0);
        cache_free(c);
}

struct reader {
        struct cache *c;
        struct loads *l;
        int result;
};

static void *read_one(void *ctx)
{
        struct reader *rd = ctx;
        struct cache_entry *e;
        const uint8_t *bytes;

        rd->result = cache_get(rd->c, 77, LEN, load, rd->l, &e, &bytes);
        if (rd->result == 0)
                cache_put(rd->c, e);
        return NULL;
}

static int read_at_once(int error)
{
        struct loads l = { .slow = true, .error = error };
        struct reader readers[8];
        pthread_t threads[8];
        struct cache *c;

        assert_ok(cache_new(1 << 20, &c));
        for (int i = 0; i < 8; i++) {
                readers[i] = (struct reader){ c, &l, 1 };
                assert_ok(pthread_create(&threads[i], NULL, read_one, &readers[i]));
        }
        for (int i = 0; i < 8; i++) {
                assert_ok(pthread_join(threads[i], NULL));
                assert_err(readers[i].result, error);
        }
        cache_free(c);
        return l.count;
}

static void test_one_loads_and_the_others_wait(void **state)
{
        (void)state;
        assert_int_equal(read_at_once(0), 1);
}

static void test_all_who_wait_are_told_of_the_failure(void **state)
{
        (void)state;
        assert_in_range(read_at_once(-EBADMSG), 1, 8);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_second_reader_needs_no_load),
                cmocka_unit_test(test_least_recently_used_go_first),
                cmocka_unit_test(test_chunk_in_use_is_not_dropped),
                cmocka_unit_test(test_failed_load_is_told_and_tried_again),
                cmocka_unit_test(test_longer_than_what_is_there_is_damage),
                cmocka_unit_test(test_one_loads_and_the_others_wait),
                cmocka_unit_test(test_all_who_wait_are_told_of_the_failure),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
