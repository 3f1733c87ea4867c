/* SPDX-License-Identifier: MIT */

/* Numbers of open files, over the death of a process; and requests that are sent once more. */

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/ops/handles.h"
#include "fs/ops/resent.h"
#include "tests/lib/expect.h"

static void count(void *ctx, uint64_t number)
{
        (void)number;
        ++*(unsigned *)ctx;
}

static unsigned inherited(struct handles *h)
{
        unsigned n = 0;

        handles_each_inherited(h, count, &n);
        return n;
}

static void test_the_next_process_knows_how_a_file_was_opened(void **state)
{
        const struct handle how = { .ino = 7, .flags = 2, .uid = 1000, .gid = 100, .print = 42, .size = 9 };
        const int fd = kept_file("test");
        uint64_t number, closed;
        struct handles *h;
        int numbers[2];
        pid_t pid;

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(pipe(numbers), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                assert_ok(handles_new(fd, &h));
                assert_ok(handles_add(h, &how, &numbers, &number));
                assert_ok(handles_add(h, &how, &numbers, &closed));
                assert_ptr_equal(handles_remove(h, closed), &numbers);
                assert_int_equal(write(numbers[1], &number, sizeof(number)), sizeof(number));
                assert_int_equal(write(numbers[1], &closed, sizeof(closed)), sizeof(closed));
                _exit(0);
        }
        assert_int_equal(read(numbers[0], &number, sizeof(number)), sizeof(number));
        assert_int_equal(read(numbers[0], &closed, sizeof(closed)), sizeof(closed));
        assert_int_equal(waitpid(pid, NULL, 0), pid);

        assert_ok(handles_new(fd, &h));
        assert_true(handles_last(h));
        assert_int_equal(inherited(h), 1);
        assert_null(handles_file(h, number));
        assert_int_equal(handles_how(h, number)->ino, 7);
        assert_int_equal(handles_how(h, number)->uid, 1000);
        assert_int_equal(handles_how(h, number)->print, 42);
        handles_set_file(h, number, numbers);
        assert_ptr_equal(handles_file(h, number), numbers);
        assert_null(handles_how(h, closed));
        assert_ptr_equal(handles_remove(h, number), numbers);
        handles_free(h);
        (void)close(fd);
        (void)close(numbers[0]);
        (void)close(numbers[1]);
}

/* Once, a close that was sent again after the process had died closed the file that had got the number since. */
static void test_a_number_that_was_closed_is_nobody_elses(void **state)
{
        const struct handle how = { .ino = 7 };
        uint64_t first, second;
        struct handles *h;

        (void)state;
        assert_ok(handles_new(-1, &h));
        assert_false(handles_last(h));
        assert_ok(handles_add(h, &how, &first, &first));
        assert_ptr_equal(handles_remove(h, first), &first);
        assert_ok(handles_add(h, &how, &second, &second));
        assert_int_equal((uint32_t)first, (uint32_t)second);
        assert_int_not_equal(first, second);
        assert_null(handles_remove(h, first));
        assert_ptr_equal(handles_remove(h, second), &second);
        handles_free(h);
}

static void test_what_was_committed_is_not_done_once_more(void **state)
{
        struct resent_notes *notes = calloc(1, sizeof(*notes));

        (void)state;
        assert_non_null(notes);
        resent_begin(notes, 10, false);
        resent_note(NULL, false);
        resent_note(NULL, true);
        resent_begin(notes, 14, false);
        resent_note(NULL, false);
        resent_begin(notes, 12, false);
        resent_begin(notes, 12, true);
        assert_false(resent_was_done() || resent_may_be_done());
        resent_begin(notes, 10, true);
        assert_true(resent_was_done() && resent_may_be_done());
        resent_begin(notes, 14, true); /* it died in the commit */
        assert_true(!resent_was_done() && resent_may_be_done());
        resent_begin(notes, 10, false);
        assert_false(resent_was_done());
        free(notes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_next_process_knows_how_a_file_was_opened),
                cmocka_unit_test(test_a_number_that_was_closed_is_nobody_elses),
                cmocka_unit_test(test_what_was_committed_is_not_done_once_more),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
