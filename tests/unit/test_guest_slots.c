/* SPDX-License-Identifier: MIT */

/* Slots for the disks whose files the kernel knows: what one stands for as long as it does, over the death of a process. */

#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/ops/guest_slots.h"
#include "fs/ops/handles.h"
#include "tests/lib/expect.h"

static struct fs fs;
static struct req rq = { .fs = &fs };
static sem_t asked;
static fuse_ino_t asked_parent;
static char asked_names[8][16];
static unsigned n_asked; /* of one thread, until what it did is waited for */

static void note_asked(struct fs *of, fuse_ino_t parent, const char *name)
{
        assert_ptr_equal(of, &fs);
        asked_parent = parent;
        (void)snprintf(asked_names[n_asked++], sizeof(asked_names[0]), "%s", name);
        assert_ok(sem_post(&asked));
}

static void begin(int fd, unsigned kept)
{
        fs = (struct fs){ 0 };
        assert_ok(handles_new(fd, &fs.handles));
        assert_ok(guest_slots_new(&fs, kept, note_asked, &fs.guest_slots));
}

static void end(void)
{
        guest_slots_stop(fs.guest_slots);
        guest_slots_free(fs.guest_slots);
        handles_free(fs.handles);
}

static struct node in(enum node_kind kind)
{
        return (struct node){ .kind = kind, .oid = 7 << 1 };
}

static unsigned take(enum node_kind kind, uint64_t id, unsigned part)
{
        const struct guest_at at = { .snapshot = kind == KIND_SNAPSHOT_GUEST, .id = id, .number = part };
        unsigned slot;

        assert_ok(guest_slots_take(&rq, in(kind), &at, 'b', &slot));
        return slot;
}

static bool stands(enum node_kind kind, unsigned slot, uint64_t id, unsigned part)
{
        struct guest_at at;

        return guest_slots_find(&fs, guest_node(in(kind), slot, 12, false), &at) && at.id == id && at.number == part &&
               at.snapshot == (kind == KIND_SNAPSHOT_GUEST);
}

static void forget(enum node_kind kind, unsigned slot, uint64_t times)
{
        guest_slots_forgotten(&fs, guest_node(in(kind), slot, 99, true), times);
}

static void test_a_slot_stands_for_one_partition_until_all_is_forgotten(void **state)
{
        unsigned a, b, c;

        (void)state;
        begin(-1, 100);
        a = take(KIND_IMAGE_GUEST, 5, 1);
        b = take(KIND_IMAGE_GUEST, 5, 2);
        c = take(KIND_SNAPSHOT_GUEST, 5, 1);
        assert_true(a != b && a != c && b != c);
        assert_int_equal(take(KIND_IMAGE_GUEST, 5, 1), a);
        assert_true(stands(KIND_IMAGE_GUEST, a, 5, 1) && stands(KIND_IMAGE_GUEST, b, 5, 2));
        assert_true(stands(KIND_SNAPSHOT_GUEST, c, 5, 1));
        assert_false(stands(KIND_SNAPSHOT_GUEST, a, 5, 1));
        assert_false(stands(KIND_SHARED_GUEST, a, 5, 1));

        forget(KIND_IMAGE_GUEST, a, 1);
        assert_true(stands(KIND_IMAGE_GUEST, a, 5, 1));
        guest_slots_told(&fs, guest_node(in(KIND_IMAGE_GUEST), a, 3, false));
        forget(KIND_IMAGE_GUEST, a, 1);
        assert_true(stands(KIND_IMAGE_GUEST, a, 5, 1));
        forget(KIND_SHARED_GUEST, a, 1); /* another's */
        forget(KIND_IMAGE_GUEST, a, 1);
        assert_false(stands(KIND_IMAGE_GUEST, a, 5, 1));
        forget(KIND_IMAGE_GUEST, a, 1); /* nobody's any more */
        assert_true(take(KIND_IMAGE_GUEST, 6, 1) != a); /* nor another's so soon */
        forget(KIND_IMAGE_GUEST, b, UINT64_MAX);
        assert_false(stands(KIND_IMAGE_GUEST, b, 5, 2));
        end();
}

