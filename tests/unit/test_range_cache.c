/* SPDX-License-Identifier: MIT */
/* What was read far away: each piece is fetched once, by one of all who want it, within its bounds, and never wrong. */

#include "blobstore/objects/range_cache.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/child_leash.h"
#include "blobstore/objects/fetch_ahead.h"
#include "blobstore/objects/scans.h"
#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

#define SIZE (5 * RANGE_SIZE + 100) /* of each object, unless a test says otherwise */
#define LEAST 64 /* pieces that any cache has */

struct fixture {
        char dir[TEMPDIR_MAX];
        int dir_fd;
        struct range_cache *cache;
        uint64_t size; /* of each object */
        atomic_uint fetched; /* pieces */
        atomic_uint requests; /* that this took */
        atomic_int error;
        struct child_leash leash;
        pthread_barrier_t *hold; /* NULL: nobody waits while one is fetched */
        struct fetch_ahead *ahead;
        struct gate *gate;
};

/* What is fetched of an object from its third piece on waits here; NULL: it does not. */
struct gate {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        unsigned waiting, most; /* pieces */
        bool open;
};

static void pass(struct gate *g, unsigned pieces)
{
        assert_int_equal(pthread_mutex_lock(&g->mutex), 0);
        g->waiting += pieces;
        g->most = g->waiting > g->most ? g->waiting : g->most;
        (void)pthread_cond_broadcast(&g->changed);
        while (!g->open)
                (void)pthread_cond_wait(&g->changed, &g->mutex);
        g->waiting -= pieces;
        (void)pthread_mutex_unlock(&g->mutex);
}

static char byte_at(uint32_t id, uint64_t at)
{
        return (char)(id * 7 + at / RANGE_SIZE * 31 + at % 251);
}

/* A range_fetch_fn. */
static int fetch(void *ctx, uint32_t id, uint64_t from, void *buf, size_t n, size_t *ret_n, uint64_t *ret_size)
{
        const unsigned pieces = (unsigned)(n / RANGE_SIZE);
        struct fixture *f = ctx;
        size_t i = 0;

        assert_true(n <= RANGE_FETCH_MAX && n % RANGE_SIZE == 0);
        atomic_fetch_add(&f->requests, 1);
        if (f->hold)
                (void)pthread_barrier_wait(f->hold);
        if (f->gate && from >= 2 * RANGE_SIZE)
                pass(f->gate, pieces);
        for (; i < n && from + i < f->size; i++)
                ((char *)buf)[i] = byte_at(id, from + i);
        *ret_n = i;
        *ret_size = f->size;
        atomic_fetch_add(&f->fetched, pieces);
        return atomic_load(&f->error);
}

