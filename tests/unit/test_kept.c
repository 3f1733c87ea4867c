/* SPDX-License-Identifier: MIT */

/* Slots that outlive the process: what the next one finds, and what it does not. */

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/kept.h"
#include "tests/lib/expect.h"

struct note {
        struct kept_slot slot;
        uint64_t value;
        uint64_t unused[6];
};

static int setup(void **state)
{
        int *fd = malloc(sizeof(*fd));

        assert_non_null(fd);
        *fd = kept_file("test");
        assert_true(*fd >= 0);
        *state = fd;
        return 0;
}

static int teardown(void **state)
{
        (void)close(*(int *)*state);
        free(*state);
        return 0;
}

static struct note *take(struct kept *k, uint64_t value)
{
        struct note *n;
        void *slot;

        assert_ok(kept_take(k, &slot));
        n = slot;
        assert_int_equal(n->value, 0);
        n->value = value;
        return n;
}

static int add(void *ctx, void *slot)
{
        *(uint64_t *)ctx += ((struct note *)slot)->value;
        return 0;
}

static uint64_t sum_of_inherited(struct kept *k)
{
        uint64_t sum = 0;

        assert_ok(kept_each_inherited(k, add, &sum));
        return sum;
}

static void test_the_next_process_finds_what_was_published(void **state)
{
        const int fd = *(int *)*state;
        struct kept *k;
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                struct note *gone, *half;

                assert_ok(kept_open(fd, sizeof(struct note), &k));
                kept_publish(k, take(k, 1));
                gone = take(k, 2);
                kept_publish(k, gone);
                half = take(k, 4);
                (void)half; /* it is never published */
                kept_publish(k, take(k, 8));
                kept_give(k, gone);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_ok(kept_open(fd, sizeof(struct note), &k));
        assert_int_equal(sum_of_inherited(k), 9);
        /* What was free, or half filled, is used anew. */
        for (unsigned i = 0; i < 1000; i++)
                kept_publish(k, take(k, 0));
        assert_int_equal(sum_of_inherited(k), 9);
        kept_close(k);
}

static void test_a_slot_is_known_by_its_number_until_it_is_given_back(void **state)
{
        struct kept *k;
        struct note *n;
        uint32_t number;

        assert_ok(kept_open(*(int *)*state, sizeof(struct note), &k));
        n = take(k, 7);
        kept_publish(k, n);
        number = n->slot.number;
        assert_ptr_equal(kept_slot(k, number), n);
        kept_give(k, n);
        assert_null(kept_slot(k, number));
        assert_null(kept_slot(k, KEPT_SLOTS_MAX - 1));
        assert_ptr_equal(take(k, 9), n);
        kept_close(k);
}

static void test_slots_of_pages_give_back_their_memory(void **state)
{
        const int fd = *(int *)*state;
        struct kept *k;
        void *slots[100];
        struct stat st;

        assert_ok(kept_open(fd, 4096, &k));
        for (unsigned i = 0; i < 100; i++)
                assert_ok(kept_take(k, &slots[i]));
        assert_ok(fstat(fd, &st));
        assert_true(st.st_blocks >= 100 * 8);
        for (unsigned i = 0; i < 100; i++)
                kept_give(k, slots[i]);
        assert_ok(fstat(fd, &st));
        assert_true(st.st_blocks < 10 * 8);
        for (unsigned i = 0; i < 100; i++)
                assert_ok(kept_take(k, &slots[i]));
        assert_ok(fstat(fd, &st));
        assert_int_equal(st.st_size, 100 * 4096);
        kept_close(k);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                T(test_the_next_process_finds_what_was_published),
                T(test_a_slot_is_known_by_its_number_until_it_is_given_back),
                T(test_slots_of_pages_give_back_their_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