static void test_the_next_process_knows_them(void **state)
{
        const int fd = kept_file("test");
        unsigned a, b;

        (void)state;
        assert_true(fd >= 0);
        begin(fd, 100);
        a = take(KIND_SHARED_GUEST, UINT64_C(1) << 40, 200);
        assert_int_equal(take(KIND_SHARED_GUEST, UINT64_C(1) << 40, 200), a);
        b = take(KIND_SHARED_GUEST, 3, 0);
        forget(KIND_SHARED_GUEST, b, 1);
        end(); /* as good as dead: nothing was taken back */

        begin(fd, 100);
        assert_true(stands(KIND_SHARED_GUEST, a, UINT64_C(1) << 40, 200));
        assert_false(stands(KIND_SHARED_GUEST, b, 3, 0));
        assert_int_equal(take(KIND_SHARED_GUEST, UINT64_C(1) << 40, 200), a);
        forget(KIND_SHARED_GUEST, a, 2);
        assert_true(stands(KIND_SHARED_GUEST, a, UINT64_C(1) << 40, 200));
        forget(KIND_SHARED_GUEST, a, 1);
        assert_false(stands(KIND_SHARED_GUEST, a, UINT64_C(1) << 40, 200));
        end();

        begin(fd, 100);
        assert_false(stands(KIND_SHARED_GUEST, a, UINT64_C(1) << 40, 200));
        end();
        (void)close(fd);
}

static void test_the_kernel_is_asked_for_those_of_longest_ago(void **state)
{
        unsigned first;

        (void)state;
        begin(-1, 2);
        assert_ok(sem_init(&asked, 0, 0));
        first = take(KIND_IMAGE_GUEST, 1, 15);
        (void)take(KIND_IMAGE_GUEST, 2, 0);
        (void)take(KIND_IMAGE_GUEST, 1, 15);
        (void)take(KIND_IMAGE_GUEST, 3, 3); /* one more than may be kept: so one goes */
        assert_ok(sem_wait(&asked));
        assert_int_equal(asked_parent, node_ino(in(KIND_IMAGE_GUEST)));
        assert_string_equal(asked_names[0], "vdb");
        guest_slots_told(&fs, guest_node(in(KIND_IMAGE_GUEST), first, 5, true));
        (void)take(KIND_IMAGE_GUEST, 4, 1); /* one is on its way, whether it goes or not */
        assert_ok(sem_wait(&asked));
        assert_string_equal(asked_names[1], "vdb3");
        (void)take(KIND_IMAGE_GUEST, 2, 0); /* it did not, and is used again */
        (void)take(KIND_IMAGE_GUEST, 5, 9);
        assert_ok(sem_wait(&asked));
        assert_ok(sem_wait(&asked));
        assert_string_equal(asked_names[2], "vdb15");
        assert_string_equal(asked_names[3], "vdb1");
        assert_int_equal(sem_trywait(&asked), -1);
        end();
}

static void test_more_than_there_are_is_refused(void **state)
{
        const struct guest_at at = { .id = 1000000, .number = 1 };
        unsigned slot;

        (void)state;
        begin(-1, UINT32_MAX);
        for (uint64_t i = 0; i < 1u << GUEST_SLOT_BITS; i++)
                slot = take(KIND_IMAGE_GUEST, i, 1);
        assert_err(guest_slots_take(&rq, in(KIND_IMAGE_GUEST), &at, 'a', &slot), -EBUSY);
        assert_non_null(strstr(rq.diag.text, "32768"));
        forget(KIND_IMAGE_GUEST, slot, 1);
        assert_ok(guest_slots_take(&rq, in(KIND_IMAGE_GUEST), &at, 'a', &slot));
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_slot_stands_for_one_partition_until_all_is_forgotten),
                cmocka_unit_test(test_the_next_process_knows_them),
                cmocka_unit_test(test_the_kernel_is_asked_for_those_of_longest_ago),
                cmocka_unit_test(test_more_than_there_are_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
