/* SPDX-License-Identifier: MIT */

/* Locks on ranges: who overlaps waits, who does not does not, and nobody waits for ever. */

#include <stdatomic.h>
#include <unistd.h>

#include "blobstore/disks/disk_range_priv.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

struct waiter {
        pthread_t thread;
        struct disk_ranges *ranges;
        uint64_t first, end;
        atomic_bool locked;
};

static void *lock_range(void *arg)
{
        struct waiter *w = arg;
        struct disk_range range;

        disk_range_lock(w->ranges, w->first, w->end, &range);
        atomic_store(&w->locked, true);
        disk_range_unlock(&range);
        return NULL;
}

static void start(struct waiter *w, struct disk_ranges *ranges, uint64_t first, uint64_t end)
{
        *w = (struct waiter){ .ranges = ranges, .first = first, .end = end };
        assert_int_equal(pthread_create(&w->thread, NULL, lock_range, w), 0);
}

static unsigned waiting(struct disk_ranges *ranges)
{
        unsigned n;

        pthread_mutex_lock(&ranges->lock);
        n = ranges->waiting;
        pthread_mutex_unlock(&ranges->lock);
        return n;
}

/* The one event that has no signal of its own. */
static void await_waiting(struct disk_ranges *ranges, unsigned n)
{
        while (waiting(ranges) != n)
                (void)usleep(100);
}

static void test_ranges_that_touch_do_not_overlap(void **state)
{
        struct disk_ranges ranges;
        struct disk_range a, b, c;

        (void)state;
        disk_ranges_init(&ranges);
        disk_range_lock(&ranges, 10, 20, &a);
        disk_range_lock(&ranges, 20, 30, &b);
        disk_range_lock(&ranges, 0, 10, &c);
        disk_range_unlock(&b);
        disk_range_unlock(&a);
        disk_range_unlock(&c);
        disk_ranges_done(&ranges);
}

static void test_overlapping_one_waits_and_is_not_overtaken(void **state)
{
        struct disk_ranges ranges;
        struct disk_range held;
        struct waiter wide, narrow;

        (void)state;
        disk_ranges_init(&ranges);
        disk_range_lock(&ranges, 10, 20, &held);
        start(&wide, &ranges, 0, 100);
        await_waiting(&ranges, 1);
        start(&narrow, &ranges, 50, 51); /* overlaps only with the one that waits */
        await_waiting(&ranges, 2);
        assert_false(atomic_load(&wide.locked));
        assert_false(atomic_load(&narrow.locked));
        disk_range_unlock(&held);
        assert_int_equal(pthread_join(wide.thread, NULL), 0);
        assert_int_equal(pthread_join(narrow.thread, NULL), 0);
        disk_ranges_done(&ranges);
}

#define THREADS 4
#define BLOCKS  64

struct worker {
        pthread_t thread;
        struct disk_ranges *ranges;
        unsigned *owners; /* of each block; changed only with its range locked */
        uint64_t random;
        unsigned number;
};

static void *work(void *arg)
{
        struct worker *w = arg;
        struct disk_range range;

        for (unsigned i = 0; i < 20000; i++) {
                uint64_t first = random_next(&w->random) % BLOCKS;
                uint64_t end = first + 1 + random_next(&w->random) % (BLOCKS - first);

                disk_range_lock(w->ranges, first, end, &range);
                for (uint64_t block = first; block < end; block++) {
                        assert_int_equal(w->owners[block], 0);
                        w->owners[block] = w->number;
                }
                for (uint64_t block = first; block < end; block++)
                        w->owners[block] = 0;
                disk_range_unlock(&range);
        }
        return NULL;
}

static void test_a_block_has_one_owner_at_a_time(void **state)
{
        unsigned owners[BLOCKS] = { 0 };
        struct worker workers[THREADS];
        struct disk_ranges ranges;

        (void)state;
        disk_ranges_init(&ranges);
        for (unsigned i = 0; i < THREADS; i++) {
                workers[i] = (struct worker){ .ranges = &ranges, .owners = owners, .random = i, .number = i + 1 };
                assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++)
                assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        disk_ranges_done(&ranges);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ranges_that_touch_do_not_overlap),
                cmocka_unit_test(test_overlapping_one_waits_and_is_not_overtaken),
                cmocka_unit_test(test_a_block_has_one_owner_at_a_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
