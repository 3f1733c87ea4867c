/* SPDX-License-Identifier: MIT */

/* A disk that is really full: a small tmpfs, which root may mount. */

#include "blobstore/blobstore.h"
#include "blobstore/disks/disk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MIB (UINT64_C(1) << 20)

static int full_setup(void **state)
{
        struct store *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        tempdir_make(s->dir);
        *state = s;
        if (mount("tmpfs", s->dir, "tmpfs", 0, "size=40m,mode=700") < 0)
                return 0;
        assert_ok(store_open(s));
        return 0;
}

static int full_teardown(void **state)
{
        struct store *s = *state;
        int problems = s->bs ? store_check(s) : 0;

        if (s->bs) {
                store_close(s);
                assert_ok(umount(s->dir));
        }
        tempdir_remove(s->dir);
        free(s);
        return problems;
}

/* Fills what is left, to the last block. */
static void fill_disk(struct store *s)
{
        char path[2 * TEMPDIR_MAX], block[4096];
        int fd;

        store_path(s, "../ballast", path);
        memset(block, 'b', sizeof(block));
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        assert_true(fd >= 0);
        while (write(fd, block, sizeof(block)) > 0)
                ;
        assert_int_equal(errno, ENOSPC);
        (void)close(fd);
}

static struct blob *store_noise(struct store *s, uint64_t seed, size_t n, int wanted)
{
        uint8_t *bytes = malloc(n);
        struct blob *b = NULL;

        assert_non_null(bytes);
        random_fill(&seed, bytes, n);
        assert_err(image_write(s->bs, bytes, n, &b), wanted);
        free(bytes);
        return b;
}

static void test_full_disk_refuses_the_blob_and_harms_no_other(void **state)
{
        struct store *s = *state;
        struct blob *a;

        if (!s->bs)
                skip();
        a = store_noise(s, 1, 8 * MIB, 0);
        (void)store_noise(s, 2, 64 * MIB, -ENOSPC);
        assert_false(blobstore_is_degraded(s->bs));
        store_assert_clean(s);
        (void)store_gc(s);
        blob_close(store_noise(s, 3, 8 * MIB, 0));
        blob_close(a);
        store_reopen(s);
        store_assert_clean(s);
        assert_int_equal(store_stats(s).blobs, 2);
}

static void test_removing_works_on_a_disk_without_a_free_block(void **state)
{
        struct store *s = *state;
        struct blob_id ids[2];
        struct blob *b;

        if (!s->bs)
                skip();
        for (int i = 0; i < 2; i++) {
                b = store_noise(s, 4 + (uint64_t)i, 8 * MIB, 0);
                ids[i] = *blob_get_id(b);
                blob_close(b);
        }
        fill_disk(s);
        store_close(s); /* and with it goes what space the WAL had */
        fill_disk(s);
        assert_ok(store_open(s));
        fill_disk(s);
        assert_ok(blob_remove(s->bs, &ids[0]));
        assert_true(store_gc(s).bytes_freed >= 7 * MIB);
        store_assert_clean(s);
        blob_close(store_noise(s, 6, 4 * MIB, 0));
        assert_ok(blob_open(s->bs, &ids[1], &b));
        blob_close(b);
}

/* Gives back N blocks of what fill_disk() took. */
static void free_blocks(struct store *s, unsigned n)
{
        char path[2 * TEMPDIR_MAX];
        struct stat st;

        store_path(s, "../ballast", path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size - n * 4096), 0);
}

/* Each write needs a block for what it writes, and one for the bits that say so. */
static void test_what_a_machine_wrote_has_its_place(void **state)
{
        struct store *s = *state;
        const uint64_t step = 256 * MIB; /* more than a page of bits stands for */
        uint8_t block[4096], got[4096];
        bool taken[64] = { false };
        unsigned n_taken = 0;
        struct disk_id id;
        struct disk *d;

        if (!s->bs)
                skip();
        memset(block, 'm', sizeof(block));
        assert_ok(disk_create(s->bs, NULL, 64 * step, &id));
        assert_ok(disk_open(s->bs, &id, &d));
        fill_disk(s);
        for (unsigned i = 0; i < 64; i++) {
                ssize_t n;

                if (i % 8 == 0)
                        free_blocks(s, 1 + i / 8);
                n = disk_pwrite(d, block, sizeof(block), i * step);
                assert_true(n == (ssize_t)sizeof(block) || n == -ENOSPC);
                taken[i] = n > 0;
                n_taken += taken[i];
        }
        assert_in_range(n_taken, 1, 63);
        disk_close(d);
        store_close(s);
        assert_ok(store_open(s));
        assert_ok(disk_open(s->bs, &id, &d));
        for (unsigned i = 0; i < 64; i++) {
                assert_int_equal(disk_pread(d, got, sizeof(got), i * step), sizeof(got));
                if (taken[i])
                        assert_memory_equal(got, block, sizeof(got));
        }
        disk_close(d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_full_disk_refuses_the_blob_and_harms_no_other, full_setup, full_teardown),
                cmocka_unit_test_setup_teardown(test_removing_works_on_a_disk_without_a_free_block, full_setup, full_teardown),
                cmocka_unit_test_setup_teardown(test_what_a_machine_wrote_has_its_place, full_setup, full_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