static void cache_new(struct fixture *f, int dir_fd, const char *name)
{
        const struct range_cache_opts opts = { .dir_fd = dir_fd, .name = name, .fetch = fetch, .ctx = f, .ahead = f->ahead };

        assert_ok(range_cache_new(&opts, &f->cache));
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->size = SIZE;
        f->leash = (struct child_leash)CHILD_LEASH_INIT;
        f->dir_fd = tempdir_open(f->dir);
        cache_new(f, f->dir_fd, NULL);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        range_cache_free(f->cache);
        assert_ok(close(f->dir_fd));
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

static void assert_reads(struct fixture *f, uint32_t id, uint64_t from, size_t n)
{
        char *buf = malloc(n);

        assert_ok(range_cache_read(f->cache, id, from, buf, n));
        for (size_t i = 0; i < n; i++)
                assert_int_equal(buf[i], byte_at(id, from + i));
        free(buf);
}

static void ahead_new(struct fixture *f)
{
        range_cache_free(f->cache);
        assert_ok(fetch_ahead_new(&f->ahead));
        cache_new(f, f->dir_fd, NULL);
}

static void ahead_free(struct fixture *f)
{
        range_cache_free(f->cache); /* what was asked for has come, or is not asked for any more */
        fetch_ahead_free(f->ahead);
        f->ahead = NULL;
        cache_new(f, f->dir_fd, NULL);
}

static void test_each_piece_is_fetched_once(void **state)
{
        struct fixture *f = *state;

        assert_reads(f, 1, 10, 100);
        assert_reads(f, 1, 5000, 70000);
        assert_int_equal(f->fetched, 1);
        assert_reads(f, 1, RANGE_SIZE - 50, 100); /* over the border */
        assert_reads(f, 1, 0, 2 * RANGE_SIZE);
        assert_int_equal(f->fetched, 2);
        assert_reads(f, 2, 0, 100); /* another object's */
        assert_reads(f, 1, 5 * RANGE_SIZE, 100); /* the last, up to its end */
        assert_reads(f, 1, 5 * RANGE_SIZE + 99, 1);
        assert_int_equal(f->fetched, 4);
}

static void test_behind_the_end_is_nothing(void **state)
{
        struct fixture *f = *state;
        char buf[200];

        for (int again = 0; again < 2; again++) { /* fetched, and kept */
                assert_err(range_cache_read(f->cache, 1, SIZE - 100, buf, 101), -EBADMSG);
                assert_err(range_cache_read(f->cache, 1, 9 * RANGE_SIZE, buf, 1), -EBADMSG);
        }
        assert_reads(f, 1, SIZE - 100, 100);
}

static void test_what_cannot_be_fetched_is_asked_for_again(void **state)
{
        struct fixture *f = *state;
        char buf[10];

        atomic_store(&f->error, -EHOSTDOWN);
        assert_err(range_cache_read(f->cache, 1, 0, buf, 10), -EHOSTDOWN);
        assert_err(range_cache_read(f->cache, 1, 0, buf, 10), -EHOSTDOWN);
        assert_int_equal(f->fetched, 2);
        atomic_store(&f->error, 0);
        assert_reads(f, 1, 0, 10);
        assert_reads(f, 1, 0, 10);
        assert_int_equal(f->fetched, 3);
}

static void test_what_is_forgotten_is_fetched_anew(void **state)
{
        struct fixture *f = *state;

        assert_reads(f, 1, 0, 10);
        assert_reads(f, 2, 0, 10);
        range_cache_forget(f->cache, 1);
        assert_reads(f, 2, 0, 10);
        assert_int_equal(f->fetched, 2);
        assert_reads(f, 1, 0, 10);
        assert_int_equal(f->fetched, 3);
}

static void test_the_least_recently_used_go_first(void **state)
{
        struct fixture *f = *state;

        for (uint32_t id = 1; id <= LEAST; id++)
                assert_reads(f, id, 0, 10);
        assert_reads(f, 1, 0, 10);
        assert_int_equal(f->fetched, LEAST);
        assert_reads(f, LEAST + 1, 0, 10); /* in the place of 2 */
        assert_reads(f, 1, 0, 10);
        assert_reads(f, 3, 0, 10);
        assert_int_equal(f->fetched, LEAST + 1);
        assert_reads(f, 2, 0, 10);
        assert_int_equal(f->fetched, LEAST + 2);
}

static void test_without_a_file_nothing_is_kept(void **state)
{
        struct fixture *f = *state;

        range_cache_free(f->cache);
        cache_new(f, -1, NULL);
        assert_reads(f, 1, 0, 10);
        assert_reads(f, 1, 0, 10);
        assert_int_equal(f->fetched, 2);
}

/* Ends it, and has another one with what the first kept; FETCHED counts anew. */
static void again(struct fixture *f)
{
        range_cache_free(f->cache);
        cache_new(f, f->dir_fd, "ranges");
        f->fetched = 0;
}

static void assert_file(struct fixture *f, const char *name, uint64_t size)
{
        struct stat st;

        assert_ok(fstatat(f->dir_fd, name, &st, 0));
        assert_int_equal(st.st_size, size);
        assert_int_equal(st.st_mode & 0777, 0600);
}

/* Writes N bytes of another kind at AT. */
static void damage(struct fixture *f, const char *name, uint64_t at, size_t n)
{
        int fd = openat(f->dir_fd, name, O_WRONLY | O_CLOEXEC);
        char *bytes = malloc(n);

        assert_true(fd >= 0 && bytes);
        memset(bytes, 0xa5, n);
        assert_int_equal(pwrite(fd, bytes, n, (off_t)at), n);
        free(bytes);
        assert_ok(close(fd));
}

static void test_what_was_kept_outlives_the_process(void **state)
{
        struct fixture *f = *state;

        again(f);
        for (uint32_t id = 1; id <= 3; id++)
                assert_reads(f, id, 0, SIZE);
        assert_int_equal(f->fetched, 18);
        assert_file(f, "ranges", LEAST * RANGE_SIZE);
        assert_file(f, "ranges.index", LEAST * 32);
        range_cache_forget(f->cache, 2);
        again(f);
        assert_reads(f, 1, 0, SIZE);
        assert_reads(f, 3, 0, SIZE);
        assert_int_equal(f->fetched, 0);
        assert_reads(f, 2, 0, SIZE);
        assert_int_equal(f->fetched, 6);
}

static void test_what_was_damaged_meanwhile_is_fetched_anew(void **state)
{
        struct fixture *f = *state;

        again(f);
        for (uint32_t id = 1; id <= 3; id++)
                assert_reads(f, id, 0, 2 * RANGE_SIZE);
        for (uint64_t at = 0; at < 6; at++)
                damage(f, "ranges", at * RANGE_SIZE + 1000, 1);
        again(f);
        for (uint32_t id = 1; id <= 3; id++)
                assert_reads(f, id, 0, 2 * RANGE_SIZE);
        assert_int_equal(f->fetched, 6);
        for (uint64_t at = 0; at < 6; at++)
                damage(f, "ranges.index", at * 32 + 4 * at, 4);
        again(f);
        for (uint32_t id = 1; id <= 3; id++)
                assert_reads(f, id, 0, 2 * RANGE_SIZE);
        assert_int_equal(f->fetched, 6);
        again(f);
        assert_reads(f, 1, 0, 2 * RANGE_SIZE);
        assert_int_equal(f->fetched, 0);
        damage(f, "ranges", 0, 2 * RANGE_SIZE); /* while it is in use */
        range_cache_doubt(f->cache);
        assert_reads(f, 1, 0, 2 * RANGE_SIZE);
        assert_true(f->fetched > 0);
}

/* The file can be opened by one at a time, and by its owner: whoever does not get it has one without a name. */
static void test_one_process_has_the_file(void **state)
{
        struct fixture *f = *state, other = { .dir_fd = f->dir_fd, .size = SIZE };

        again(f);
        assert_reads(f, 1, 0, 10);
        cache_new(&other, f->dir_fd, "ranges");
        assert_reads(&other, 1, 0, 10);
        assert_reads(&other, 1, 0, 10);
        assert_int_equal(other.fetched, 1);
        range_cache_free(other.cache);
        range_cache_free(f->cache);
        assert_ok(fchmodat(f->dir_fd, "ranges", 0644, 0));
        cache_new(f, f->dir_fd, "ranges");
        assert_reads(f, 1, 0, 10);
        assert_int_equal(f->fetched, 2);
}

#define READERS 8

static void *read_it(void *arg)
{
        assert_reads(arg, 1, 100, 5000);
        return NULL;
}

/* The barrier is the test's and the fetcher's: the others have come by then, or come later and find it there. */
static void test_many_at_once_fetch_a_piece_once(void **state)
{
        struct fixture *f = *state;
        pthread_t readers[READERS];
        pthread_barrier_t hold;

        assert_int_equal(pthread_barrier_init(&hold, NULL, 2), 0);
        f->hold = &hold;
        for (int i = 0; i < READERS; i++)
                assert_int_equal(pthread_create(&readers[i], NULL, read_it, f), 0);
        (void)pthread_barrier_wait(&hold);
        for (int i = 0; i < READERS; i++)
                (void)pthread_join(readers[i], NULL);
        assert_int_equal(f->fetched, 1);
        (void)pthread_barrier_destroy(&hold);
}

static void *read_on_leash(void *arg)
{
        struct fixture *f = arg;
        char buf[10];

        child_leash_take(&f->leash);
        assert_err(range_cache_read(f->cache, 1, 0, buf, sizeof(buf)), -ECANCELED);
        return NULL;
}

/* While one fetches it, another who waits for that is told to stop. */
static void test_who_waits_for_anothers_piece_can_be_stopped(void **state)
{
        struct fixture *f = *state;
        pthread_t first, second;
        pthread_barrier_t hold;

        assert_int_equal(pthread_barrier_init(&hold, NULL, 2), 0);
        f->hold = &hold;
        assert_int_equal(pthread_create(&first, NULL, read_it, f), 0);
        while (atomic_load(&f->requests) == 0)
                (void)sched_yield();
        assert_int_equal(pthread_create(&second, NULL, read_on_leash, f), 0);
        child_leash_pull(&f->leash);
        (void)pthread_join(second, NULL);
        (void)pthread_barrier_wait(&hold);
        (void)pthread_join(first, NULL);
        (void)pthread_barrier_destroy(&hold);
}

/* More at once than there are places for, from all over: each gets its own, sooner or later. */
static void *read_many(void *arg)
{
        struct fixture *f = arg;

        for (uint32_t i = 0; i < 300; i++) {
                assert_reads(f, i * 13 % 100, i % 6 * RANGE_SIZE, 50);
                if (i % 50 == 0)
                        range_cache_forget(f->cache, i % 100);
        }
        return NULL;
}

static void test_readers_forgetting_and_going_out_do_not_mix_pieces_up(void **state)
{
        struct fixture *f = *state;
        pthread_t readers[READERS];

        ahead_new(f);
        for (int i = 0; i < READERS; i++)
                assert_int_equal(pthread_create(&readers[i], NULL, read_many, f), 0);
        for (int i = 0; i < READERS; i++)
                (void)pthread_join(readers[i], NULL);
        ahead_free(f);
}

/* The second piece tells that the others will be wanted: they are there before, each fetched once, and nothing behind the end. */
static void test_who_goes_on_finds_the_next_pieces_there(void **state)
{
        struct fixture *f = *state;

        ahead_new(f);
        assert_reads(f, 1, 0, RANGE_SIZE);
        assert_int_equal(f->fetched, 1);
        assert_reads(f, 1, RANGE_SIZE, 10);
        while (atomic_load(&f->fetched) < 4)
                (void)sched_yield();
        assert_reads(f, 1, 2 * RANGE_SIZE, SIZE - 2 * RANGE_SIZE);
        assert_reads(f, 1, 0, SIZE);
        ahead_free(f);
        assert_int_equal(f->fetched, 6);
}

static void test_who_jumps_about_has_nothing_fetched_ahead(void **state)
{
        struct fixture *f = *state;

        ahead_new(f);
        for (uint32_t id = 1; id <= 10; id++) {
                assert_reads(f, id, 5 * RANGE_SIZE, 10);
                assert_reads(f, id, 0, 10);
                assert_reads(f, id, 3 * RANGE_SIZE, 10);
                assert_reads(f, id, 0, 10);
        }
        ahead_free(f);
        assert_int_equal(f->fetched, 30);
}

static void await(struct fixture *f, unsigned fetched)
{
        while (atomic_load(&f->fetched) < fetched)
                (void)sched_yield();
}

/* Each round trip, and each request that a server looks at, is for as many as may be: two, once it goes on. */
static void test_what_follows_each_other_is_fetched_together(void **state)
{
        struct fixture *f = *state;
        struct scans scans = { .window = 32, .step = FETCH_AHEAD_RUN };
        uint32_t from, to = 0;

        ahead_new(f);
        f->size = 40 * RANGE_SIZE;
        for (uint32_t number = 0; number < 40; number++) {
                assert_reads(f, 1, number * RANGE_SIZE, 10);
                scans_note(&scans, 1, number, LEAST / 2 - (to > number ? to - number : 0), &from, &to);
                scans_set_end(&scans, 1, 40);
                await(f, to); /* so that the reader overtakes nobody */
        }
        ahead_free(f);
        assert_int_equal(f->fetched, 40);
        /* 0; 1; 2 and 3; 4 and 5; 6; 7; then by twos */
        assert_int_equal(f->requests, 6 + 32 / FETCH_AHEAD_RUN);
}

/* Nothing of what failed together is taken for fetched, and each piece of it can be had when it is wanted. */
static void test_what_failed_together_is_asked_for_again(void **state)
{
        struct fixture *f = *state;

        ahead_new(f);
        assert_reads(f, 1, 0, 10);
        atomic_store(&f->error, -EHOSTDOWN);
        assert_err(range_cache_read(f->cache, 1, RANGE_SIZE, &(char){ 0 }, 1), -EHOSTDOWN);
        await(f, 4);
        atomic_store(&f->error, 0);
        assert_reads(f, 1, RANGE_SIZE, SIZE - RANGE_SIZE);
        assert_reads(f, 1, 0, SIZE);
        ahead_free(f);
        assert_int_equal(f->fetched, 4 + 5);
}

/* It ends in the first of two that are fetched together. */
static void test_what_ends_before_is_short(void **state)
{
        struct fixture *f = *state;
        char c;

        ahead_new(f);
        assert_reads(f, 1, 0, 10);
        f->size = 2 * RANGE_SIZE + 100;
        assert_reads(f, 1, RANGE_SIZE, 10);
        await(f, 4);
        assert_reads(f, 1, 2 * RANGE_SIZE, 100);
        assert_err(range_cache_read(f->cache, 1, 2 * RANGE_SIZE + 100, &c, 1), -EBADMSG);
        assert_err(range_cache_read(f->cache, 1, 3 * RANGE_SIZE, &c, 1), -EBADMSG);
        ahead_free(f);
        assert_int_equal(f->fetched, 4);
}

/* Of two stores, a hundred readers each, whom nobody answers: so many pieces are in memory, and no more. */
static void test_all_have_one_budget(void **state)
{
        struct gate gate = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
        struct fixture *f = *state, other = { .dir_fd = f->dir_fd, .size = SIZE, .gate = &gate };

        ahead_new(f);
        f->gate = &gate;
        other.ahead = f->ahead;
        cache_new(&other, f->dir_fd, NULL);
        for (uint32_t id = 1; id <= 100; id++) {
                assert_reads(f, id, 0, 2 * RANGE_SIZE);
                assert_reads(&other, id, 0, 2 * RANGE_SIZE);
        }
        assert_int_equal(pthread_mutex_lock(&gate.mutex), 0);
        while (gate.waiting < FETCH_AHEAD_PIECES)
                (void)pthread_cond_wait(&gate.changed, &gate.mutex);
        gate.open = true;
        (void)pthread_cond_broadcast(&gate.changed);
        (void)pthread_mutex_unlock(&gate.mutex);
        range_cache_free(other.cache);
        ahead_free(f);
        assert_int_equal(gate.most, FETCH_AHEAD_PIECES);
        /* And a reader does not lose by others' what he is about to read: half of the places at the most are for that. */
        assert_true(f->fetched <= 200 + LEAST / 2);
        assert_true(other.fetched <= 200 + LEAST / 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_each_piece_is_fetched_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_behind_the_end_is_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_cannot_be_fetched_is_asked_for_again, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_is_forgotten_is_fetched_anew, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_least_recently_used_go_first, setup, teardown),
                cmocka_unit_test_setup_teardown(test_without_a_file_nothing_is_kept, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_was_kept_outlives_the_process, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_was_damaged_meanwhile_is_fetched_anew, setup, teardown),
                cmocka_unit_test_setup_teardown(test_one_process_has_the_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many_at_once_fetch_a_piece_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_waits_for_anothers_piece_can_be_stopped, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_goes_on_finds_the_next_pieces_there, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_jumps_about_has_nothing_fetched_ahead, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_follows_each_other_is_fetched_together, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_failed_together_is_asked_for_again, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_ends_before_is_short, setup, teardown),
                cmocka_unit_test_setup_teardown(test_all_have_one_budget, setup, teardown),
                cmocka_unit_test_setup_teardown(test_readers_forgetting_and_going_out_do_not_mix_pieces_up, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
