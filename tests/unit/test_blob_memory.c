/* SPDX-License-Identifier: MIT */

/*
 * Where memory cannot be had, at many an allocation of each piece of work: it says -ENOMEM or goes on without, what it gives is
 * right, nothing is taken for damage, and what it has done is whole.
 */

#include "tests/lib/calls.h" /* first */

#include "blobstore/blobs/scrub.h"
#include "blobstore/blobstore.h"
#include "blobstore/disks/disk.h"

#include <limits.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define SIZE  ((size_t)1 << 20)
#define PIECE ((size_t)100000)

struct world {
        struct store s;
        uint8_t *old, *new;
        struct blob_id old_id, new_id;
        struct disk_id disk;
        uint8_t buf[PIECE];
};

static int assert_bytes(struct world *w, struct blob *b, const uint8_t *bytes)
{
        for (size_t off = 0; off < SIZE; off += PIECE) {
                size_t n = SIZE - off < PIECE ? SIZE - off : PIECE;
                ssize_t got = blob_pread(b, w->buf, n, off);

                if (got < 0)
                        return (int)got;
                assert_int_equal(got, n);
                assert_memory_equal(w->buf, bytes + off, n);
        }
        return 0;
}

static int work_read(struct world *w)
{
        struct blob *b;
        int r;

        r = blob_open(w->s.bs, &w->old_id, &b);
        if (r < 0)
                return r;
        r = assert_bytes(w, b, w->old);
        blob_close(b);
        return r;
}

static int no_difference(void *ctx, uint64_t off, uint64_t len)
{
        (void)ctx;
        fail_msg("differs at %zu, %zu bytes", (size_t)off, (size_t)len);
        return 0;
}

static int work_compare(struct world *w)
{
        struct blob *a, *b = NULL;
        struct blob_checksum sum, wanted;
        int r;

        r = blob_open(w->s.bs, &w->old_id, &a);
        if (r < 0)
                return r;
        r = blob_open(w->s.bs, &w->old_id, &b);
        if (r == 0)
                r = blob_diff(a, b, no_difference, NULL, NULL);
        if (r == 0)
                r = blob_work_out_checksum(a, NULL, NULL, &sum);
        if (r == 0) {
                image_checksum(w->old, SIZE, &wanted);
                assert_memory_equal(&sum, &wanted, sizeof(sum));
        }
        blob_close(a);
        blob_close(b);
        return r;
}

static int work_write(struct world *w)
{
        struct blob *b;
        int r;

        r = image_write(w->s.bs, w->new, SIZE, &b);
        if (r < 0)
                return r;
        w->new_id = *blob_get_id(b);
        blob_close(b);
        r = blob_open(w->s.bs, &w->new_id, &b);
        if (r < 0)
                return r;
        r = assert_bytes(w, b, w->new);
        blob_close(b);
        return r;
}

static int work_on_a_disk(struct world *w)
{
        struct disk *d;
        ssize_t got;
        uint64_t at;
        int r;

        r = disk_open(w->s.bs, &w->disk, &d);
        if (r < 0)
                return r;
        got = disk_pread(d, w->buf, PIECE, 12345);
        if (got >= 0)
                assert_memory_equal(w->buf, w->old + 12345, PIECE);
        if (got >= 0)
                got = disk_pwrite(d, w->old + 12345, PIECE, 12345); /* the same, so that a second time can be compared, too */
        r = got < 0 ? (int)got : disk_seek(d, 0, SEEK_DATA, &at);
        if (r == 0)
                r = disk_discard(d, SIZE - 8192, 8192);
        if (r == 0)
                r = disk_sync(d);
        disk_close(d);
        return r;
}

static void no_problem(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        (void)ctx;
        (void)kind;
        (void)id;
        fail_msg("taken for damage: %s", text);
}

static int work_check(struct world *w)
{
        int r = blobstore_check(w->s.bs, true, no_problem, NULL);

        assert_true(r <= 0);
        return r;
}

static int scrub_pace(void *ctx, uint64_t n)
{
        *(uint64_t *)ctx += n;
        return 0;
}

static int scrub_reached(void *ctx, const struct scrub_position *pos)
{
        (void)ctx;
        (void)pos;
        return 0;
}

static int scrub_find_same(void *ctx, const struct blob_id *blob, uint64_t off, unsigned nth, void *buf, size_t n)
{
        (void)ctx;
        (void)blob;
        (void)buf;
        fail_msg("looked elsewhere for %zu bytes at %zu, %u", n, (size_t)off, nth);
        return -ENOENT;
}

static void scrub_healed(void *ctx, enum scrub_healed what, uint64_t n)
{
        (void)ctx;
        fail_msg("%zu of %d were healed", (size_t)n, (int)what);
}

static int work_scrub(struct world *w)
{
        uint64_t bytes = 0;
        const struct scrub_ops ops = {
                .pace = scrub_pace,
                .reached = scrub_reached,
                .problem = no_problem,
                .find_same = scrub_find_same,
                .healed = scrub_healed,
                .ctx = &bytes,
        };
        int r;

        r = blob_scrub(w->s.bs, &(struct scrub_position){ 0 }, &ops);
        if (r == 0)
                assert_true(bytes > SIZE / 4);
        return r;
}

static int work_open(struct world *w)
{
        int r;

        if (w->s.bs)
                store_close(&w->s);
        r = store_open(&w->s);
        if (r < 0)
                w->s.bs = NULL;
        return r;
}

/* The index is made again. */
static int work_open_without_index(struct world *w)
{
        char path[2 * TEMPDIR_MAX];

        store_path(&w->s, "index.db", path);
        store_close(&w->s);
        assert_true(unlink(path) == 0 || errno == ENOENT);
        return work_open(w);
}

/* One try: the allocation to fail is the Nth; false: there are not so many. */
static bool try(struct world *w, int (*work)(struct world *), int n)
{
        bool was_hit;
        int r;

        fault = FAULT_ENOMEM;
        calls = CALLS_MEMORY;
        atomic_store(&countdown, n);
        r = work(w);
        was_hit = atomic_exchange(&countdown, 0) <= 0;
        if (r != 0 && r != -ENOMEM)
                fail_msg("allocation %d: %d", n, r);
        assert_true(was_hit || r == 0);
        return was_hit;
}

static void hit_everywhere(struct world *w, int (*work)(struct world *))
{
        int step;

        assert_false(try(w, work, INT_MAX));
        store_reopen(&w->s);
        step = (int)environment_number("IMAGEFS_TEST_STEP", 3);
        for (int n = 1; try(w, work, n); n += n < 60 ? 1 : step * (1 + n / 100)) {
                if (w->s.bs)
                        store_close(&w->s);
                assert_ok(store_open(&w->s));
                assert_false(blobstore_is_degraded(w->s.bs));
        }
        store_assert_clean(&w->s);
}

static int setup(void **state)
{
        struct world *w = calloc(1, sizeof(*w));
        struct blob *b;

        assert_non_null(w);
        tempdir_make(w->s.dir);
        assert_ok(store_open(&w->s));
        w->old = image_make(1, SIZE);
        w->new = image_make(2, SIZE);
        b = image_store(&w->s, w->old, SIZE);
        w->old_id = *blob_get_id(b);
        blob_close(b);
        assert_ok(disk_create(w->s.bs, &w->old_id, SIZE, &w->disk));
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        struct world *w = *state;

        store_close(&w->s);
        tempdir_remove(w->s.dir);
        free(w->old);
        free(w->new);
        free(w);
        return 0;
}

#ifdef CALLS_HAVE_MEMORY
#define WITHOUT_MEMORY(work) hit_everywhere(*state, work)
#else
#define WITHOUT_MEMORY(work) ((void)state, (void)hit_everywhere, (void)(work), skip())
#endif

static void test_without_memory_a_store_is_not_opened_and_then_is(void **state)
{
        WITHOUT_MEMORY(work_open);
}

static void test_without_memory_an_index_is_made_again_whole(void **state)
{
        WITHOUT_MEMORY(work_open_without_index);
}

static void test_without_memory_nothing_wrong_is_read(void **state)
{
        WITHOUT_MEMORY(work_read);
}

static void test_without_memory_nothing_is_said_to_differ(void **state)
{
        WITHOUT_MEMORY(work_compare);
}

static void test_without_memory_what_is_written_is_whole_or_not_there(void **state)
{
        WITHOUT_MEMORY(work_write);
}

static void test_without_memory_a_disk_says_so(void **state)
{
        WITHOUT_MEMORY(work_on_a_disk);
}

static void test_without_memory_nothing_is_taken_for_damage(void **state)
{
        WITHOUT_MEMORY(work_check);
}

static void test_without_memory_nothing_is_healed(void **state)
{
        WITHOUT_MEMORY(work_scrub);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_without_memory_a_store_is_not_opened_and_then_is),
                T(test_without_memory_an_index_is_made_again_whole),
                T(test_without_memory_nothing_wrong_is_read),
                T(test_without_memory_nothing_is_said_to_differ),
                T(test_without_memory_what_is_written_is_whole_or_not_there),
                T(test_without_memory_a_disk_says_so),
                T(test_without_memory_nothing_is_taken_for_damage),
                T(test_without_memory_nothing_is_healed),
        };
#undef T
        return cmocka_run_group_tests(tests, NULL, NULL);
}
